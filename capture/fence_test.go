package capture

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// A server may sleep on the log that a fence waits for: it is asked until the position
// is reached, and not a moment longer.
func TestAFenceAsksWhileItsPositionIsNotReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(NewStamper("mumbai", 1, change.Tail{}), 0, func(a, b change.Position) int { return strings.Compare(string(a), string(b)) })
		asked := 0
		q.ask = func() { asked++ }
		q.progress("10")
		if _, err := q.fence(t.Context(), "10", 0); err != nil || asked != 0 {
			t.Fatalf("a fence behind the reader: %v, asked %d times", err, asked)
		}
		done := make(chan error)
		go func() {
			_, err := q.fence(t.Context(), "20", 0)
			done <- err
		}()
		<-time.After(5*askInterval + askInterval/2)
		synctest.Wait()
		if asked != 5 {
			t.Errorf("asked %d times in five intervals", asked)
		}
		q.progress("20")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * askInterval)
		if asked != 5 {
			t.Errorf("asked %d times more after the fence", asked-5)
		}

		short, cancel := context.WithTimeout(t.Context(), askInterval/2)
		defer cancel()
		if _, err := q.fence(short, "30", 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a fence nobody reaches: %v", err)
		}
		<-time.After(10 * askInterval)
		if asked != 5 {
			t.Error("asked for a fence that has given up")
		}
	})
}
