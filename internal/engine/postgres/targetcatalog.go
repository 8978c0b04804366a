package postgres

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// transfer is how the values of a column travel to the server: as a binary array.
type transfer uint8

const (
	transferText  transfer = iota // text, cast to the type where that is not an assignment
	transferInt2                  // binary, as are all below
	transferInt4                  //
	transferInt8                  //
	transferBytes                 // bytea: the bytes, not hex
)

// array is the type of a parameter of that kind.
func (w transfer) array() string {
	return [...]string{"text[]", "int2[]", "int4[]", "int8[]", "bytea[]"}[w]
}

// localColumn is a column of a local table, as writing it needs to know.
type localColumn struct {
	name      string
	base      string // its type under all domains, as SQL without modifiers
	transfer  transfer
	domain    bool
	boolean   bool
	always    bool // GENERATED ALWAYS AS IDENTITY: an update cannot set it
	generated bool // computed: never written
}

// cast is what turns the column's parameter into a value to be assigned or compared.
// Modifiers (a length, a scale) are left to the assignment, which refuses what does
// not fit; a cast to them would cut it off in silence. For the same reason it is the
// type under the domain.
func (c *localColumn) cast() string {
	if c.transfer != transferText || c.base == "text" || c.base == "character varying" {
		return ""
	}
	return "::" + c.base
}

// localKey is a unique index that can name rows.
type localKey struct {
	columns   []string
	operators []string // equality per column, as SQL: an extension's is not in the search path
}

// localTable is a table of this database as writing it needs to know. It is
// immutable but for the statements built for it.
type localTable struct {
	schema     string
	name       string
	plain      bool // not partitioned: ONLY keeps children of inheritance out
	columns    map[string]*localColumn
	order      []string // column names as the table has them
	types      []string // with modifiers, for shape
	primary    []string
	keys       []localKey
	referenced bool // foreign keys of other tables point here: it cannot be truncated alone
	truncate   bool // the role may

	mu         sync.Mutex
	statements map[statementKey]*statement
}

// only is the table as a statement names it.
func (t *localTable) only() string {
	if t.plain {
		return "ONLY " + t.sql()
	}
	return t.sql()
}

func (t *localTable) sql() string { return quote(t.schema, t.name) }

// sameAs reports whether two readings of the catalogue agree.
func (t *localTable) sameAs(o *localTable) bool {
	return o != nil && reflect.DeepEqual(t.columns, o.columns) && reflect.DeepEqual(t.keys, o.keys) &&
		slices.Equal(t.order, o.order) && slices.Equal(t.types, o.types) &&
		t.plain == o.plain && t.referenced == o.referenced && t.truncate == o.truncate
}

// key returns the unique index on exactly the named columns, or nil.
func (t *localTable) key(columns []string) *localKey {
	for i := range t.keys {
		k := &t.keys[i]
		if len(k.columns) == len(columns) && !slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(k.columns, c) }) {
			return k
		}
	}
	return nil
}

// targetCatalog remembers local tables. A table is read again when a change does not
// fit it, so it comes right by itself after ALTER TABLE.
type targetCatalog struct {
	mu     sync.Mutex
	tables map[string]*localTable // by schema.name; missing tables are not remembered
}

func (c *targetCatalog) get(name string) *localTable {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tables[name]
}

func (c *targetCatalog) put(name string, t *localTable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tables == nil {
		c.tables = map[string]*localTable{}
	}
	if t == nil {
		delete(c.tables, name)
	} else {
		c.tables[name] = t
	}
}

// local returns the local table for a shape, fit for writing the columns: all of the
// key and those included. *apply.SchemaError when it is not, judged by the catalogue
// as it is now.
func (db *DB) local(ctx context.Context, shape *change.Table, included []int) (*localTable, error) {
	name := shape.QualifiedName()
	if t := db.target.catalog.get(name); t != nil && misfit(t, shape, included) == nil {
		return t, nil
	}
	t, err := db.reload(ctx, shape.Schema, shape.Name)
	if err != nil {
		return nil, err
	}
	if err := misfit(t, shape, included); err != nil {
		return nil, err
	}
	return t, nil
}

// misfit explains why a shape cannot be written to t; nil when it can.
func misfit(t *localTable, shape *change.Table, included []int) error {
	name := shape.QualifiedName()
	if t == nil {
		return &apply.SchemaError{Table: name, Detail: "does not exist here, or is not a table; create it as it is at the origin"}
	}
	e := apply.SchemaError{Table: name}
	var add []string
	for _, i := range included {
		if c := &shape.Columns[i]; t.columns[c.Name] == nil {
			e.Missing = append(e.Missing, c.Name)
			add = append(add, fmt.Sprintf("ADD COLUMN %s %s", quote(c.Name), c.Type))
		}
	}
	if len(e.Missing) > 0 {
		e.Column = e.Missing[0]
		e.Detail = fmt.Sprintf("does not exist here; ALTER TABLE %s %s", quote(shape.Schema, shape.Name), strings.Join(add, ", "))
		return &e
	}
	key := keyNames(shape)
	if t.key(key) == nil {
		quoted := make([]string, len(key))
		for i, k := range key {
			quoted[i] = quote(k)
		}
		e.Detail = fmt.Sprintf("has no unique index here on its replication key (%[1]s); CREATE UNIQUE INDEX CONCURRENTLY ON %[2]s (%[1]s)",
			strings.Join(quoted, ", "), quote(shape.Schema, shape.Name))
		return &e
	}
	return nil
}

