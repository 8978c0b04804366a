package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// rebuild fills the window from the site's own copies of the streams: first what
// each peer is known to have seen (from its last settled transaction), then the
// local transactions beyond that, then the peers' applied ones.
func rebuild(ctx context.Context, a *Agent, points map[change.Site]Checkpoint) error {
	w := a.o.Window
	if _, err := a.restoreHolds(ctx); err != nil {
		return fmt.Errorf("held tables: %w", err)
	}
	for from, log := range a.o.Logs {
		c := points[from]
		if c.Seq == 0 {
			continue
		}
		last, err := lastSettled(ctx, log, c)
		if err != nil {
			return fmt.Errorf("stream of %s: %w", from, err)
		}
		w.Settled(from, c.Seq, last)
	}
	own, err := a.o.Own.Tail(ctx)
	if err != nil {
		return fmt.Errorf("own stream: %w", err)
	}
	low := w.Low(a.o.Site)
	if low > own.Seq {
		return fmt.Errorf("%w: peers have seen transaction %d of this site, its own stream ends at %d: the stream was lost or restored; begin a new epoch with `concord init --site %s --new-epoch`",
			change.ErrNeedsCopy, low, own.Seq, a.o.Site)
	}
	w.StartLocal(low)
	for o, n := range own.Seen {
		w.SelfSaw(o, n)
	}
	err = replay(ctx, a.o.Own, own.Epoch, low, own.Seq, func(t *change.Transaction) { w.AddLocal(t) })
	if err != nil {
		return fmt.Errorf("own stream: %w", err)
	}
	for from, log := range a.o.Logs {
		c := points[from]
		low := min(w.Low(from), c.Seq)
		err := replay(ctx, log, c.Epoch, low, c.Seq, func(t *change.Transaction) { enter(w, t, a.accepts(from)) })
		if err != nil {
			return fmt.Errorf("stream of %s: %w", from, err)
		}
	}
	return nil
}

// lastSettled reads what the origin had seen at the checkpoint.
func lastSettled(ctx context.Context, log Log, c Checkpoint) (change.Seen, error) {
	seen := change.Seen{}
	err := replay(ctx, log, c.Epoch, c.Seq-1, c.Seq, func(t *change.Transaction) { seen = t.Seen })
	return seen, err
}

// replay calls f for every transaction (or part) after low and up to high.
func replay(ctx context.Context, log Log, epoch uint32, low, high uint64, f func(*change.Transaction)) error {
	if low >= high {
		return nil
	}
	r, err := log.Open(ctx, epoch, low)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		frame, err := r.Next(ctx)
		if err != nil {
			return err
		}
		for i := range frame.Transactions {
			t := &frame.Transactions[i]
			if t.Seq > high {
				return nil
			}
			f(t)
			if t.Seq == high && !t.More {
				return nil
			}
		}
	}
}

// enter puts an applied transaction of a peer into the window again. Whether its
// rows had been locked is not known any more: as if not.
func enter(w *conflict.Window, t *change.Transaction, accepts func(*change.Table) bool) {
	g := newGroup([]change.Transaction{*t}, accepts)
	if t.More || t.Part > 0 {
		enterPart(w, g, func(*keyWork) bool { return true })
		return
	}
	for _, k := range g.keys {
		w.Applied(k.table, k.key, k.es, false)
	}
	for i := range t.Rows {
		if r := &t.Rows[i]; r.Op == change.Truncate && accepts(r.Table) {
			w.TruncateApplied(r.Table, conflict.TxOf(t))
		}
	}
}

// feedWindow feeds the window from the site's own stream, when capture runs in
// another process.
func feedWindow(ctx context.Context, a *Agent) error {
	for {
		err := followOwn(ctx, a)
		if ctx.Err() != nil {
			return nil
		}
		a.log.Warn("reading the own stream", "error", err)
		if err := sleep(ctx, time.Second); err != nil {
			return nil //nolint:nilerr // ctx has ended
		}
	}
}

func followOwn(ctx context.Context, a *Agent) error {
	r, err := a.o.Own.Open(ctx, 0, a.o.Window.LocalSeq())
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		f, err := r.Next(ctx)
		if err != nil {
			return err
		}
		for i := range f.Transactions {
			a.o.Window.AddLocal(&f.Transactions[i])
		}
	}
}

// FeedOwn feeds the window with the local transactions up to seq that the site's
// own stream holds and the window does not: published by another agent of this
// site. Capture calls it before it goes on from there.
func (a *Agent) FeedOwn(ctx context.Context, seq uint64) error {
	return replay(ctx, a.o.Own, 0, a.o.Window.LocalSeq(), seq, a.o.Window.AddLocal)
}
