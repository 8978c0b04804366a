package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/engine/site"
)

const foreignQuery = `
SELECT f.conrelid, f.confrelid, f.conname::text, cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname,
	array(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY u(num, ord) JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = u.num ORDER BY u.ord),
	array(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY u(num, ord) JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = u.num ORDER BY u.ord),
	CASE f.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND NOT c.relispartition AND (f.conrelid = ANY($1::oid[]) OR f.confrelid = ANY($1::oid[]))
ORDER BY 4, 3`

// foreignKey is one between two tables of which at least one is replicated.
type foreignKey struct {
	site.ForeignKey
	child, parent uint32 // their OIDs
}

// foreignKeys reads those from and to the tables of the catalogue.
func (e *examination) foreignKeys(ctx context.Context) ([]foreignKey, error) {
	var oids []uint32
	for _, t := range e.sorted() {
		oids = append(oids, t.oid)
	}
	rows, err := e.q.Query(ctx, foreignQuery, oids)
	if err != nil {
		return nil, fmt.Errorf("reading the foreign keys: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f foreignKey, err error) {
		err = row.Scan(&f.child, &f.parent, &f.Name, &f.Child, &f.Parent, &f.Columns, &f.ParentColumns, &f.OnDelete)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the foreign keys: %w", err)
	}
	return out, nil
}

// lostParentsTimeout ends the search for rows without their parent in large tables.
const lostParentsTimeout = 3 * time.Second

// lostParents finds rows whose parent is not there: what is applied is not checked
// against foreign keys.
func (e *examination) lostParents(ctx context.Context) error {
	if e.catalog == nil {
		return nil
	}
	keys, err := e.foreignKeys(ctx)
	if err != nil {
		return err
	}
	looked, bad := 0, false
	for _, f := range keys {
		child, parent := e.catalog.tables[f.child], e.catalog.tables[f.parent]
		if child == nil || parent == nil {
			continue // the rights to read it are not needed otherwise
		}
		looked++
		sql := orphans(child, parent, &f)
		example, err := e.exampleOf(ctx, sql)
		var failed *pgconn.PgError
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			continue
		case errors.As(err, &failed) && failed.Code == "57014": // it took too long
			bad = true
			e.add("foreign key "+f.Name, site.Warning,
				fmt.Sprintf("whether every row of %s has its %s was not found out within %s", f.Child, f.Parent, lostParentsTimeout),
				"look when there is time: "+sql)
		case err != nil:
			return fmt.Errorf("looking for rows of %s without their %s: %w", f.Child, f.Parent, err)
		default:
			bad = true
			e.add("foreign key "+f.Name, site.Warning,
				fmt.Sprintf("rows of %s stand without their %s, for example %s", f.Child, f.Parent, example),
				"insert the parents again, or delete these rows, at one site: "+sql)
		}
	}
	if looked > 0 && !bad {
		e.fine("foreign keys", "no row of a replicated table stands without its parent (%d foreign keys)", looked)
	}
	return nil
}

// orphans is the statement that finds rows without their parent.
func orphans(child, parent *tableFacts, f *foreignKey) string {
	var known, joined []string
	for i, c := range f.Columns {
		known = append(known, "c."+quote(c)+" IS NOT NULL")
		joined = append(joined, "p."+quote(f.ParentColumns[i])+" = c."+quote(c))
	}
	return fmt.Sprintf("SELECT * FROM %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s)",
		quote(child.schema, child.name), strings.Join(known, " AND "), quote(parent.schema, parent.name), strings.Join(joined, " AND "))
}

// exampleOf runs a statement that finds orphans until the first; pgx.ErrNoRows when
// there is none.
func (e *examination) exampleOf(ctx context.Context, sql string) (example string, err error) {
	tx, err := e.q.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", lostParentsTimeout.Milliseconds())); err != nil {
		return "", err
	}
	_, after, _ := strings.Cut(sql, " FROM ")
	return example, tx.QueryRow(ctx, "SELECT c::text FROM "+after+" LIMIT 1").Scan(&example)
}
