package apply

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// A change that has to make its row and does not carry all of it (the log leaves out large
// values that did not change) is parked, and what follows on its key behind it, until a
// write comes that stands above all that waits and needs nothing of it: the row, published
// again by the origin of the last of what waits (see AskRows), a delete, or a write of an
// application that happens to be whole. It is settled by the window like any other, since
// what waits is in the window too. What waited has no effect any more, and goes in the
// transaction that writes the row.

// RowTx is a Tx that can remove parked changes.
type RowTx interface {
	// Unpark removes parked changes in this transaction; of each only what names it counts:
	// Origin, Epoch, Seq, Index. What is not there is passed over.
	Unpark(ctx context.Context, parked []Parked) error
}

// heals returns what is parked of a key and superseded by what arrived on it, as it was
// decided; nil: nothing is parked, or it still has to wait.
func (t *try) heals(k *keyWork) []Parked {
	waits := t.l.agent.park.awaits(k.table, k.key)
	if _, ok := t.tx.(RowTx); !ok || len(waits) == 0 || len(k.es) == 0 || len(t.g.txs) == 0 {
		return nil
	}
	d := &k.decision
	if d.Keep || d.Err != nil || d.Partial || t.l.agent.o.Policy(k.table).Base == conflict.Park {
		return nil
	}
	state := d.State
	if d.Known {
		state = k.final
	}
	if lacksValue(state) {
		return nil
	}
	if !t.above(k.es[len(k.es)-1].Tx, k.table, waits) {
		return nil
	}
	return waits
}

// above reports whether a write knows all that waits or, where the greatest version wins
// in any case, is later.
func (t *try) above(tx *conflict.Tx, table *change.Table, waits []Parked) bool {
	newest := t.l.agent.o.Window.VersionsOnly(table)
	return !slices.ContainsFunc(waits, func(w Parked) bool {
		return !tx.Saw(&conflict.Tx{Origin: w.Origin, Seq: w.Seq}) && (!newest || !w.version().Less(tx.Version()))
	})
}

// truncateHeals is heals for a truncate: what is parked of a key that it empties.
func (t *try) truncateHeals(table *change.Table, key conflict.Key, e *conflict.Tx) []Parked {
	waits := t.l.agent.park.awaits(table, key)
	if _, ok := t.tx.(RowTx); !ok || len(waits) == 0 || !t.above(e, table, waits) {
		return nil
	}
	if d := t.l.agent.o.Window.TruncateKeeps(table, key, e); !d.Known && (d.Keep || d.Partial || d.State != nil) {
		return nil
	}
	return waits
}

// healTruncated notes what is parked of keys that a truncate has emptied.
func (t *try) healTruncated(table *change.Table, e *conflict.Tx) {
	for _, row := range t.l.agent.park.awaited() {
		if row.table.QualifiedName() == table.QualifiedName() && t.g.byKey[row.key] == nil {
			t.out.heal(row.key, t.truncateHeals(table, row.key, e))
		}
	}
}

// waits reports whether what arrived on a key must wait behind what is parked of it.
func (t *try) waits(k *keyWork) bool {
	return t.l.agent.park.blocks(k.table, k.key) && t.heals(k) == nil
}

// healed notes what goes with the group.
func (r *result) heal(k conflict.Key, parked []Parked) {
	if len(parked) == 0 {
		return
	}
	if r.healed == nil {
		r.healed = map[conflict.Key][]Parked{}
	}
	r.healed[k] = parked
}

// behind is why a change waits behind another of its row. partial: that one is of its own
// transaction, and waits for its row.
func (t *try) behind(k *keyWork, partial bool) (reason, message string) {
	switch {
	case k.decision.Err != nil: // it would wait for a person without the other
		return undecided(k.decision.Err)
	case partial, len(t.l.agent.park.awaits(k.table, k.key)) > 0:
		return ReasonPartial, "an earlier change of this row waits for the row from its origin"
	}
	return ReasonPolicy, "an earlier change of this row is parked"
}

// partial is why a change waits for its row.
func (l *Link) partial() string {
	const why = "the row must be written whole, but its origin logged only the changed columns (unchanged TOAST)"
	if l.agent.o.Rows == nil {
		return why + "; set REPLICA IDENTITY FULL on the table at " + string(l.from)
	}
	return why + ": waiting for the row from " + string(l.from)
}

// onlyPartial reports whether changes wait for nothing but their row, which will come.
func (l *Link) onlyPartial(parked []Parked) bool {
	return l.agent.o.Rows != nil && !slices.ContainsFunc(parked, func(p Parked) bool { return p.Reason != ReasonPartial })
}

// rowOf is the shape and the image of a key, without anything else of the row.
func rowOf(t *change.Table, image []change.Value) (*change.Table, []change.Value) {
	only := &change.Table{Schema: t.Schema, Name: t.Name}
	var key []change.Value
	for i, k := range t.Key {
		only.Columns, only.Key = append(only.Columns, t.Columns[k]), append(only.Key, i)
		key = append(key, image[k])
	}
	return only.Seal(), key
}

// unpark removes what is healed from the database.
func (r *result) unpark(ctx context.Context, tx Tx) error {
	if len(r.healed) == 0 {
		return nil
	}
	var parked []Parked
	for _, k := range slices.SortedFunc(maps.Keys(r.healed), compareKeys) {
		parked = append(parked, r.healed[k]...)
	}
	return tx.(RowTx).Unpark(ctx, parked) // heals asked whether it is one
}

func compareKeys(a, b conflict.Key) int {
	return cmp.Or(cmp.Compare(a.Hi, b.Hi), cmp.Compare(a.Lo, b.Lo))
}
