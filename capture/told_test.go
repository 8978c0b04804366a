package capture

import (
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// The first frame of a session tells the rules, whatever it holds: a peer knows them
// before it sees anything that was committed under them. Then every tenth heartbeat does.
func TestRulesAreToldFirstAndWithEveryTenthHeartbeat(t *testing.T) {
	beat, write := change.Transaction{Heartbeat: time.Unix(1, 0)}, change.Transaction{}
	var told told
	if !told.due(nil) {
		t.Error("the first frame does not tell the rules, since it carries only a clock")
	}
	tellings := 0
	for range 100 {
		if told.due([]change.Transaction{write, beat, write}) {
			tellings++
		}
		if told.due([]change.Transaction{write}) {
			tellings++
		}
	}
	if tellings != 10 {
		t.Errorf("told %d times in 100 heartbeats, want 10", tellings)
	}
	told.due([]change.Transaction{beat, beat, beat, beat, beat, beat, beat, beat, beat, beat, beat, beat})
	if !told.due(nil) {
		t.Error("twelve heartbeats in one frame, and the next frame tells nothing")
	}
}
