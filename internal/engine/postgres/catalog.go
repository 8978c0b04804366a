package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// querier is the part of a connection or transaction that catalogue questions need.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// columnFacts is a column as the catalogue has it now.
type columnFacts struct {
	name      string
	typeOID   uint32
	typmod    int32
	typeText  string // format_type with an empty search_path
	sequence  bool   // identity or serial: a sequence belongs to it
	notNull   bool
	toastable bool // a large value may be stored out of line and left out of the log
	nondet    bool // its collation calls different texts equal
	generated bool // computed by the server; never logged
}

// tableFacts is a table as the catalogue has it now. Of a partitioned table it is
// the root; partitions are not listed on their own.
type tableFacts struct {
	oid         uint32
	schema      string
	name        string
	relkind     byte // r ordinary, p partitioned, f foreign
	persistence byte // p permanent, u unlogged, t temporary
	identity    byte // replica identity: d default, i index, f full, n nothing
	rowSecurity bool
	key         []string // columns of the replication key; empty when there is none
	leaves      []string // partitions that log otherwise than the root says, with the reason
	columns     []columnFacts
	unique      []uniqueFacts // besides the key
}

func (t *tableFacts) qualified() string { return t.schema + "." + t.name }

func (t *tableFacts) column(name string) *columnFacts {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// catalog is a snapshot of the tables and types of a database.
type catalog struct {
	tables map[uint32]*tableFacts
	types  map[uint32]typeFacts
}

// applicationTables holds for pg_class c in pg_namespace n: a table of an
// application, partitions and members of extensions aside.
const applicationTables = `c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
	AND n.nspname <> '` + controlSchema + `' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`

// The key: the primary key, the index named as replica identity, or with FULL the
// primary key and else the first unique index of columns that are all NOT NULL.
const tablesQuery = `
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text, c.relrowsecurity,
	coalesce(k.names, '{}'), coalesce(l.odd, '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
	SELECT array(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts-1]) WITH ORDINALITY u(num, ord)
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num ORDER BY u.ord) AS names
	FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
	WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND am.amname = 'btree'
		AND i.indpred IS NULL AND i.indexprs IS NULL
		AND CASE c.relreplident
			WHEN 'd' THEN i.indisprimary
			WHEN 'i' THEN i.indisreplident
			WHEN 'f' THEN NOT EXISTS (SELECT FROM unnest(i.indkey[0:i.indnkeyatts-1]) u(num)
				JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num WHERE NOT a.attnotnull)
			ELSE false END
	ORDER BY i.indisprimary DESC, ic.relname LIMIT 1) k ON true
LEFT JOIN LATERAL (
	SELECT array_agg(lc.oid::regclass::text || CASE
		WHEN lc.relkind = 'f' THEN ' (foreign)'
		WHEN lc.relpersistence = 'u' THEN ' (unlogged)'
		ELSE ' (replica identity differs)' END ORDER BY lc.relname) AS odd
	FROM pg_partition_tree(c.oid) pt JOIN pg_class lc ON lc.oid = pt.relid
	WHERE c.relkind = 'p' AND pt.isleaf AND lc.oid <> c.oid
		AND (lc.relkind = 'f' OR lc.relpersistence <> 'p' OR lc.relreplident <> c.relreplident)) l ON true
WHERE `

const columnsQuery = `
SELECT a.attrelid, a.attname::text, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod),
	a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
		AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i')),
	a.attnotnull, a.attstorage <> 'p', coalesce(NOT co.collisdeterministic, false), a.attgenerated <> ''
FROM pg_attribute a LEFT JOIN pg_collation co ON co.oid = a.attcollation
WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`

const typesQuery = `
WITH RECURSIVE need(oid) AS (
	SELECT unnest($1::oid[])
	UNION
	SELECT d.ref FROM need JOIN pg_type t ON t.oid = need.oid
		LEFT JOIN pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid)
		CROSS JOIN LATERAL (VALUES (t.typbasetype), (t.typelem), (coalesce(r.rngsubtype, 0::oid))) d(ref)
	WHERE d.ref <> 0
)
SELECT t.oid, n.nspname, t.typname, t.typtype::text, t.typbasetype,
	CASE WHEN e.typarray = t.oid THEN t.typelem ELSE 0::oid END, coalesce(r.rngsubtype, 0::oid)
FROM need JOIN pg_type t ON t.oid = need.oid JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type e ON e.oid = t.typelem
LEFT JOIN pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid)`

// loadCatalog reads the application tables that want says yes to, by name; nil
// means all. Tables that cannot be replicated are in it too: see problems.
func loadCatalog(ctx context.Context, q querier, want func(string) bool) (*catalog, error) {
	return readCatalog(ctx, q, applicationTables, nil, want)
}

// loadTable reads one table by OID; it is missing from the result when it no longer
// exists.
func loadTable(ctx context.Context, q querier, oid uint32, types []uint32) (*catalog, error) {
	return readCatalog(ctx, q, fmt.Sprintf("c.oid = %d", oid), types, nil)
}

func readCatalog(ctx context.Context, q querier, where string, types []uint32, want func(string) bool) (*catalog, error) {
	c := &catalog{tables: map[uint32]*tableFacts{}}
	var oids []uint32
	rows, err := q.Query(ctx, tablesQuery+where)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of tables: %w", err)
	}
	var t tableFacts
	var relkind, persistence, identity string
	_, err = pgx.ForEachRow(rows, []any{&t.oid, &t.schema, &t.name, &relkind, &persistence, &identity, &t.rowSecurity, &t.key, &t.leaves}, func() error {
		if want != nil && !want(t.qualified()) {
			return nil
		}
		found := t
		found.relkind, found.persistence, found.identity = relkind[0], persistence[0], identity[0]
		found.key = append([]string(nil), t.key...)
		found.leaves = append([]string(nil), t.leaves...)
		c.tables[t.oid] = &found
		oids = append(oids, t.oid)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of tables: %w", err)
	}

	rows, err = q.Query(ctx, columnsQuery, oids)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of columns: %w", err)
	}
	var relid uint32
	var col columnFacts
	_, err = pgx.ForEachRow(rows, []any{&relid, &col.name, &col.typeOID, &col.typmod, &col.typeText, &col.sequence, &col.notNull, &col.toastable, &col.nondet, &col.generated}, func() error {
		c.tables[relid].columns = append(c.tables[relid].columns, col)
		types = append(types, col.typeOID)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of columns: %w", err)
	}
	if c.types, err = loadTypes(ctx, q, types); err != nil {
		return c, err
	}
	return c, c.loadUnique(ctx, q, oids)
}

// loadTypes reads the facts of types. Types that do not exist are missing.
func loadTypes(ctx context.Context, q querier, oids []uint32) (map[uint32]typeFacts, error) {
	rows, err := q.Query(ctx, typesQuery, oids)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue of types: %w", err)
	}
	byOID := map[uint32]typeRow{}
	var t typeRow
	if _, err := pgx.ForEachRow(rows, []any{&t.oid, &t.schema, &t.name, &t.kind, &t.base, &t.element, &t.subtype}, func() error {
		byOID[t.oid] = t
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading the catalogue of types: %w", err)
	}
	lookup := func(oid uint32) (typeRow, bool) { r, ok := byOID[oid]; return r, ok }
	facts := make(map[uint32]typeFacts, len(byOID))
	for oid, r := range byOID {
		facts[oid] = factsOf(r, lookup)
	}
	return facts, nil
}

// problem is why a table cannot be replicated, and what to do.
type problem struct {
	table  string
	detail string
	remedy string
}

func (p problem) String() string { return fmt.Sprintf("%s %s; %s", p.table, p.detail, p.remedy) }

// problems lists what keeps a table from being replicated.
func (c *catalog) problems(t *tableFacts) []problem {
	name := t.qualified()
	sql := quote(t.schema, t.name)
	var ps []problem
	add := func(detail, remedy string) { ps = append(ps, problem{name, detail, remedy}) }
	const exclude = "or exclude the table in the configuration"
	switch {
	case t.relkind == 'f':
		add("is a foreign table: its changes are not in this database's log", "exclude the table in the configuration")
		return ps
	case t.persistence == 'u':
		add("is unlogged: its changes are not in the log", fmt.Sprintf("ALTER TABLE %s SET LOGGED, %s", sql, exclude))
	case t.persistence == 't':
		add("is temporary", "exclude the table in the configuration")
	}
	if len(t.leaves) > 0 {
		add("has partitions that log otherwise than their root: "+strings.Join(t.leaves, ", "),
			"give every partition the replica identity of the root (ALTER TABLE … REPLICA IDENTITY …) and make it an ordinary logged table, "+exclude)
	}
	if len(t.key) == 0 {
		switch t.identity {
		case 'n':
			add("has REPLICA IDENTITY NOTHING", fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY DEFAULT (or FULL), %s", sql, exclude))
		case 'f':
			add("has no primary key and no unique index of NOT NULL columns", fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…), %s", sql, exclude))
		default:
			add("has no usable key: no primary key that is checked at once", fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…) or REPLICA IDENTITY USING INDEX …, %s", sql, exclude))
		}
	}
	for _, k := range t.key {
		col := t.column(k)
		if col == nil {
			continue
		}
		remedy := "choose another key with REPLICA IDENTITY USING INDEX …, " + exclude
		facts := c.types[col.typeOID]
		switch {
		case facts.keyProblem != "":
			add(fmt.Sprintf("has the key column %s of type %s, %s", k, col.typeText, facts.keyProblem), remedy)
		case col.nondet && facts.kind != change.KindFoldedText:
			add(fmt.Sprintf("has the key column %s with a collation that is not deterministic", k), remedy)
		}
		if col.generated {
			add(fmt.Sprintf("has the generated key column %s, which is not logged", k), remedy)
		}
	}
	return ps
}

// allProblems lists the problems of every table, by name.
func (c *catalog) allProblems() []problem {
	var ps []problem
	for _, t := range c.tables {
		ps = append(ps, c.problems(t)...)
	}
	slices.SortFunc(ps, func(a, b problem) int { return strings.Compare(a.String(), b.String()) })
	return ps
}

// refusal turns problems into one error that names them all; nil when there are none.
func refusal(ps []problem) error {
	if len(ps) == 0 {
		return nil
	}
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return fmt.Errorf("%w: %s", change.ErrRefused, strings.Join(lines, "\n"))
}
