package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Counts returns how many conflict records and parked changes there are.
func (db *DB) Counts(ctx context.Context) (conflicts, parked int64, err error) {
	err = db.ask(ctx, "counting conflicts and parked changes", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM concord.conflict), (SELECT count(*) FROM concord.parked)`).Scan(&conflicts, &parked)
	})
	return conflicts, parked, err
}
