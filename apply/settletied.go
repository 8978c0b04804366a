package apply

import (
	"context"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// settleTied is settleKey for a table with unique keys: the row of k, and all that values
// tie it to, are made what the joint fold of their writes says.
func (l *Link) settleTied(ctx context.Context, c Checkpoint, k *keyWork) error {
	w := l.agent.o.Window
	tied, _ := w.States(k.table, k.key)
	if l.agent.park.blocks(k.table, k.key) {
		return nil
	}
	if len(tied) == 0 {
		if err := l.recordSince(ctx, c, k); err != nil {
			return err
		}
		if now, _ := w.States(k.table, k.key); len(now) > 0 {
			return errSurprise // who made the row meanwhile has come with the fence
		}
		return nil
	}
	others := slices.DeleteFunc(reservesOf(tied), func(o conflict.Key) bool { return o == k.key })
	free, ok := l.agent.keys.add(l.from, others)
	if !ok {
		return errTurn
	}
	defer free()
	c.Previous = c.Seq
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	works, err := l.readTied(ctx, tx, k, tied)
	if err != nil {
		return err
	}
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	if err := l.askFence(ctx, p, 0, l.agent.o.FenceTimeout); err != nil {
		return err
	}
	now, collisions := w.States(k.table, k.key)
	if len(now) == 0 {
		return nil
	}
	if !slices.EqualFunc(tied, now, func(a, b conflict.Other) bool { return a.Key == b.Key }) {
		return errSurprise
	}
	met, decision := l.metSince(k)
	fresh, err := l.lacking(ctx, l.collisionsOf(collisions))
	if err != nil {
		return err
	}
	met = append(met, fresh...)
	made, changed, err := l.writeTied(ctx, tx, works, now)
	if err != nil {
		return err
	}
	if !changed && len(met) == 0 {
		return nil
	}
	if made {
		if err := l.stillTied(ctx, tx, k, now); err != nil {
			return err
		}
	}
	if err := tx.Record(ctx, distinct(met), nil); err != nil {
		return err
	}
	k.decision = decision
	if err := l.agent.commit(ctx, tx); err != nil {
		return err
	}
	l.countRows(&result{conflicts: met})
	return nil
}

// collisionsOf are those of a local write: an application may have taken a value between
// the last look at it and the commit.
func (l *Link) collisionsOf(all []conflict.Collision) []Conflict {
	local := func(w *conflict.Write) bool { return w != nil && w.Tx.Origin == l.agent.o.Site }
	var out []Conflict
	for i := range all {
		if c := &all[i]; local(c.TakerWrite) || local(c.HeldWrite) {
			out = append(out, l.collisionOf(c))
		}
	}
	return out
}

// readTied reads and locks the rows, and gives a work for each; k's own is k.
func (l *Link) readTied(ctx context.Context, tx Tx, k *keyWork, tied []conflict.Other) ([]*keyWork, error) {
	works := make([]*keyWork, len(tied))
	for i, o := range tied {
		works[i] = &keyWork{key: o.Key, table: o.Table, image: o.Image}
		if o.Key == k.key {
			works[i] = k
		}
		now, err := tx.Read(ctx, works[i].table, [][]change.Value{works[i].image})
		if err != nil {
			return nil, err
		}
		works[i].current, works[i].vacated = now[0], nil
	}
	return works, nil
}

// writeTied makes the rows what they must be: those that differ are taken away first,
// since one may hold a value that another needs. made says that a row was made where
// there was none.
func (l *Link) writeTied(ctx context.Context, tx Tx, works []*keyWork, states []conflict.Other) (made, changed bool, err error) {
	var away, back []Write
	for i, k := range works {
		state := states[i].State
		if states[i].Partial || sameImage(state, k.current) || l.agent.park.blocks(k.table, k.key) {
			continue
		}
		changed = true
		made = made || k.current == nil
		if w, ok := writeFor(k, nil); ok && k.current != nil {
			away = append(away, w)
			k.vacated, k.current = k.current, nil
		}
		if w, ok := writeFor(k, state); ok {
			if lacksValue(w.Row.New) {
				return false, false, nil // not without guessing
			}
			back = append(back, w)
		}
	}
	for _, writes := range [][]Write{away, back} {
		missing, err := tx.Write(ctx, writes)
		if err != nil {
			return false, false, err
		}
		if len(missing) > 0 {
			return false, false, errSurprise
		}
	}
	return made, changed, nil
}

// stillTied is stillMakes for rows tied together.
func (l *Link) stillTied(ctx context.Context, tx Tx, k *keyWork, states []conflict.Other) error {
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	if err := l.askFence(ctx, p, 0, l.agent.o.FenceTimeout); err != nil {
		return err
	}
	now, _ := l.agent.o.Window.States(k.table, k.key)
	if !slices.EqualFunc(now, states, func(a, b conflict.Other) bool { return a.Key == b.Key && sameImage(a.State, b.State) }) {
		return errSurprise
	}
	return nil
}
