package capture

import (
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// The log is not released before the bus has had time to sync what it acknowledged.
func TestReleaseWaitsForTheBusToSync(t *testing.T) {
	start := time.Unix(1000, 0)
	r := releases{delay: 2 * time.Minute}
	for _, step := range []struct {
		after time.Duration
		in    change.Position
		want  change.Position
	}{
		{0, "1", ""},
		{time.Minute, "2", ""},
		{2 * time.Minute, "3", "1"},
		{190 * time.Second, "4", "2"},
		{10 * time.Minute, "5", "4"},
	} {
		if got := r.stored(step.in, start.Add(step.after)); got != step.want {
			t.Errorf("after %s: released %q, want %q", step.after, got, step.want)
		}
	}
	prompt := releases{}
	if got := prompt.stored("7", start); got != "7" {
		t.Errorf("a bus that syncs before it acknowledges: released %q, want 7 at once", got)
	}
}
