package postgres

import (
	"context"
	"errors"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// Read implements apply.Tx. A column that the local table lacks is unchanged in the
// images.
func (tx *targetTx) Read(ctx context.Context, shape *change.Table, keys [][]change.Value) ([][]change.Value, error) {
	if err := tx.check(); err != nil {
		return nil, err
	}
	images := make([][]change.Value, len(keys))
	if len(keys) == 0 {
		return images, nil
	}
	t, err := tx.readableTable(ctx, shape)
	if err != nil {
		return nil, err
	}
	s := t.statement(shape, verbRead, shape.Key)
	b := tx.start(ctx, false)
	for first := 0; first < len(keys) && err == nil; first += setRows {
		part := keys[first:min(first+setRows, len(keys))]
		err = tx.addRead(b, t, shape, s, part, images[first:])
	}
	if rerr := tx.run(ctx, b, "reading"); rerr != nil {
		err = rerr
	}
	if err != nil {
		return nil, tx.failed(ctx, shape, shape.Key, t, err)
	}
	return images, nil
}

// readableTable is the local table of a shape when it has at least its key. A table that
// lacks something is looked up again: it may have it by now.
func (tx *targetTx) readableTable(ctx context.Context, shape *change.Table) (*localTable, error) {
	all := make([]int, len(shape.Columns))
	for i := range all {
		all[i] = i
	}
	t, err := tx.db.local(ctx, shape, all)
	var schema *apply.SchemaError
	if errors.As(err, &schema) && len(schema.Missing) > 0 {
		t = tx.db.target.catalog.get(shape.QualifiedName())
		err = misfit(t, shape, shape.Key)
	}
	return t, err
}

func (tx *targetTx) addRead(b *batch, t *localTable, shape *change.Table, s *statement, keys, images [][]change.Value) error {
	params, err := tx.lane.encode(s, len(keys), func(i int, _ bool) []change.Value { return keys[i] })
	if err != nil {
		return &targetError{class: apply.ErrRejected, doing: "reading table " + shape.QualifiedName(), cause: &rowError{shape, err}}
	}
	boolean := make([]bool, len(s.columns))
	for i, c := range s.columns {
		boolean[i] = t.columns[shape.Columns[c].Name].boolean
	}
	b.add(query{sql: s.sql, params: params, formats: s.formats, results: s.results,
		about: "table " + shape.QualifiedName(), shape: shape,
		row: func(values [][]byte) error {
			n, err := ordinal(values, len(keys))
			if err != nil {
				return err
			}
			image := make([]change.Value, len(shape.Columns))
			for i, c := range s.columns {
				switch v := values[i+1]; {
				case v == nil:
					image[c] = change.NullValue()
				case boolean[i]:
					text, err := formBool.canonical(string(v))
					if err != nil {
						return err
					}
					image[c] = change.TextValue(text)
				default:
					image[c] = change.TextValue(string(v)) // a bytea came as its bytes
				}
			}
			images[n] = image
			return nil
		}})
	return nil
}
