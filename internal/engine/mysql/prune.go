package mysql

import (
	"context"
	"time"
)

// pruneRows is how many records are forgotten in one transaction.
const pruneRows = 1000

// Records that apply holds are passed over, so that neither waits for the other: they
// are there the next time. A DELETE of its own cannot pass over, so the records are
// locked by a SELECT first; it gives the greatest of each batch as well.
const (
	pruneOldSQL  = `SELECT id FROM concord.conflict WHERE at < ? ORDER BY at, id LIMIT ? FOR UPDATE SKIP LOCKED`
	pruneManySQL = `SELECT id FROM concord.conflict WHERE at < ? OR at = ? AND id <= ? ORDER BY at, id LIMIT ? FOR UPDATE SKIP LOCKED`
)

// PruneConflicts forgets conflicts that were settled longer than age ago, and the oldest
// of those that are more than most (0: no limit), and reports how many.
func (db *DB) PruneConflicts(ctx context.Context, age time.Duration, most int64) (n int64, err error) {
	err = db.admin(ctx, "pruning conflicts", func(c *conn) error {
		old, err := inBatches(ctx, c, pruneOldSQL, datetime(time.Now().Add(-age)))
		n += old
		if err != nil || most <= 0 {
			return err
		}
		r, err := c.query(ctx, "SELECT at, id FROM concord.conflict ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?", most)
		if err != nil {
			return err
		}
		defer r.Close()
		return each(r, func(f *fields) error {
			at, id := f.text(), f.number()
			many, err := inBatches(ctx, c, pruneManySQL, at, at, id)
			n += many
			return err
		})
	})
	return n, err
}

// inBatches deletes what a query finds until nothing is left that is not held.
func inBatches(ctx context.Context, c *conn, query string, args ...any) (n int64, err error) {
	for {
		deleted, err := pruneBatch(ctx, c, query, append(args[:len(args):len(args)], pruneRows)...)
		n += deleted
		if err != nil || deleted < pruneRows {
			return n, err
		}
	}
}

func pruneBatch(ctx context.Context, c *conn, query string, args ...any) (n int64, err error) {
	if _, err := c.exec(ctx, "START TRANSACTION"); err != nil {
		return 0, err
	}
	r, err := c.query(ctx, query, args...)
	if err != nil {
		return 0, err // the session ends, and with it the transaction
	}
	defer r.Close()
	var ids list
	if err := each(r, func(f *fields) error { ids.number(f.number()); return nil }); err != nil {
		return 0, err
	}
	if n = int64(ids.n); n > 0 {
		if _, err := c.exec(ctx, "DELETE FROM concord.conflict WHERE id IN ("+ids.String()+")"); err != nil {
			return 0, err
		}
	}
	_, err = c.exec(ctx, "COMMIT")
	return n, err
}
