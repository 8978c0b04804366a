package demo

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Verdict is the comparison of one table.
type Verdict struct {
	Table       string `json:"table"`
	Rows        [2]int `json:"rows"`
	Differences int    `json:"differences"`
	Example     string `json:"example,omitempty"`
}

// Compare compares a table of two databases row by row, all columns.
func Compare(ctx context.Context, a, b *pgx.Conn, table string) (Verdict, error) {
	v := Verdict{Table: table}
	count := map[string]int{}
	for side, conn := range []*pgx.Conn{a, b} {
		rows, err := conn.Query(ctx, "SELECT t::text FROM public."+pgx.Identifier{table}.Sanitize()+" t")
		if err != nil {
			return v, fmt.Errorf("reading table %s: %w", table, err)
		}
		var row string
		_, err = pgx.ForEachRow(rows, []any{&row}, func() error {
			v.Rows[side]++
			count[row] += 1 - 2*side
			return nil
		})
		if err != nil {
			return v, fmt.Errorf("reading table %s: %w", table, err)
		}
	}
	for row, n := range count {
		if n != 0 {
			v.Differences++
			if v.Example == "" {
				v.Example = row
			}
		}
	}
	return v, nil
}
