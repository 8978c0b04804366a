package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// rebuild fills the window from the site's own copies of the streams: first what
// each peer is known to have seen (from its last settled transaction), then the
// local transactions beyond that, then the peers' applied ones, and at last those
// older ones that belong into the lists of the keys found.
func rebuild(ctx context.Context, a *Agent, points map[change.Site]Checkpoint) error {
	w := a.o.Window
	holds, err := a.restoreHolds(ctx)
	if err != nil {
		return fmt.Errorf("held tables: %w", err)
	}
	own, err := a.o.Own.Tail(ctx)
	if err != nil {
		return fmt.Errorf("own stream: %w", err)
	}
	for o, n := range own.Seen {
		w.SelfSaw(o, n)
	}
	peers := slices.Sorted(maps.Keys(a.o.Logs))
	for _, from := range peers {
		if err := settledOf(ctx, a, from, points[from], own.Seen[from]); err != nil {
			return fmt.Errorf("stream of %s: %w", from, err)
		}
	}
	low := map[change.Site]uint64{a.o.Site: w.Low(a.o.Site)}
	if low[a.o.Site] > own.Seq {
		return fmt.Errorf("%w: peers have seen transaction %d of this site, its own stream ends at %d: the stream was lost or restored; begin a new epoch with `concord init --site %s --new-epoch`",
			change.ErrNeedsCopy, low[a.o.Site], own.Seq, a.o.Site)
	}
	w.StartLocal(low[a.o.Site])
	err = replay(ctx, a.o.Own, own.Epoch, low[a.o.Site], own.Seq, func(t *change.Transaction) { w.AddLocal(t) })
	if err != nil {
		return fmt.Errorf("own stream: %w", err)
	}
	for _, from := range peers {
		c := points[from]
		low[from] = min(w.Low(from), c.Seq)
		found := newFindings()
		err := replay(ctx, a.o.Logs[from], c.Epoch, low[from], c.Seq, func(t *change.Transaction) {
			found.note(enterAgain(w, t, a.applied(t, holds)))
		})
		if err != nil {
			return fmt.Errorf("stream of %s: %w", from, err)
		}
		a.links[from].expect(found)
	}
	return deepen(ctx, a, points, own.Epoch, low, holds)
}

// settledOf tells the window what a peer had seen by the transactions settled from
// it: the last one whose mark the own stream proves to be in the log, and the last
// one in the checkpoint, which a crash of the database might take back.
func settledOf(ctx context.Context, a *Agent, from change.Site, c Checkpoint, proved uint64) error {
	proved = min(proved, c.Seq)
	for _, seq := range []uint64{proved, c.Seq} {
		if seq == 0 {
			continue
		}
		seen, err := seenBy(ctx, a.o.Logs[from], c.Epoch, seq)
		if err != nil {
			return err
		}
		a.o.Window.Settled(from, seq, seen)
	}
	return nil
}

// deepen reads further back, as long as a write in the window had not seen all that
// its key's list begins with. high is up to where each stream was not read yet.
func deepen(ctx context.Context, a *Agent, points map[change.Site]Checkpoint, epoch uint32, high map[change.Site]uint64, holds []Hold) error {
	w := a.o.Window
	for found := 1; found > 0; {
		found = 0
		for _, from := range slices.Sorted(maps.Keys(high)) {
			log, e := a.o.Own, epoch
			if from != a.o.Site {
				log, e = a.o.Logs[from], points[from].Epoch
			}
			d := w.Deepen()
			err := replay(ctx, log, e, w.Needs(from), high[from], func(t *change.Transaction) { d.Add(t, a.applied(t, holds)) })
			if err != nil {
				return fmt.Errorf("stream of %s: %w", from, err)
			}
			found += d.Found()
		}
	}
	return nil
}

// seenBy reads what the origin had seen at its transaction seq.
func seenBy(ctx context.Context, log Log, epoch uint32, seq uint64) (change.Seen, error) {
	seen := change.Seen{}
	err := replay(ctx, log, epoch, seq-1, seq, func(t *change.Transaction) { seen = t.Seen })
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

// enterTruncates puts the truncates of a group, which is one transaction or a part of
// one, into the window. It comes before the keys: those the transaction wrote after
// it stand in its place.
func (g *group) enterTruncates(w *conflict.Window) {
	if g.wiped == nil {
		return
	}
	t := g.first()
	for i := range t.Rows {
		if r := &t.Rows[i]; r.Op == change.Truncate && g.accepts(r.Table) {
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
			return nil //nolint:nilerr // it was told to end
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
