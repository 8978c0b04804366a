package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// partTimeout is how long a large transaction may wait for its next part with
// locks held. Its origin sends parts as fast as its log is read.
const partTimeout = 10 * time.Second

// large applies one large transaction part by part inside one target transaction,
// and settles it part by part: the locks of a part are held from its writes on, so
// what its fence has shown stays true until the commit. Nothing of it is kept in
// memory but, with three and more sites, its keys in the window.
func (l *Link) large(ctx context.Context, parts <-chan change.Transaction, previous uint64) error {
	release, err := l.reserve(ctx, &group{exact: true})
	if err != nil {
		return err
	}
	defer release()
	return l.largeAlone(ctx, parts, previous)
}

// largeAlone is large with everything reserved. A part 0 that comes again makes the
// parts before it void: the origin began anew, and so does this.
func (l *Link) largeAlone(ctx context.Context, parts <-chan change.Transaction, previous uint64) error {
	next, err := nextPart(ctx, parts)
	for first := (*change.Transaction)(nil); err == nil; {
		if first = next; first.Part != 0 {
			return fmt.Errorf("%w: part %d of transaction %d comes first", change.ErrNeedsCopy, first.Part, first.Seq)
		}
		if next, err = l.oneLarge(ctx, first, parts, previous); next == nil {
			return err
		}
	}
	return err
}

// oneLarge applies a large transaction from its first part on. It returns a part 0
// that made it void.
func (l *Link) oneLarge(ctx context.Context, first *change.Transaction, parts <-chan change.Transaction, previous uint64) (again *change.Transaction, err error) {
	c := Checkpoint{Origin: first.Origin, Epoch: first.Epoch, Seq: first.Seq, HLC: first.HLC, Previous: previous}
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	var total result
	window := l.agent.o.Window
	committed := false
	defer func() {
		if !committed {
			window.Forget(conflict.TxOf(first))
		}
	}()
	for t, before := first, 0; ; {
		t.Before = before
		before += len(t.Rows)
		if err := l.part(ctx, tx, t, &total); err != nil {
			var schema *SchemaError
			if errors.As(err, &schema) && l.hold(schema, first.Seq) {
				return nil, errAgain
			}
			return nil, err
		}
		if !t.More {
			break
		}
		if t, err = nextPart(ctx, parts); err != nil {
			return nil, err
		}
		if t.Part == 0 {
			return t, nil
		}
	}
	if err := tx.Record(ctx, distinct(total.conflicts), total.parkedChanges); err != nil {
		return nil, err
	}
	if err := total.unpark(ctx, tx); err != nil {
		return nil, err
	}
	saved, err := l.saveHolds(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := l.agent.o.Hook("commit"); err != nil {
		return nil, err
	}
	unwatch := l.watch(total.works, total.unlocked)
	if err := l.commit(ctx, tx); err != nil {
		unwatch()
		return nil, err
	}
	saved()
	committed = true
	l.awaitRecheck(total.works, total.unlocked, first.Seq)
	l.agent.park.settled(total.healed)
	l.agent.park.add(total.parkedChanges)
	window.Settled(l.from, first.Seq, first.Seen)
	l.noteCommitted(c, time.Time{}, first.CommitTime, 1, &total)
	if err := l.agent.o.Hook("committed"); err != nil {
		return nil, err
	}
	return nil, l.recheckNow(ctx, c, nil)
}

func nextPart(ctx context.Context, parts <-chan change.Transaction) (*change.Transaction, error) {
	timer := time.NewTimer(partTimeout)
	defer timer.Stop()
	select {
	case t, ok := <-parts:
		if !ok {
			return nil, fmt.Errorf("%w: the large transaction ended early", ErrTransient)
		}
		return &t, nil
	case <-timer.C:
		return nil, fmt.Errorf("%w: the next part of a large transaction did not come in time", ErrTransient)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// part executes one part in the open transaction: the fast way inside a savepoint,
// and if that does not go, the surer ways.
func (l *Link) part(ctx context.Context, tx Tx, t *change.Transaction, total *result) error {
	w := fastWay
	if mustBeExact(t) {
		w = orderedWay
	}
	for tries := 0; ; {
		g := newGroup([]change.Transaction{*t}, l.accepts)
		g.exact = w >= orderedWay
		if err := tx.Savepoint(ctx); err != nil {
			return err
		}
		p := try{l: l, g: g, tx: tx}
		err := l.execute(ctx, &p, w)
		p.joint.end(l) // everything is reserved as it is
		if err == nil {
			total.add(&p.out)
			l.rememberUnlocked(total, &p)
			g.enterTruncates(l.agent.o.Window)
			enterPart(l.agent.o.Window, g, func(k *keyWork) bool {
				return l.agent.o.Window.KeepsApplied(l.from, !p.out.unlocked[k] && p.joint == nil)
			})
			return nil
		}
		var schema *SchemaError
		again := errors.Is(err, errSurprise) || errors.Is(err, ErrRejected) && !errors.As(err, &schema)
		if tries++; !again || tries > 20 || w == rowWay {
			return err // row by row there were savepoints of its own: the part's is gone
		}
		if rerr := tx.RollbackTo(ctx); rerr != nil {
			return rerr
		}
		switch {
		case w == fastWay:
			w = settledWay
		case errors.Is(err, ErrRejected):
			w = rowWay
		}
	}
}

// recheckLimit bounds how many keys of a large transaction are remembered for nothing
// but the record of a conflict.
const recheckLimit = 10_000

// rememberUnlocked keeps those keys of a part that had no row to lock, to look at them
// again once the transaction is committed.
func (l *Link) rememberUnlocked(total *result, p *try) {
	for _, k := range p.keys() {
		if !p.out.unlocked[k] || len(total.works) >= recheckLimit && l.agent.o.Window.VersionsOnly(k.table) {
			continue
		}
		if total.unlocked == nil {
			total.unlocked = map[*keyWork]bool{}
		}
		total.unlocked[k] = true
		total.works = append(total.works, k)
	}
}

// enterPart enters the keys of a part of a large transaction into the window.
func enterPart(w *conflict.Window, g *group, keep func(*keyWork) bool) {
	bulk := map[*change.Table]map[change.Op][]conflict.Key{}
	left := map[*change.Table]uint64{}
	for _, k := range g.keys {
		if !keep(k) {
			continue
		}
		if bulk[k.table] == nil {
			bulk[k.table] = map[change.Op][]conflict.Key{}
		}
		last := k.es[len(k.es)-1]
		if !w.AppliedImage(k.table, k.key, k.es) {
			left[k.table] |= last.UnchangedMask()
			bulk[k.table][last.Op] = append(bulk[k.table][last.Op], k.key)
		}
	}
	for table, ops := range bulk {
		for op, keys := range ops {
			w.AppliedBulk(table, conflict.TxOf(g.first()), op, keys, left[table])
		}
	}
}

func (r *result) add(o *result) {
	r.applied += o.applied
	r.kept += o.kept
	r.merged += o.merged
	r.parked += o.parked
	r.conflicts = append(r.conflicts, o.conflicts...)
	r.parkedChanges = append(r.parkedChanges, o.parkedChanges...)
	for k, parked := range o.healed {
		r.heal(k, parked)
	}
}
