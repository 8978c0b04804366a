package compare

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// PlainPostgres is a PostgreSQL database as a side that is compared with one of another
// engine.
type PlainPostgres struct{ Postgres }

// Open reads a table by its key.
func (p PlainPostgres) Open(ctx context.Context, table Table) (Rows, error) {
	found, err := p.Conn.Query(ctx, `SELECT attname::text, format_type(atttypid, -1) FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname COLLATE "C"`,
		pgx.Identifier{table.Schema, table.Name}.Sanitize())
	if err != nil {
		return nil, err
	}
	var values []string
	rows := &plainPostgresRows{keys: len(table.Key)}
	read := func(name, kind string) string {
		column := "t." + pgx.Identifier{name}.Sanitize()
		switch kind {
		case "timestamp with time zone":
			return "to_char(" + column + " AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
		case "timestamp without time zone":
			return "to_char(" + column + ", 'YYYY-MM-DD HH24:MI:SS.US')"
		case "bytea":
			return "encode(" + column + ", 'hex')"
		case "boolean":
			return column + "::int::text"
		}
		return column + "::text"
	}
	kinds := map[string]string{}
	var name, kind string
	if _, err := pgx.ForEachRow(found, []any{&name, &kind}, func() error {
		kinds[name] = kind
		values = append(values, read(name, kind))
		rows.documents = append(rows.documents, kind == "json" || kind == "jsonb")
		return nil
	}); err != nil {
		return nil, err
	}
	keys, order := make([]string, len(table.Key)), make([]string, len(table.Key))
	for i, k := range table.Key {
		keys[i], order[i] = read(k, kinds[k]), "t."+pgx.Identifier{k}.Sanitize()
	}
	rows.documents = append(make([]bool, len(keys)), rows.documents...)
	rows.Rows, err = p.Conn.Query(ctx, fmt.Sprintf("SELECT %s FROM %s t ORDER BY %s",
		strings.Join(append(keys, values...), ", "), pgx.Identifier{table.Schema, table.Name}.Sanitize(), strings.Join(order, ", ")))
	if err != nil {
		return nil, err
	}
	return rows, nil
}

type plainPostgresRows struct {
	pgx.Rows
	keys      int
	documents []bool
	key, row  []byte
}

func (r *plainPostgresRows) Row() (key, row []byte) {
	raw := r.RawValues()
	r.key = plainRow(r.key, raw[:r.keys], r.documents)
	r.row = plainRow(r.row, raw[r.keys:], r.documents[r.keys:])
	return r.key, r.row
}
