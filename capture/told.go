package capture

import "github.com/concord-db/concord/internal/change"

// tellEvery is how many heartbeats pass until the rules are told again: for a site that
// begins to read the stream somewhere in its middle.
const tellEvery = 10

// told counts when the other sites were told the rules. The zero told is a session in
// which they were not.
type told struct{ left int }

// due reports whether the frame with txs, the next to be sent, tells the rules.
func (t *told) due(txs []change.Transaction) bool {
	due := t.left == 0
	if due {
		t.left = tellEvery
	}
	for i := range txs {
		if !txs[i].Heartbeat.IsZero() {
			t.left = max(0, t.left-1)
		}
	}
	return due
}
