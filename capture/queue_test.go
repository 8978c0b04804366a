package capture

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-db/concord/internal/change"
)

func newTestQueue() *queue {
	return newQueue(NewStamper("mumbai", 1, change.Tail{}), 0, func(a, b change.Position) int { return strings.Compare(string(a), string(b)) })
}

// adds stamps events of so many bytes each.
func (q *queue) adds(t *testing.T, bytes int, events ...Event) {
	t.Helper()
	for i := range events {
		if err := q.local(unwaiting(t.Context()), &events[i], bytes, 1<<20, func(*change.Transaction) {}); err != nil {
			t.Fatal(err)
		}
	}
}

// takes returns the seqs of the next batch; nil when none is due.
func (q *queue) takes(t *testing.T, size, inflight int) []uint64 {
	t.Helper()
	txs, _, err := q.take(unwaiting(t.Context()), size, inflight)
	if errors.Is(err, errBlocked) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	seqs := []uint64{}
	for i := range txs {
		seqs = append(seqs, txs[i].Seq)
	}
	return seqs
}

func wantSeqs(t *testing.T, what string, got []uint64, want ...uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func tx(p change.Position) Event { return Event{Kind: Local, Position: p} }

// A transaction that comes while nothing is in flight is sent at once; those that come
// while something is gather, until they fill a frame.
func TestTransactionsGatherWhileAFrameIsInFlight(t *testing.T) {
	q := newTestQueue()
	q.adds(t, 10, tx("1"))
	wantSeqs(t, "with nothing in flight", q.takes(t, 35, 4), 1)
	q.adds(t, 10, tx("2"), tx("3"))
	wantSeqs(t, "while one is in flight", q.takes(t, 35, 4))
	q.adds(t, 10, tx("4"), tx("5"))
	wantSeqs(t, "enough for a frame", q.takes(t, 35, 4), 2, 3, 4)
	wantSeqs(t, "the rest", q.takes(t, 35, 4))
	q.done(0)
	q.done(0)
	wantSeqs(t, "the rest, when all is stored", q.takes(t, 35, 4), 5)
}

// No more frames are in flight than allowed, however much waits.
func TestFramesInFlightAreLimited(t *testing.T) {
	q := newTestQueue()
	q.adds(t, 50, tx("1"), tx("2"), tx("3"))
	wantSeqs(t, "the first", q.takes(t, 35, 2), 1)
	wantSeqs(t, "the second", q.takes(t, 35, 2), 2)
	wantSeqs(t, "beyond the limit", q.takes(t, 35, 2))
	q.done(0)
	wantSeqs(t, "when one is stored", q.takes(t, 35, 2), 3)
}

// The parts of a large transaction travel alone, with the clock of before it until the
// last: should the stream end with them, the transaction is stamped again, and the same.
func TestPartsOfALargeTransactionTravelAlone(t *testing.T) {
	q := newTestQueue()
	commit := time.Unix(1_800_000_000, 0)
	q.adds(t, 10, Event{Kind: Local, Position: "1", CommitTime: commit.Add(-time.Second)})
	before := q.stamper.Clock()
	q.adds(t, 10,
		Event{Kind: Local, Position: "1", CommitTime: commit, More: true},
		Event{Kind: Local, Position: "1", CommitTime: commit, Part: 1, More: true},
		Event{Kind: Local, Position: "2", CommitTime: commit, Part: 2},
		tx("3"))
	if q.processed != "2" && q.processed != "3" {
		t.Errorf("reached %q", q.processed)
	}
	for i, want := range []struct {
		seq   uint64
		clock uint64
	}{{1, before}, {2, before}, {2, before}, {2, change.HLC(commit)}, {3, change.HLC(commit) + 1}} {
		txs, clock, err := q.take(unwaiting(t.Context()), 1000, 9)
		if i > 0 && errors.Is(err, errBlocked) {
			q.done(clock)
			q.inflight = 0 // all stored
			txs, clock, err = q.take(unwaiting(t.Context()), 1000, 9)
		}
		if err != nil || len(txs) != 1 || txs[0].Seq != want.seq || clock != want.clock {
			t.Fatalf("frame %d: %d transactions, clock %d, %v; want transaction %d alone with clock %d", i, len(txs), clock, err, want.seq, want.clock)
		}
	}
}

// The reader waits when as much is pending as may be; one that is larger than that
// passes alone.
func TestTheReaderWaitsForAFullQueue(t *testing.T) {
	q := newTestQueue()
	add := func(p change.Position, bytes int) error {
		e := tx(p)
		return q.local(unwaiting(t.Context()), &e, bytes, 100, func(*change.Transaction) {})
	}
	if err := add("1", 500); err != nil {
		t.Fatalf("one that is larger than the queue: %v", err)
	}
	if err := add("2", 10); !errors.Is(err, errBlocked) {
		t.Errorf("beyond the limit: %v", err)
	}
	q.takes(t, 1000, 1)
	if err := add("2", 10); err != nil {
		t.Errorf("when it was taken: %v", err)
	}
	if got := q.stamper.Seq(); got != 2 {
		t.Errorf("stamped up to %d: what had to wait was stamped too", got)
	}
}

// A fence that raises the clock has that stored before it answers, in a frame of its own
// when there is no other, and nothing is stamped meanwhile.
func TestARaiseIsStoredBeforeTheFenceAnswers(t *testing.T) {
	const raise = 1 << 62
	q := newTestQueue()
	q.progress("5")
	ask := func() error {
		_, err := q.fence(unwaiting(t.Context()), "5", raise)
		return err
	}
	if err := ask(); !errors.Is(err, errBlocked) {
		t.Fatalf("answered before it was stored: %v", err)
	}
	e := tx("6")
	if err := q.local(unwaiting(t.Context()), &e, 1, 100, func(*change.Transaction) {}); !errors.Is(err, errBlocked) {
		t.Errorf("stamped before the raise was stored: %v", err)
	}
	txs, clock, err := q.take(unwaiting(t.Context()), 100, 4)
	if err != nil || len(txs) != 0 || clock != raise {
		t.Fatalf("%d transactions with clock %d, %v: want the fact alone", len(txs), clock, err)
	}
	if err := ask(); !errors.Is(err, errBlocked) {
		t.Errorf("answered while it was in flight: %v", err)
	}
	q.done(clock)
	if err := ask(); err != nil {
		t.Errorf("stored, and not answered: %v", err)
	}
	q.adds(t, 1, e)
	if got := q.pending[0].tx.HLC; got <= raise {
		t.Errorf("stamped %d after the raise to %d", got, uint64(raise))
	}
}

// A raise waits for a large transaction that has its stamp: its parts still to be read
// would be less.
func TestARaiseWaitsForALargeTransaction(t *testing.T) {
	q := newTestQueue()
	q.progress("5")
	q.adds(t, 1, Event{Kind: Local, Position: "5", More: true})
	if _, err := q.fence(unwaiting(t.Context()), "5", 0); err != nil {
		t.Errorf("a fence without a raise waited: %v", err)
	}
	before := q.stamper.Clock()
	if _, err := q.fence(unwaiting(t.Context()), "5", 1<<62); !errors.Is(err, errBlocked) || q.stamper.Clock() != before {
		t.Errorf("raised from %d to %d in the middle of it: %v", before, q.stamper.Clock(), err)
	}
}

// Closing the queue ends every wait with its reason.
func TestClosingEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue()
		q.adds(t, 10, tx("1"))
		q.takes(t, 10, 1)
		why := errors.New("the stream is gone")
		ended := make(chan error, 3)
		go func() { _, err := q.fence(t.Context(), "9", 0); ended <- err }()
		go func() { _, _, err := q.take(t.Context(), 10, 1); ended <- err }()
		q.adds(t, 10, tx("2"))
		go func() {
			e := tx("3")
			ended <- q.local(t.Context(), &e, 10, 10, func(*change.Transaction) {})
		}()
		synctest.Wait()
		if len(ended) > 0 {
			t.Fatalf("a wait ended by itself: %v", <-ended)
		}
		q.close(why)
		q.close(errors.New("a later reason"))
		for range 3 {
			if err := <-ended; !errors.Is(err, why) {
				t.Errorf("ended with %v", err)
			}
		}
		if err := q.wait(context.Background(), func() bool { return true }); err == nil {
			t.Error("a closed queue goes on")
		}
	})
}
