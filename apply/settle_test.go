package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

var errBroken = fmt.Errorf("%w: the connection broke", ErrTransient)

// refusing refuses rows whose first value is "bad".
func refusing(w *Write) error {
	if n := w.Row.New; n != nil && n[1].Text == "bad" {
		return fmt.Errorf("%w: a constraint", ErrRejected)
	}
	return nil
}

// parkedText lists what is parked: transaction, reason, and whether it is behind another.
func (db *fakeDB) parkedText() []string {
	var out []string
	for _, p := range db.parked {
		out = append(out, fmt.Sprintf("%d %s %v", p.Seq, p.Reason, p.Behind))
	}
	return out
}

func wantAll(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func wantCounts(t *testing.T, l *Link, applied, parked uint64) {
	t.Helper()
	s := l.Status()
	if s.AppliedRows != applied || s.Parked != parked || s.Received != applied+parked {
		t.Errorf("received %d: applied %d, kept %d, merged %d, parked %d; want %d applied, %d parked",
			s.Received, s.AppliedRows, s.KeptLocal, s.Merged, s.Parked, applied, parked)
	}
}

// What passes is tried again, the same way, until it has passed.
func TestAPassingFaultIsTriedAgain(t *testing.T) {
	db := newFakeDB()
	faults := 3
	db.write = func(*Write) error {
		if faults--; faults >= 0 {
			return errBroken
		}
		return nil
	}
	l := linkTo(t, db, nil, nil)
	if err := l.Step(t.Context(), []change.Transaction{there(1, insert("k", "1", "1"))}); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "rows", db.text(), []string{"k 1 1"})
	wantCounts(t, l, 1, 0)
	if s := l.Status(); s.Retries != 3 || s.State == Retrying {
		t.Errorf("%d retries, then %s", s.Retries, s.State)
	}
}

// A change that the database refuses is found and parked alone; the rest of its group,
// and of its transaction, is applied.
func TestOnlyTheRefusedChangeIsParked(t *testing.T) {
	db := newFakeDB()
	db.write = refusing
	l := linkTo(t, db, nil, nil)
	err := l.Step(t.Context(), []change.Transaction{
		there(1, insert("a", "1", "1")),
		there(2, insert("b", "2", "2"), insert("c", "bad", "2"), insert("d", "2", "2")),
		there(3, insert("e", "3", "3")),
	})
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, "rows", db.text(), []string{"a 1 1", "b 2 2", "d 2 2", "e 3 3"})
	wantAll(t, "parked", db.parkedText(), []string{"2 rejected false"})
	wantCounts(t, l, 4, 1)
}

// What follows on a parked key is parked behind it, in order, until it is gone from
// the database; other keys go on.
func TestWhatFollowsOnAParkedKeyIsParkedInOrder(t *testing.T) {
	db := newFakeDB()
	db.write = refusing
	l := linkTo(t, db, nil, nil)
	for seq, r := range []change.Row{insert("k", "bad", "1"), update("k", "2", "~"), insert("other", "3", "3"), remove("k")} {
		if err := l.Step(t.Context(), []change.Transaction{there(uint64(seq+1), r)}); err != nil {
			t.Fatal(err)
		}
	}
	wantAll(t, "rows", db.text(), []string{"other 3 3"})
	wantAll(t, "parked", db.parkedText(), []string{"1 rejected false", "2 policy true", "4 policy true"})
	wantCounts(t, l, 1, 3)

	db.parked = nil // a person has discarded them
	if err := l.agent.park.load(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if err := l.Step(t.Context(), []change.Transaction{there(5, insert("k", "5", "5"))}); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "rows", db.text(), []string{"k 5 5", "other 3 3"})
}

// A key that moves is parked on both sides: neither may be written before it.
func TestAParkedMoveHoldsBothKeys(t *testing.T) {
	db := newFakeDB()
	db.rows["a"] = image("a", "1", "1")
	db.write = refusing
	l := linkTo(t, db, nil, nil)
	for seq, r := range []change.Row{move("a", "b", "bad", "1"), update("a", "2", "~"), insert("b", "3", "3")} {
		if err := l.Step(t.Context(), []change.Transaction{there(uint64(seq+1), r)}); err != nil {
			t.Fatal(err)
		}
	}
	wantAll(t, "rows", db.text(), []string{"a 1 1"})
	wantAll(t, "parked", db.parkedText(), []string{"1 rejected false", "2 policy true", "3 policy true"})
}

