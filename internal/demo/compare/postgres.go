package compare

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL database as a side. The connection is the caller's, and for
// nothing else while rows are open.
type Postgres struct{ Conn *pgx.Conn }

// Tables lists the tables with a primary key in a schema, by name.
func (p Postgres) Tables(ctx context.Context, schema string) ([]Table, error) {
	rows, err := p.Conn.Query(ctx, `
		SELECT c.relname, array_agg(a.attname::text ORDER BY array_position(i.indkey, a.attnum))
		FROM pg_class c
		JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
		WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		GROUP BY c.relname ORDER BY c.relname`, schema)
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Table, error) {
		t := Table{Schema: schema}
		err := row.Scan(&t.Name, &t.Key)
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	return tables, nil
}

// Open reads a table by its key, each row as the server writes it.
func (p Postgres) Open(ctx context.Context, table Table) (Rows, error) {
	key := make([]string, len(table.Key))
	for i, column := range table.Key {
		key[i] = "t." + pgx.Identifier{column}.Sanitize()
	}
	list := strings.Join(key, ", ")
	rows, err := p.Conn.Query(ctx, fmt.Sprintf("SELECT ROW(%s)::text, t::text FROM %s t ORDER BY %s",
		list, pgx.Identifier{table.Schema, table.Name}.Sanitize(), list))
	if err != nil {
		return nil, err
	}
	return postgresRows{rows}, nil
}

type postgresRows struct{ pgx.Rows }

func (r postgresRows) Row() (key, row []byte) {
	raw := r.RawValues()
	return raw[0], raw[1]
}