func keyNames(shape *change.Table) []string {
	names := make([]string, len(shape.Key))
	for i, k := range shape.Key {
		names[i] = shape.Columns[k].Name
	}
	return names
}

const localTableQuery = `
SELECT c.oid, c.relkind = 'r', has_table_privilege(c.oid, 'TRUNCATE'),
	EXISTS (SELECT FROM pg_constraint f WHERE f.confrelid = c.oid AND f.conrelid <> c.oid AND f.contype = 'f')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`

// format_type with the modifier -1 names the type that has none: "bit", not bit(1).
const localColumnsQuery = `
SELECT a.attname::text, format_type(b.oid, -1), format_type(a.atttypid, a.atttypmod), b.oid <> a.atttypid, a.attidentity = 'a', a.attgenerated <> ''
FROM pg_attribute a CROSS JOIN LATERAL (
	WITH RECURSIVE d(oid, typtype, typbasetype) AS (
		SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t WHERE t.oid = a.atttypid
		UNION ALL
		SELECT t.oid, t.typtype, t.typbasetype FROM d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')
	SELECT d.oid FROM d WHERE d.typtype <> 'd') b
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// The equality of an index column is member 3 of its operator family.
const localKeysQuery = `
SELECT i.indisprimary, array_agg(a.attname::text ORDER BY u.ord),
	array_agg(CASE WHEN o.schema = 'pg_catalog' THEN o.name ELSE format('OPERATOR(%I.%s)', o.schema, o.name) END ORDER BY u.ord)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts-1], i.indclass[0:i.indnkeyatts-1]) WITH ORDINALITY u(num, class, ord)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num
JOIN pg_opclass oc ON oc.oid = u.class
CROSS JOIN LATERAL (
	SELECT op.oprname::text AS name, ns.nspname::text AS schema
	FROM pg_amop m JOIN pg_operator op ON op.oid = m.amopopr JOIN pg_namespace ns ON ns.oid = op.oprnamespace
	WHERE m.amopfamily = oc.opcfamily AND m.amopstrategy = 3 AND m.amoppurpose = 's'
		AND m.amoplefttype = oc.opcintype AND m.amoprighttype = oc.opcintype) o
JOIN pg_am am ON am.oid = oc.opcmethod AND am.amname = 'btree'
WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indisprimary, i.indnkeyatts HAVING count(*) = i.indnkeyatts
ORDER BY i.indisprimary DESC, i.indexrelid`

// reload reads a table from the catalogue; nil when there is no such table. A reading
// that agrees with the last one keeps it, and the statements built for it.
func (db *DB) reload(ctx context.Context, schema, name string) (*localTable, error) {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return nil, classify(ctx, "reading the catalogue", err)
	}
	defer closeConn(ctx, conn)
	t, err := readLocal(ctx, conn, schema, name)
	if err != nil {
		return nil, classify(ctx, "reading the catalogue of table "+schema+"."+name, err)
	}
	qualified := schema + "." + name
	if have := db.target.catalog.get(qualified); have != nil && t != nil && have.sameAs(t) {
		return have, nil
	}
	db.target.catalog.put(qualified, t)
	return t, nil
}

func readLocal(ctx context.Context, q querier, schema, name string) (*localTable, error) {
	t := &localTable{schema: schema, name: name, columns: map[string]*localColumn{}, statements: map[statementKey]*statement{}}
	var oid uint32
	err := q.QueryRow(ctx, localTableQuery, schema, name).Scan(&oid, &t.plain, &t.truncate, &t.referenced)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, localColumnsQuery, oid)
	if err != nil {
		return nil, err
	}
	var c localColumn
	var typeText string
	if _, err := pgx.ForEachRow(rows, []any{&c.name, &c.base, &typeText, &c.domain, &c.always, &c.generated}, func() error {
		found := c
		found.transfer, found.boolean = transferOf(c.base), c.base == "boolean"
		t.columns[c.name] = &found
		t.order = append(t.order, c.name)
		t.types = append(t.types, typeText)
		return nil
	}); err != nil {
		return nil, err
	}
	rows, err = q.Query(ctx, localKeysQuery, oid)
	if err != nil {
		return nil, err
	}
	var primary bool
	var columns, operators []string
	_, err = pgx.ForEachRow(rows, []any{&primary, &columns, &operators}, func() error {
		t.keys = append(t.keys, localKey{slices.Clone(columns), slices.Clone(operators)})
		if primary {
			t.primary = slices.Clone(columns)
		}
		return nil
	})
	return t, err
}

func transferOf(base string) transfer {
	switch base {
	case "smallint":
		return transferInt2
	case "integer":
		return transferInt4
	case "bigint":
		return transferInt8
	case "bytea":
		return transferBytes
	}
	return transferText
}
