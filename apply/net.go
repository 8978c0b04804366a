package apply

import (
	"context"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// In a table with unique keys a transaction is executed row by row too, but each row by
// its net effect, where it was written last: a value that it had only for a moment at its
// origin may be another row's here.

// findLast finds the last row change of every key of such a table.
func (t *rowwise) findLast(tx *change.Transaction) {
	t.last = map[conflict.Key]int{}
	for i := range tx.Rows {
		r := &tx.Rows[i]
		if r.Op == change.Truncate || len(r.Table.Unique) == 0 || !t.g.accepts(r.Table) || t.g.wiped.Covers(i, r) {
			continue
		}
		t.last[t.g.lastKey(r.Key(), r.Table)] = i
		if r.MovesKey() {
			t.last[t.g.lastKey(r.New, r.Table)] = i
		}
	}
}

// net brings those rows of works to what becomes of them that are not written again
// after the row change at index.
func (t *rowwise) net(ctx context.Context, index int, works []*keyWork) error {
	moved := orElse(works[0].current, works[0].vacated) // what a row with a new key does not carry
	for i, k := range works {
		if i == 1 && lacksValue(k.final) {
			k.final = conflict.Overlay(moved, k.final)
		}
		if t.last[k.key] != index {
			continue
		}
		if !k.decision.Known {
			if d := &k.decision; i == 1 && !d.Keep && d.Partial {
				d.State = conflict.Overlay(moved, d.State)
				d.Partial = lacksValue(d.State)
			}
			if err := t.carryOut(ctx, k); err != nil {
				return err
			}
			continue
		}
		t.recordOnce(k)
		if err := t.bring(ctx, k, k.final); err != nil {
			return err
		}
	}
	return nil
}

// parkNet parks all row changes of the keys of works, of which the one at index cannot
// be carried out: those before it were not executed on their own.
func (t *rowwise) parkNet(tx *change.Transaction, index int, works []*keyWork, reason, message string) {
	behind := false
	for i := range tx.Rows[:index+1] {
		r := &tx.Rows[i]
		if r.Op == change.Truncate || t.g.wiped.Covers(i, r) || !t.g.accepts(r.Table) {
			continue
		}
		for _, k := range works {
			if !t.g.touches(r, k.key) {
				continue
			}
			if t.counted[i] {
				t.out.applied--
				delete(t.counted, i)
			}
			t.parkRow(tx, i, reason, message, behind)
			behind = true
			break
		}
	}
	t.block(works, t.blocked)
}
