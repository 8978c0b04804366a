package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// truncateKeys is how many keys are looked at at a time.
const truncateKeys = 5000

// Truncate implements apply.Tx. keep is asked with images in the shape of table of
// which only the key is present. Where the table cannot be truncated, because the
// role may not or other tables have foreign keys to it, its rows are deleted.
func (tx *targetTx) Truncate(ctx context.Context, shape *change.Table, keep func(key []change.Value) bool) error {
	if err := tx.check(); err != nil {
		return err
	}
	t, err := tx.db.local(ctx, shape, shape.Key)
	if err != nil {
		return err
	}
	if keep != nil {
		return tx.failed(ctx, shape, shape.Key, t, tx.truncateBut(ctx, shape, t, keep))
	}
	q := query{sql: "DELETE FROM " + t.only(), about: "emptying table " + shape.QualifiedName(), shape: shape}
	if t.truncate && !t.referenced {
		q.sql = "TRUNCATE TABLE " + t.only()
	}
	b := tx.start(ctx, true)
	b.add(q)
	return tx.failed(ctx, shape, shape.Key, t, tx.run(ctx, b, "truncating"))
}

// truncateBut deletes the rows that keep does not want, through a cursor.
func (tx *targetTx) truncateBut(ctx context.Context, shape *change.Table, t *localTable, keep func([]change.Value) bool) error {
	cursor := fmt.Sprintf("concord_keys_%016x", shape.ID)
	about := "emptying table " + shape.QualifiedName()
	var names []string
	results := make([]int16, len(shape.Key))
	boolean := make([]bool, len(shape.Key))
	for i, name := range keyNames(shape) {
		names = append(names, quote(name))
		if t.columns[name].transfer == transferBytes {
			results[i] = 1
		}
		boolean[i] = t.columns[name].boolean
	}
	var keys [][]change.Value
	fetch := query{sql: fmt.Sprintf("FETCH %d FROM %s", truncateKeys, cursor), results: results, about: about, shape: shape,
		row: func(values [][]byte) error {
			image := make([]change.Value, len(shape.Columns))
			for i, k := range shape.Key {
				image[k] = change.TextValue(string(values[i]))
				if boolean[i] {
					text, err := formBool.canonical(image[k].Text)
					if err != nil {
						return err
					}
					image[k].Text = text
				}
			}
			keys = append(keys, image)
			return nil
		}}
	b := tx.start(ctx, true)
	b.add(query{sql: fmt.Sprintf("DECLARE %s NO SCROLL CURSOR FOR SELECT %s FROM %s", cursor, strings.Join(names, ", "), t.only()), about: about, shape: shape})
	b.add(fetch)
	if err := tx.run(ctx, b, "truncating"); err != nil {
		return err
	}
	s := t.statement(shape, verbRemove, shape.Key)
	for {
		more := len(keys) == truncateKeys
		var gone [][]change.Value
		for _, k := range keys {
			if !keep(k) {
				gone = append(gone, k)
			}
		}
		keys = keys[:0]
		b := tx.start(ctx, true)
		if len(gone) > 0 {
			params, err := tx.lane.encode(s, len(gone), func(i int, _ bool) []change.Value { return gone[i] })
			if err != nil {
				_ = b.run()
				return &targetError{class: apply.ErrRejected, doing: about, cause: &rowError{shape, err}}
			}
			b.add(query{sql: s.sql, params: params, formats: s.formats, about: about, shape: shape})
		}
		if more {
			b.add(fetch)
		} else {
			b.add(query{sql: "CLOSE " + cursor, about: about})
		}
		if err := tx.run(ctx, b, "truncating"); err != nil || !more {
			return err
		}
	}
}
