package capture

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// script is a log of given events, and a stream that stores what is published.
type script struct {
	tail     change.Tail
	events   []Event
	frames   []*change.Frame
	released change.Position
}

func (s *script) Compare(a, b change.Position) int                      { return strings.Compare(string(a), string(b)) }
func (s *script) Open(context.Context, change.Position) (Reader, error) { return s, nil }
func (s *script) Tail(context.Context) (change.Tail, error)             { return s.tail, nil }
func (s *script) Publish(_ context.Context, f *change.Frame) (change.Ack, error) {
	s.frames = append(s.frames, f)
	return s, nil
}
func (s *script) Wait(context.Context) error  { return nil }
func (s *script) Release(p change.Position)   { s.released = p }
func (s *script) Ask()                        {}
func (s *script) Close(context.Context) error { return nil }
func (s *script) Next(context.Context) (Event, error) {
	e := s.events[0]
	s.events = s.events[1:]
	return e, nil
}

// steps begins a session of capture on the script.
func (s *script) steps(t *testing.T) *Stepper {
	t.Helper()
	st, err := New(s, s, Options{Cluster: "test", Site: "mumbai", Epoch: 1}).Steps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close(context.Background()) })
	return st
}

// yes calls a step and wants it done; no wants it to have to wait.
func yes(t *testing.T, what string, step func(context.Context) (bool, error)) {
	t.Helper()
	if ok, err := step(t.Context()); !ok || err != nil {
		t.Fatalf("%s: %v, %v", what, ok, err)
	}
}

func no(t *testing.T, what string, step func(context.Context) (bool, error)) {
	t.Helper()
	if ok, err := step(t.Context()); ok || err != nil {
		t.Fatalf("%s did not have to wait: %v, %v", what, ok, err)
	}
}

// The end of the stream that a session finds may be lost in a crash of the bus. The log
// does not hold a raise of the clock: a transaction stamped on one that is lost would
// get another version when it is published again.
func TestNothingIsStampedOnTheEndOfAStreamBeforeItsClockIsStoredAgain(t *testing.T) {
	const raised = 1 << 62
	s := &script{
		tail:   change.Tail{Epoch: 1, Seq: 4, Clock: raised, Position: "4"},
		events: []Event{{Kind: Local, Position: "5", CommitTime: time.Unix(1, 0)}},
	}
	st := s.steps(t)
	no(t, "stamping the next transaction", st.Read)
	yes(t, "publishing the clock", st.Publish)
	no(t, "stamping it before the clock is stored", st.Read)
	yes(t, "storing the clock", st.Settle)
	yes(t, "stamping the next transaction", st.Read)
	yes(t, "publishing it", st.Publish)
	if len(s.frames) != 2 || s.frames[0].Clock != raised || len(s.frames[0].Transactions) != 0 {
		t.Fatalf("published %d frames, the first with clock %d and %d transactions", len(s.frames), s.frames[0].Clock, len(s.frames[0].Transactions))
	}
	if tx := s.frames[1].Transactions[0]; tx.Seq != 5 || tx.HLC != raised+1 {
		t.Errorf("stamped %d with clock %d, want 5 with %d", tx.Seq, tx.HLC, uint64(raised+1))
	}
}

// The first session of a site has nothing to store again.
func TestTheFirstTransactionOfASiteIsStampedAtOnce(t *testing.T) {
	s := &script{events: []Event{{Kind: Local, Position: "1", CommitTime: time.Unix(1, 0)}}}
	yes(t, "stamping the first transaction", s.steps(t).Read)
}

// A raise of the clock must not come before what an earlier session has stamped: the
// bus may have lost that frame when a peer already had it.
func TestWhatAnEarlierSessionStampedIsStampedAgainAsItWas(t *testing.T) {
	const raise = 1 << 62
	first := Event{Kind: Local, Position: "5", CommitTime: time.Unix(1, 0)}
	s := &script{events: []Event{first}}
	a := New(s, s, Options{Cluster: "test", Site: "mumbai", Epoch: 1})
	begin := func() *Stepper {
		t.Helper()
		st, err := a.Steps(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := begin()
	yes(t, "stamping", st.Read)
	yes(t, "publishing", st.Publish)
	if err := st.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.events = []Event{first} // the bus has lost the frame
	st = begin()
	defer func() { _ = st.Close(context.Background()) }()
	fence := func(ctx context.Context) (bool, error) { return st.Fence(ctx, "", raise) }
	no(t, "raising the clock", fence)
	yes(t, "stamping again", st.Read)
	yes(t, "publishing again", st.Publish)
	no(t, "raising the clock before that is stored", fence)
	yes(t, "storing it", st.Settle)
	yes(t, "publishing the clock", st.Publish)
	yes(t, "storing the clock", st.Settle)
	yes(t, "raising the clock", fence)
	before, again := s.frames[0].Transactions[0], s.frames[1].Transactions[0]
	if before.Seq != again.Seq || before.HLC != again.HLC {
		t.Errorf("stamped %d with clock %d, and again %d with clock %d", before.Seq, before.HLC, again.Seq, again.HLC)
	}
}
