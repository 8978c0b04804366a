package mysql

import (
	"context"
	"fmt"
	"slices"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// Schema returns the tables that the configuration selects, as they are now, by name:
// what doctor compares across sites.
func (db *DB) Schema(ctx context.Context) (all []site.Table, err error) {
	err = db.admin(ctx, "reading the tables", func(c *conn) error {
		e := &examination{db: db, c: c}
		if e.catalog, err = loadCatalog(ctx, c, db.opts.Tables); err != nil {
			return err
		}
		if e.settings, err = readSettings(ctx, c); err != nil {
			return err
		}
		all, err = e.schema(ctx)
		return err
	})
	return all, err
}

func (e *examination) schema(ctx context.Context) ([]site.Table, error) {
	keys, err := e.foreignKeys(ctx)
	if err != nil {
		return nil, err
	}
	objects, err := e.objects(ctx)
	if err != nil {
		return nil, err
	}
	var all []site.Table
	for _, t := range e.sorted() {
		table := site.Table{Name: t.qualified(), Key: slices.Sorted(slices.Values(t.key)), Full: true}
		for i := range t.columns {
			c := &t.columns[i]
			if c.generated {
				continue
			}
			column := site.Column{Name: c.name, Type: c.typeText, Kind: c.types.kind, NotNull: c.notNull, Collation: c.comparing()}
			if c.types.kind == change.KindEnum || c.dataType == "set" {
				column.Labels = labels(c.typeText)
			}
			table.Columns = append(table.Columns, column)
			if c.sequence {
				seq, err := e.sequenceOf(ctx, t, c)
				if err != nil {
					return nil, err
				}
				table.Sequences = append(table.Sequences, seq)
			}
		}
		for _, s := range objects {
			if s.table == t {
				table.Sequences = append(table.Sequences, site.Sequence{Column: s.column, Name: s.name, Increment: s.step, Last: s.next - s.step})
			}
		}
		for _, f := range keys {
			if f.child == t || f.parent == t && f.child == nil {
				table.ForeignKeys = append(table.ForeignKeys, f.ForeignKey)
			}
		}
		for _, u := range t.unique {
			table.Unique = append(table.Unique, u.name)
		}
		all = append(all, table)
	}
	return all, nil
}

// sequenceOf is how an AUTO_INCREMENT column gets its numbers: all columns of a server
// in the same steps. Last is one of this server's own numbers, not less than any that
// the column has.
func (e *examination) sequenceOf(ctx context.Context, t *tableFacts, c *columnFacts) (site.Sequence, error) {
	s := site.Sequence{Column: c.name, Name: t.sql(), Server: true}
	step, offset, err := e.settings.autoIncrement()
	if err != nil {
		return s, err
	}
	s.Increment, s.Last = step, offset
	err = e.c.rows(ctx, "SELECT COALESCE(MAX("+quote(c.name)+"), 0) FROM "+t.sql(), func(row []string) {
		var most int64
		if _, err := fmt.Sscan(row[0], &most); err == nil && most > offset {
			s.Last = offset + (most-offset+step-1)/step*step
		}
	})
	if err != nil {
		return s, fmt.Errorf("reading the greatest %s of %s: %w", c.name, t.qualified(), err)
	}
	return s, nil
}

// labels are the values of an enumeration or a set, as its type is written:
// with a quote in a label written twice.
func labels(typeText string) (all []string) {
	var b []byte
	inside := false
	for i := 0; i < len(typeText); i++ {
		switch c := typeText[i]; {
		case !inside && c == '\'':
			inside, b = true, b[:0]
		case inside && c == '\'' && i+1 < len(typeText) && typeText[i+1] == '\'':
			b = append(b, c)
			i++
		case inside && c == '\'':
			inside = false
			all = append(all, string(b))
		case inside:
			b = append(b, c)
		}
	}
	return all
}
