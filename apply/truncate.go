package apply

import (
	"context"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// truncate removes the rows of a table, but those with a write that the truncate did
// not know of and that the fold prefers. Nobody else writes the table: it is locked.
func (t *rowwise) truncate(ctx context.Context, r *change.Row) error {
	w := t.l.agent.o.Window
	e := conflict.TxOf(t.g.first())
	for _, k := range t.g.keys {
		if k.table.QualifiedName() == r.Table.QualifiedName() {
			k.current, k.written = nil, false
		}
	}
	if len(r.Table.Unique) > 0 {
		if err := t.truncateValues(ctx, r.Table); err != nil {
			return err
		}
		t.healTruncated(r.Table, e)
		return nil
	}
	t.healTruncated(r.Table, e)
	if !w.TruncateMeets(r.Table, e) {
		return t.tx.Truncate(ctx, r.Table, nil)
	}
	met, err := t.truncateBut(ctx, r.Table, e)
	if err != nil {
		return err
	}
	for _, k := range met {
		if !k.decision.Keep {
			if err := t.bring(ctx, k, k.decision.State); err != nil {
				return err
			}
		}
		// What the transaction wrote on the key after the truncate stands for both.
		if t.g.byKey[k.key] == nil {
			t.recordMet(k, disputed(k.decision.Err))
		}
	}
	return nil
}

// truncateBut truncates and returns the keys that met something, with the rows that
// were left: those to be kept or changed, those that are gone now, and those that
// were gone and come back.
func (t *rowwise) truncateBut(ctx context.Context, table *change.Table, e *conflict.Tx) ([]*keyWork, error) {
	w := t.l.agent.o.Window
	var met, left []*keyWork
	there := map[conflict.Key]bool{}
	var buf []byte
	err := t.tx.Truncate(ctx, table, func(image []change.Value) bool {
		k := &keyWork{table: table, image: image}
		k.key, buf = conflict.KeyOf(table, image, buf)
		there[k.key] = true
		k.decision = w.TruncateKeeps(table, k.key, e)
		if k.decision.Known {
			return false
		}
		met = append(met, k)
		if k.decision.State == nil && !k.decision.Keep {
			return false
		}
		left = append(left, k)
		return true
	})
	if err != nil {
		return nil, err
	}
	if err := t.reread(ctx, table, left); err != nil {
		return nil, err
	}
	w.TruncateRevives(table, e, func(key conflict.Key, d conflict.Decision) {
		if !there[key] && t.g.byKey[key] == nil && !t.l.agent.park.blocks(table, key) {
			met = append(met, &keyWork{key: key, table: table, image: d.State, decision: d})
		}
	})
	return met, nil
}

// reread reads the rows that the truncate left.
func (t *rowwise) reread(ctx context.Context, table *change.Table, left []*keyWork) error {
	if len(left) == 0 {
		return nil
	}
	images := make([][]change.Value, len(left))
	for i, k := range left {
		images[i] = k.image
	}
	rows, err := t.tx.Read(ctx, table, images)
	if err != nil {
		return err
	}
	for i, k := range left {
		k.current = rows[i]
		if own := t.g.byKey[k.key]; own != nil {
			own.current = rows[i]
		}
	}
	return nil
}

// truncateValues truncates a table with unique keys, but for the rows that were decided
// to be left. Those that change make room for each other first.
func (t *rowwise) truncateValues(ctx context.Context, table *change.Table) error {
	left := map[conflict.Key]*keyWork{}
	var order []*keyWork
	for _, o := range t.joint.left {
		if o.Table.QualifiedName() != table.QualifiedName() || t.held(o.Table, o.Key) {
			continue
		}
		k := &keyWork{key: o.Key, table: o.Table, image: o.Image, decision: conflict.Decision{State: o.State, Partial: o.Partial, Met: o.Met, Pairs: o.Pairs}}
		left[o.Key] = k
		order = append(order, k)
	}
	var buf []byte
	var stay []*keyWork
	err := t.tx.Truncate(ctx, table, func(image []change.Value) bool {
		var key conflict.Key
		key, buf = conflict.KeyOf(table, image, buf)
		if k := left[key]; k != nil && k.decision.State != nil {
			stay = append(stay, k)
			return true
		}
		return t.held(table, key)
	})
	if err != nil {
		return err
	}
	if err := t.reread(ctx, table, stay); err != nil {
		return err
	}
	var away []Write
	for _, k := range stay {
		if w, ok := writeFor(k, nil); ok && !sameImage(k.current, k.decision.State) {
			away = append(away, w)
			k.vacated, k.current = k.current, nil
		}
	}
	if err := t.write(ctx, away); err != nil {
		return err
	}
	for _, k := range order {
		if state := k.decision.State; state != nil && (k.current == nil || !sameImage(k.current, state)) {
			if err := t.bring(ctx, k, state); err != nil {
				return err
			}
		}
		t.recordMet(k, "")
	}
	return nil
}

// held reports whether a row is left because a change of it is parked, which the truncate
// does not make superfluous.
func (t *rowwise) held(table *change.Table, key conflict.Key) bool {
	return t.l.agent.park.blocks(table, key) && t.truncateHeals(table, key, conflict.TxOf(t.g.first())) == nil
}
