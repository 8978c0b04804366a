package capture

import (
	"testing"
	"time"
)

// A frame waits to grow only when that costs less than it saves: a transaction that
// comes alone is sent at once.
func TestWhenAFrameWaitsToGrow(t *testing.T) {
	const linger = time.Minute // so that this test's own pace does not count
	for _, tt := range []struct {
		name    string
		pending int
		last    int
		ago     time.Duration
		want    bool
	}{
		{name: "the first of all", pending: 1},
		{name: "one after one", pending: 1, last: 1},
		{name: "a few", pending: fast - 1, last: fast - 1},
		{name: "many came while a frame was on its way", pending: fast, last: 1, want: true},
		{name: "one, just after a full frame: more follow", pending: 1, last: fast, want: true},
		{name: "one, long after a full frame", pending: 1, last: fast, ago: 5 * linger},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &queue{linger: linger, pending: make([]item, tt.pending), last: tt.last, lastAt: time.Now().Add(-tt.ago)}
			if got := q.quick(); got != tt.want {
				t.Errorf("quick: %v, want %v", got, tt.want)
			}
		})
	}
}
