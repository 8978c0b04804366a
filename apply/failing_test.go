package apply

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// here makes local transaction seq.
func here(seq uint64, rows ...change.Row) *change.Transaction {
	return &change.Transaction{Origin: "here", Epoch: 1, Seq: seq, HLC: seq << 8, Rows: rows}
}

// A window that cannot read what it has spilled answers as if nothing was in flight: what
// was decided by it is not committed, and the agent ends, to be made anew.
func TestNothingIsCommittedThatAFailedWindowDecided(t *testing.T) {
	full := errors.New("input/output error")
	var fault error
	var window *conflict.Window
	db := newFakeDB()
	l := linkTo(t, db, nil, func(o *Options) {
		window = conflict.NewWindow(conflict.WindowOptions{
			Self: "here", Peers: []change.Site{"there"}, Policy: o.Policy, Memory: 1,
			Store: &conflict.MemoryStore{Fault: func() error { return fault }},
		})
		o.Window = window
	})
	window.AddLocal(here(1, insert("k", "here", "1")))
	fault = full
	err := l.Step(t.Context(), []change.Transaction{there(1, update("k", "there", "1"))})
	if !errors.Is(err, conflict.ErrStore) || !errors.Is(err, full) {
		t.Errorf("the step ended with %v", err)
	}
	wantAll(t, "rows", db.text(), nil)
	if db.point.Seq != 0 {
		t.Errorf("the checkpoint is at %d", db.point.Seq)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.agent.Run(ctx); !errors.Is(err, conflict.ErrStore) {
		t.Errorf("the agent ended with %v", err)
	}
}
