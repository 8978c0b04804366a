package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/engine/site"
)

// Schema returns the tables that the configuration selects, as they are now, by name:
// what doctor compares across sites.
func (db *DB) Schema(ctx context.Context) ([]site.Table, error) {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	e := &examination{db: db, q: conn}
	if e.catalog, err = loadCatalog(ctx, conn, db.opts.Tables); err != nil {
		return nil, err
	}
	labels, err := e.labels(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := e.foreignKeys(ctx)
	if err != nil {
		return nil, err
	}
	var out []site.Table
	for _, t := range e.sorted() {
		table := site.Table{Name: t.qualified(), Key: slices.Sorted(slices.Values(t.key)), Full: t.identity == 'f'}
		for _, c := range t.columns {
			if !c.generated {
				table.Columns = append(table.Columns, site.Column{
					Name: c.name, Type: c.typeText, Kind: e.catalog.types[c.typeOID].kind, NotNull: c.notNull, Large: mayBeLarge(t, &c), Labels: labels[c.typeOID],
				})
			}
		}
		if table.Sequences, err = e.sequencesOf(ctx, t); err != nil {
			return nil, err
		}
		for _, f := range keys {
			if f.child == t.oid || f.parent == t.oid && e.catalog.tables[f.child] == nil {
				table.ForeignKeys = append(table.ForeignKeys, f.ForeignKey)
			}
		}
		for _, u := range t.unique {
			table.Unique = append(table.Unique, u.name)
		}
		out = append(out, table)
	}
	return out, nil
}

// sequencesOf reads the sequences that belong to columns of a table.
func (e *examination) sequencesOf(ctx context.Context, t *tableFacts) ([]site.Sequence, error) {
	rows, err := e.q.Query(ctx, `SELECT a.attname::text, format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(s.relname, '"', '""')), q.seqincrement, coalesce(pg_sequence_last_value(s.oid), q.seqstart)
		FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace
		JOIN pg_sequence q ON q.seqrelid = s.oid JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype IN ('a', 'i') ORDER BY 1`, t.oid)
	if err != nil {
		return nil, fmt.Errorf("reading the sequences of %s: %w", t.qualified(), err)
	}
	seqs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s site.Sequence, err error) {
		err = row.Scan(&s.Column, &s.Name, &s.Increment, &s.Last)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the sequences of %s: %w", t.qualified(), err)
	}
	return seqs, nil
}

// labels reads the values of the enumerations of the database, by type; domains over
// them have theirs.
func (e *examination) labels(ctx context.Context) (map[uint32][]string, error) {
	rows, err := e.q.Query(ctx, `WITH RECURSIVE over(oid, base) AS (
			SELECT oid, oid FROM pg_type WHERE typtype = 'e' UNION SELECT t.oid, o.base FROM over o JOIN pg_type t ON t.typtype = 'd' AND t.typbasetype = o.oid)
		SELECT o.oid, array_agg(l.enumlabel::text ORDER BY l.enumsortorder) FROM over o JOIN pg_enum l ON l.enumtypid = o.base GROUP BY 1`)
	if err != nil {
		return nil, fmt.Errorf("reading the enumerations: %w", err)
	}
	out := map[uint32][]string{}
	var oid uint32
	var labels []string
	if _, err := pgx.ForEachRow(rows, []any{&oid, &labels}, func() error {
		out[oid] = append([]string(nil), labels...)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading the enumerations: %w", err)
	}
	return out, nil
}
