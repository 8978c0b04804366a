package apply

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// threeSites is an agent of mumbai whose links come from pune and delhi.
func threeSites() *Agent {
	return New(nil, nil, Options{Site: "mumbai", Logs: map[change.Site]Log{"pune": nil, "delhi": nil}})
}

func (l *Link) applied(seq uint64) {
	l.count(func(s *LinkStatus) { s.Applied.Seq = seq })
	l.agent.progress.wake()
}

func sawOf(seq uint64, seen change.Seen) change.Transaction {
	return change.Transaction{Origin: "pune", Seq: seq, Seen: seen}
}

func TestAGroupEndsBeforeWhatIsOutOfOrder(t *testing.T) {
	a := threeSites()
	pune := a.Link("pune")
	a.Link("delhi").applied(5)
	txs := []change.Transaction{
		sawOf(1, change.Seen{"mumbai": 9}), sawOf(2, change.Seen{"mumbai": 9, "delhi": 5}), sawOf(3, change.Seen{"delhi": 6}),
	}
	if n := pune.inOrder(txs, waived{}); n != 2 {
		t.Errorf("%d may be applied, want 2: delhi stands at 5", n)
	}
	a.Link("delhi").applied(6)
	if n := pune.inOrder(txs, waived{}); n != 3 {
		t.Errorf("%d may be applied, want 3", n)
	}
}

func TestWhatAnOriginHadAppliedIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := threeSites()
		done := make(chan error)
		given := waived{}
		go func() { done <- a.Link("pune").awaitSeen(t.Context(), change.Seen{"delhi": 2}, given) }()
		<-time.After(2 * time.Second)
		if s := a.Link("pune").Status(); s.State != Waiting || s.Reason == "" {
			t.Errorf("the link shows %s, %q", s.State, s.Reason)
		}
		a.Link("delhi").applied(1)
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it did not wait for the second: %v", err)
		default:
		}
		a.Link("delhi").applied(2)
		if err := <-done; err != nil || len(given) > 0 {
			t.Errorf("%v, gave up on %v", err, given)
		}
	})
}

// A site that is cut off, or gone for good, holds nobody up for longer than the limit,
// and only once.
func TestWhatDoesNotComeIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := threeSites()
		pune, given, began := a.Link("pune"), waived{}, time.Now()
		if err := pune.awaitSeen(t.Context(), change.Seen{"delhi": 2}, given); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != a.o.CausalWait {
			t.Errorf("waited %s", waited)
		}
		if n := pune.inOrder([]change.Transaction{sawOf(1, change.Seen{"delhi": 3})}, given); n != 1 {
			t.Error("the next one waits again")
		}
		a.Link("delhi").applied(1) // it moves again
		if n := pune.inOrder([]change.Transaction{sawOf(1, change.Seen{"delhi": 3})}, given); n != 0 {
			t.Error("it is not waited for although it moves")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := pune.awaitSeen(short, change.Seen{"delhi": 3}, given); err == nil {
			t.Error("a link that ends waits on")
		}
	})
}
