package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// uniqueFacts is a unique index of a table besides its replication key.
type uniqueFacts struct {
	name       string
	parts      []uniquePart
	where      []condition
	nullsEqual bool
	deferrable bool
	// unread says why the values of the index cannot be told from a row's image: then
	// what two sites give to two rows is found by the database only, and parked.
	unread string
}

type uniquePart struct {
	column string
	fold   change.Case
}

const uniqueQuery = `
SELECT i.indrelid, ic.relname::text, i.indnullsnotdistinct, NOT i.indimmediate,
	coalesce(pg_get_expr(i.indpred, i.indrelid, true), ''),
	array(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) n ORDER BY n),
	EXISTS (SELECT FROM unnest(i.indcollation) u(oid) JOIN pg_collation co ON co.oid = u.oid WHERE NOT co.collisdeterministic)
FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
WHERE i.indrelid = ANY($1::oid[]) AND i.indisunique AND i.indisvalid
ORDER BY i.indrelid, ic.relname`

// loadUnique reads the unique indexes of the tables of c. Types must be known.
func (c *catalog) loadUnique(ctx context.Context, q querier, oids []uint32) error {
	rows, err := q.Query(ctx, uniqueQuery, oids)
	if err != nil {
		return fmt.Errorf("reading the catalogue of unique indexes: %w", err)
	}
	var relid uint32
	var name, where string
	var parts []string
	var nullsEqual, deferrable, nondet bool
	_, err = pgx.ForEachRow(rows, []any{&relid, &name, &nullsEqual, &deferrable, &where, &parts, &nondet}, func() error {
		t := c.tables[relid]
		u := uniqueFacts{name: name, nullsEqual: nullsEqual, deferrable: deferrable}
		if u.unread = c.readUnique(t, &u, parts, where); u.unread == "" && nondet {
			u.unread = "a collation that is not deterministic"
		}
		if where == "" && u.unread == "" && u.isKey(t.key) {
			return nil
		}
		t.unique = append(t.unique, u)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the catalogue of unique indexes: %w", err)
	}
	return nil
}

// readUnique fills in parts and conditions; what it does not understand is returned.
func (c *catalog) readUnique(t *tableFacts, u *uniqueFacts, parts []string, where string) string {
	kind := func(column string) (change.Kind, bool) {
		col := t.column(column)
		if col == nil || col.generated {
			return 0, false
		}
		return c.types[col.typeOID].kind, true
	}
	for _, text := range parts {
		column, fold, err := parsePart(text)
		if err != nil {
			return err.Error()
		}
		col := t.column(column)
		switch {
		case col == nil:
			return "the expression " + text
		case col.generated:
			return "the generated column " + column
		case c.types[col.typeOID].keyProblem != "":
			return fmt.Sprintf("the column %s of type %s, %s", column, col.typeText, c.types[col.typeOID].keyProblem)
		}
		u.parts = append(u.parts, uniquePart{column, fold})
	}
	if where == "" {
		return ""
	}
	var err error
	if u.where, err = parsePredicate(where, kind); err != nil {
		return fmt.Sprintf("the condition (%s), in which %s is not understood", where, err)
	}
	return ""
}

// isKey reports whether the index is on the columns of the replication key.
func (u *uniqueFacts) isKey(key []string) bool {
	return len(u.parts) == len(key) && !slices.ContainsFunc(u.parts, func(p uniquePart) bool {
		return p.fold != change.AsItIs || !slices.Contains(key, p.column)
	})
}

// shape gives the index in the columns of a shape; false: it cannot be told from it.
func (u *uniqueFacts) shape(column func(string) int) (change.UniqueKey, bool) {
	k := change.UniqueKey{Name: u.name, NullsEqual: u.nullsEqual, Deferrable: u.deferrable}
	if u.unread != "" {
		return k, false
	}
	for _, p := range u.parts {
		at := column(p.column)
		if at < 0 {
			return k, false
		}
		k.Parts = append(k.Parts, change.UniquePart{Column: at, Case: p.fold})
	}
	for _, w := range u.where {
		at := column(w.column)
		if at < 0 {
			return k, false
		}
		k.Where = append(k.Where, change.Condition{Column: at, Test: w.test, Values: w.values})
	}
	return k, true
}

// uniqueShapes gives the unique keys of a table in the columns of a shape.
func (t *tableFacts) uniqueShapes(shape *change.Table) []change.UniqueKey {
	var keys []change.UniqueKey
	for i := range t.unique {
		if k, ok := t.unique[i].shape(shape.Column); ok {
			keys = append(keys, k)
		}
	}
	return keys
}
