package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// pruneRows is how many records are forgotten in one transaction.
const pruneRows = 1000

// Records that apply holds are passed over, so that neither waits for the other: they
// are there the next time.
const (
	pruneOldSQL = `DELETE FROM concord.conflict WHERE id = ANY (ARRAY(
		SELECT id FROM concord.conflict WHERE at < $1 ORDER BY at, id LIMIT $2 FOR UPDATE SKIP LOCKED))`
	pruneManySQL = `DELETE FROM concord.conflict WHERE id = ANY (ARRAY(
		SELECT id FROM concord.conflict WHERE (at, id) <= ($1, $2) ORDER BY at, id LIMIT $3 FOR UPDATE SKIP LOCKED))`
)

// PruneConflicts forgets conflicts that were settled longer than age ago, and the oldest
// of those that are more than most (0: no limit), and reports how many.
func (db *DB) PruneConflicts(ctx context.Context, age time.Duration, most int64) (n int64, err error) {
	err = db.ask(ctx, "pruning conflicts", func(conn *pgx.Conn) error {
		old, err := inBatches(ctx, conn, pruneOldSQL, time.Now().Add(-age))
		n += old
		if err != nil || most <= 0 {
			return err
		}
		var at time.Time
		var id int64
		err = conn.QueryRow(ctx, `SELECT at, id FROM concord.conflict ORDER BY at DESC, id DESC OFFSET $1 LIMIT 1`, most).Scan(&at, &id)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		case err != nil:
			return err
		}
		many, err := inBatches(ctx, conn, pruneManySQL, at, id)
		n += many
		return err
	})
	return n, err
}

// inBatches deletes until nothing is left that is not held.
func inBatches(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (n int64, err error) {
	for {
		tag, err := conn.Exec(ctx, sql, append(args[:len(args):len(args)], pruneRows)...)
		n += tag.RowsAffected()
		if err != nil || tag.RowsAffected() < pruneRows {
			return n, err
		}
	}
}
