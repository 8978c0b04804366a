package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// A page of conflicts when the filter does not say.
const defaultConflicts = 100

const conflictsQuery = `SELECT id, at, table_name, key::text, kind, policy, resolution,
	older_origin, older_seq, older_hlc, older_op, coalesce(older_row::text, 'null'),
	newer_origin, newer_seq, newer_hlc, newer_op, coalesce(newer_row::text, 'null'), coalesce(result_row::text, 'null')
FROM concord.conflict`

// ListConflicts returns recorded conflicts, newest first.
func (db *DB) ListConflicts(ctx context.Context, f site.ConflictFilter) (all []site.Conflict, err error) {
	if f.Limit <= 0 {
		f.Limit = defaultConflicts
	}
	var since *time.Time
	if !f.Since.IsZero() {
		since = &f.Since
	}
	err = db.ask(ctx, "reading conflicts", func(conn *pgx.Conn) error {
		all, err = readConflicts(ctx, conn, ` WHERE ($1::timestamptz IS NULL OR at >= $1) AND ($2 = '' OR table_name = $2) AND ($3 = '' OR kind = $3)
			AND ($4::int8 = 0 OR id < $4) ORDER BY id DESC LIMIT $5`, since, f.Table, f.Kind, f.Before, f.Limit)
		return err
	})
	return all, err
}

// Conflict returns one recorded conflict; fs.ErrNotExist when there is none of that
// id.
func (db *DB) Conflict(ctx context.Context, id int64) (c site.Conflict, err error) {
	err = db.ask(ctx, fmt.Sprintf("reading conflict %d", id), func(conn *pgx.Conn) error {
		all, err := readConflicts(ctx, conn, ` WHERE id = $1`, id)
		if err == nil && len(all) == 0 {
			err = fs.ErrNotExist
		}
		if err == nil {
			c = all[0]
		}
		return err
	})
	return c, err
}

// PruneConflicts forgets conflicts that were settled longer than age ago and reports
// how many.
func (db *DB) PruneConflicts(ctx context.Context, age time.Duration) (n int64, err error) {
	err = db.ask(ctx, "pruning conflicts", func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, `DELETE FROM concord.conflict WHERE at < $1`, time.Now().Add(-age))
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

func readConflicts(ctx context.Context, conn *pgx.Conn, rest string, args ...any) ([]site.Conflict, error) {
	rows, err := conn.Query(ctx, conflictsQuery+rest, args...)
	if err != nil {
		return nil, err
	}
	var all []site.Conflict
	var c site.Conflict
	var key, older, newer, result, olderOrigin, newerOrigin string
	var olderSeq, olderHLC, newerSeq, newerHLC int64
	_, err = pgx.ForEachRow(rows, []any{&c.ID, &c.At, &c.Table, &key, &c.Kind, &c.Policy, &c.Resolution,
		&olderOrigin, &olderSeq, &olderHLC, &c.Older.Op, &older,
		&newerOrigin, &newerSeq, &newerHLC, &c.Newer.Op, &newer, &result}, func() error {
		found := c
		found.At = c.At.UTC()
		found.Key, found.Result = json.RawMessage(key), json.RawMessage(result)
		found.Older.Origin, found.Older.Seq, found.Older.HLC, found.Older.Row = change.Site(olderOrigin), uint64(olderSeq), uint64(olderHLC), json.RawMessage(older)
		found.Newer.Origin, found.Newer.Seq, found.Newer.HLC, found.Newer.Row = change.Site(newerOrigin), uint64(newerSeq), uint64(newerHLC), json.RawMessage(newer)
		all = append(all, found)
		return nil
	})
	return all, err
}
