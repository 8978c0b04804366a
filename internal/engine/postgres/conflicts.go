package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

const conflictsQuery = `SELECT id, at, table_name, key::text, kind, coalesce(unique_key, ''), policy, resolution, coalesce(message, ''),
	older_origin, older_seq, older_hlc, coalesce(older_xid, 0), older_commit, older_op, older_row::text,
	newer_origin, newer_seq, newer_hlc, coalesce(newer_xid, 0), newer_commit, newer_op, newer_row::text,
	base_row::text, base_known, coalesce(result_row::text, 'null')
FROM concord.conflict`

// ListConflicts returns a page of recorded conflicts, newest first.
func (db *DB) ListConflicts(ctx context.Context, f site.ConflictFilter) (page site.ConflictPage, err error) {
	if f.Limit <= 0 {
		f.Limit = site.DefaultConflicts
	}
	where, args := conflictsWhere(f)
	err = db.ask(ctx, "reading conflicts", func(conn *pgx.Conn) error {
		page.Conflicts, err = readConflicts(ctx, conn, where, args...)
		return err
	})
	if len(page.Conflicts) > f.Limit {
		page.Conflicts = page.Conflicts[:f.Limit]
		page.Next = page.Conflicts[f.Limit-1].Cursor().String()
	}
	return page, err
}

// conflictsWhere selects a page and one more. Each condition is there only when it is
// asked for, so that an index serves it.
func conflictsWhere(f site.ConflictFilter) (where string, args []any) {
	var conditions []string
	add := func(condition string, values ...any) {
		numbers := make([]any, len(values))
		for i, v := range values {
			args = append(args, v)
			numbers[i] = len(args)
		}
		conditions = append(conditions, fmt.Sprintf(condition, numbers...))
	}
	if !f.Since.IsZero() {
		add("at >= $%d", f.Since)
	}
	if !f.Until.IsZero() {
		add("at < $%d", f.Until)
	}
	if f.Table != "" {
		add("table_name = $%d", f.Table)
	}
	if f.Kind != "" {
		add("kind = $%d", f.Kind)
	}
	if !f.After.IsZero() {
		add("(at, id) < ($%d, $%d)", f.After.At, f.After.ID)
	}
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	args = append(args, f.Limit+1)
	return where + fmt.Sprintf(" ORDER BY at DESC, id DESC LIMIT $%d", len(args)), args
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

func readConflicts(ctx context.Context, conn *pgx.Conn, rest string, args ...any) ([]site.Conflict, error) {
	rows, err := conn.Query(ctx, conflictsQuery+rest, args...)
	if err != nil {
		return nil, err
	}
	all := []site.Conflict{}
	var c site.Conflict
	var key, result string
	var base *string
	var baseKnown bool
	var older, newer scannedSide
	_, err = pgx.ForEachRow(rows, []any{&c.ID, &c.At, &c.Table, &key, &c.Kind, &c.Unique, &c.Policy, &c.Resolution, &c.Message,
		&older.origin, &older.seq, &older.hlc, &older.xid, &older.commit, &older.op, &older.row,
		&newer.origin, &newer.seq, &newer.hlc, &newer.xid, &newer.commit, &newer.op, &newer.row,
		&base, &baseKnown, &result}, func() error {
		found := c
		found.At = c.At.UTC()
		found.Key, found.Result = json.RawMessage(key), json.RawMessage(result)
		found.Older, found.Newer = older.side(), newer.side()
		found.Base = rowOrNull(base, baseKnown)
		all = append(all, found)
		return nil
	})
	return all, err
}

// scannedSide is one side of a record as it is read.
type scannedSide struct {
	origin, op    string
	seq, hlc, xid int64
	commit        *time.Time
	row           *string
}

func (s *scannedSide) side() site.ConflictSide {
	out := site.ConflictSide{
		Origin: change.Site(s.origin), Seq: uint64(s.seq), HLC: uint64(s.hlc), XID: uint64(s.xid), Op: s.op,
		Row: rowOrNull(s.row, s.op == change.Delete.String() || s.op == change.Truncate.String()),
	}
	if s.commit != nil {
		at := s.commit.UTC()
		out.Commit = &at
	}
	return out
}

// rowOrNull is a row as JSON: where there is none null when that is known, else nothing.
func rowOrNull(row *string, known bool) json.RawMessage {
	switch {
	case row != nil:
		return json.RawMessage(*row)
	case known:
		return json.RawMessage("null")
	}
	return nil
}