// With on_error = "stop" a refused change stops the link, and nothing of its
// transaction is applied.
func TestARefusedChangeStopsTheLinkWhenAsked(t *testing.T) {
	db := newFakeDB()
	db.write = refusing
	l := linkTo(t, db, nil, func(o *Options) { o.Stop = true })
	err := l.Step(t.Context(), []change.Transaction{
		there(1, insert("a", "1", "1")), there(2, insert("b", "2", "2"), insert("c", "bad", "2")), there(3, insert("d", "3", "3")),
	})
	if !errors.Is(err, ErrRejected) {
		t.Errorf("the link went on: %v", err)
	}
	wantAll(t, "rows", db.text(), []string{"a 1 1"})
	wantAll(t, "parked", db.parkedText(), nil)
	if l.fail(err); l.Status().State != Stopped {
		t.Errorf("the state is %s", l.Status().State)
	}
}

// Another agent has moved the checkpoint: nothing is tried again.
func TestAFencedLinkGivesUpAtOnce(t *testing.T) {
	db := newFakeDB()
	l := linkTo(t, db, nil, nil)
	db.commit = func() (before, after error) { db.point.Seq = 7; return nil, nil }
	if err := l.Step(t.Context(), []change.Transaction{there(1, insert("k", "1", "1"))}); !errors.Is(err, ErrFenced) {
		t.Errorf("not fenced: %v", err)
	}
	if db.begun != 1 || len(db.rows) > 0 {
		t.Errorf("%d tries, rows %q", db.begun, db.text())
	}
}

// The answer to a commit is lost: the group is not applied a second time when it was
// committed, and is when it was not.
func TestACommitWhoseAnswerIsLostHappensOnce(t *testing.T) {
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprintf("committed %v", happened), func(t *testing.T) {
			db := newFakeDB()
			txs := []change.Transaction{there(1, insert("k", "1", "1"))}
			l := linkTo(t, db, txs, nil)
			lost := false
			db.commit = func() (before, after error) {
				switch {
				case lost:
					return nil, nil
				case happened:
					lost = true
					return nil, errBroken
				}
				lost = true
				return errBroken, nil
			}
			err := l.Step(t.Context(), txs)
			if happened != (err != nil) {
				t.Fatalf("the step ended with %v", err)
			}
			if c, err := l.Resume(t.Context()); err != nil || c.Seq != 1 {
				t.Fatalf("the link goes on after %d: %v", c.Seq, err)
			}
			wantAll(t, "rows", db.text(), []string{"k 1 1"})
			if err := l.Step(t.Context(), []change.Transaction{txs[0], there(2, update("k", "2", "~"))}); err != nil {
				t.Fatal(err)
			}
			wantAll(t, "rows", db.text(), []string{"k 2 1"})
		})
	}
}

// A column that is missing here is waited for, where its table cannot be held back.
func TestAMissingColumnIsWaitedFor(t *testing.T) {
	db := newFakeDB()
	missing := true
	db.write = func(*Write) error {
		if missing {
			return &SchemaError{Table: "shop.stock", Column: "b", Detail: "does not exist"}
		}
		return nil
	}
	var l *Link
	waited := 0
	l = linkTo(t, db, nil, func(o *Options) {
		o.SchemaRetry = 7 * time.Second
		o.Pause = func(_ context.Context, d time.Duration) error {
			if s := l.Status(); s.State != Waiting || d != 7*time.Second {
				t.Errorf("%s for %s", s.State, d)
			}
			waited++
			missing = waited < 3
			return nil
		}
	})
	if err := l.Step(t.Context(), []change.Transaction{there(1, insert("k", "1", "1"))}); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "rows", db.text(), []string{"k 1 1"})
	wantAll(t, "parked", db.parkedText(), nil)
	if waited != 3 {
		t.Errorf("waited %d times", waited)
	}
}

// An update that has to make a row, but does not carry it whole, is parked and not
// guessed.
func TestAnUpdateOfARowThatIsNotHereIsWholeOrParked(t *testing.T) {
	db := newFakeDB()
	l := linkTo(t, db, nil, nil)
	if err := l.Step(t.Context(), []change.Transaction{there(1, update("whole", "1", "1"), update("partial", "1", "~"))}); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "rows", db.text(), []string{"whole 1 1"})
	wantAll(t, "parked", db.parkedText(), []string{"1 partial false"})
	wantCounts(t, l, 1, 1)
}

// Two writes that did not know each other wait for a person under the policy park.
func TestThePolicyParkDecidesNothing(t *testing.T) {
	db := newFakeDB()
	db.rows["k"] = image("k", "here", "here")
	l := linkTo(t, db, nil, func(o *Options) {
		o.Policy = func(*change.Table) conflict.Policy { return conflict.Policy{Base: conflict.Park} }
	})
	l.agent.o.Window.AddLocal(&change.Transaction{Origin: "here", Seq: 1, HLC: 1, Rows: []change.Row{update("k", "here", "here")}})
	if err := l.Step(t.Context(), []change.Transaction{there(1, update("k", "there", "there"))}); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "rows", db.text(), []string{"k here here"})
	wantAll(t, "parked", db.parkedText(), []string{"1 policy false"})
}
