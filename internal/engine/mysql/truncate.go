package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// truncateKeys is how many keys are looked at at a time.
const truncateKeys = 20_000

// Truncate implements apply.Tx. keep is asked with images in the shape of table of
// which only the key is present. The server's TRUNCATE ends a transaction, so the rows
// are deleted.
func (tx *targetTx) Truncate(ctx context.Context, shape *change.Table, keep func(key []change.Value) bool) error {
	if err := tx.check(); err != nil {
		return err
	}
	t, err := tx.db.table(ctx, shape, shape.Key)
	if err != nil {
		return err
	}
	if keep != nil {
		return tx.failed(ctx, shape, shape.Key, t, tx.truncateBut(ctx, shape, t, keep))
	}
	b := tx.start(ctx)
	b.add(query{about: "emptying table " + shape.QualifiedName(), shape: shape}, "DELETE FROM "+t.sql())
	return tx.failed(ctx, shape, shape.Key, t, tx.run(ctx, b, "truncating"))
}

// truncateBut deletes the rows that keep does not want. In the order of the key, those
// that were kept so far come first.
func (tx *targetTx) truncateBut(ctx context.Context, shape *change.Table, t *localTable, keep func([]change.Value) bool) error {
	read := t.plan(keyShape(shape), tx.lane.conn.flavor, verbRead, nil)
	about := "emptying table " + shape.QualifiedName()
	names := make([]string, len(read.set))
	selected := make([]string, len(read.set))
	for i, c := range read.set {
		names[i], selected[i] = c.name, c.sent.selected(c.name)
	}
	for kept := 0; ; {
		var keys, gone [][]change.Value
		b := tx.start(ctx)
		b.add(query{about: about, shape: shape, row: func(values []*string) error {
			short, err := read.imageOf(shape, values)
			if err != nil {
				return err
			}
			image := make([]change.Value, len(shape.Columns))
			for i, k := range shape.Key {
				image[k] = short[i]
			}
			keys = append(keys, image)
			return nil
		}}, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT %d OFFSET %d",
			strings.Join(selected, ", "), t.sql(), t.force, strings.Join(names, ", "), truncateKeys, kept))
		if err := tx.run(ctx, b, "truncating"); err != nil {
			return err
		}
		for _, k := range keys {
			if keep(k) {
				kept++
			} else {
				gone = append(gone, k)
			}
		}
		if err := tx.deleteAll(ctx, shape, t, gone); err != nil || len(keys) < truncateKeys {
			return err
		}
	}
}

// deleteAll deletes the rows of keys.
func (tx *targetTx) deleteAll(ctx context.Context, shape *change.Table, t *localTable, keys [][]change.Value) error {
	if len(keys) == 0 {
		return nil
	}
	writes := make([]apply.Write, len(keys))
	rows := make([]int, len(keys))
	for i, k := range keys {
		writes[i], rows[i] = apply.Write{Action: apply.Remove, Row: &change.Row{Table: shape, Op: change.Delete, Old: k}}, i
	}
	s := &set{shape: shape, action: apply.Remove, verb: verbRemove, included: shape.Key, rows: rows, table: t,
		plan: t.plan(shape, tx.lane.conn.flavor, verbRemove, shape.Key)}
	b := tx.start(ctx)
	err := b.addSet(writes, s, make([]bool, len(writes)))
	if rerr := tx.run(ctx, b, "truncating"); rerr != nil {
		return rerr
	}
	return err
}

// keyShape is the shape of the key alone.
func keyShape(shape *change.Table) *change.Table {
	k := &change.Table{Schema: shape.Schema, Name: shape.Name}
	for i, c := range shape.Key {
		k.Columns, k.Key = append(k.Columns, shape.Columns[c]), append(k.Key, i)
	}
	return k.Seal()
}
