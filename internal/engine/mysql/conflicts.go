package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

const conflictsQuery = "SELECT id, at, table_name, `key`, kind, unique_key, policy, resolution, message," + `
	older_origin, older_seq, older_hlc, older_xid, older_commit, older_op, older_row,
	newer_origin, newer_seq, newer_hlc, newer_xid, newer_commit, newer_op, newer_row,
	base_row, base_known, result_row
FROM concord.conflict`

// ListConflicts returns a page of recorded conflicts, newest first.
func (db *DB) ListConflicts(ctx context.Context, f site.ConflictFilter) (page site.ConflictPage, err error) {
	if f.Limit <= 0 {
		f.Limit = site.DefaultConflicts
	}
	where, args := conflictsWhere(f)
	err = db.admin(ctx, "reading conflicts", func(c *conn) error {
		page.Conflicts, err = readConflicts(ctx, c, where, args...)
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
		conditions, args = append(conditions, condition), append(args, values...)
	}
	if !f.Since.IsZero() {
		add("at >= ?", datetime(f.Since))
	}
	if !f.Until.IsZero() {
		add("at < ?", datetime(f.Until))
	}
	if f.Table != "" {
		add("table_name = ?", f.Table)
	}
	if f.Kind != "" {
		add("kind = ?", f.Kind)
	}
	if !f.After.IsZero() {
		// A comparison of rows would read the index from its end.
		at := datetime(f.After.At)
		add("at <= ? AND (at < ? OR id < ?)", at, at, f.After.ID)
	}
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	return where + " ORDER BY at DESC, id DESC LIMIT ?", append(args, f.Limit+1)
}

// Conflict returns one recorded conflict; fs.ErrNotExist when there is none of that
// id.
func (db *DB) Conflict(ctx context.Context, id int64) (found site.Conflict, err error) {
	err = db.admin(ctx, fmt.Sprintf("reading conflict %d", id), func(c *conn) error {
		all, err := readConflicts(ctx, c, " WHERE id = ?", id)
		if err == nil && len(all) == 0 {
			err = fs.ErrNotExist
		}
		if err == nil {
			found = all[0]
		}
		return err
	})
	return found, err
}

func readConflicts(ctx context.Context, c *conn, rest string, args ...any) ([]site.Conflict, error) {
	r, err := c.query(ctx, conflictsQuery+rest, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	all := []site.Conflict{}
	err = each(r, func(f *fields) error {
		found := site.Conflict{
			ID: f.number(), At: f.at(), Table: f.text(), Key: json.RawMessage(f.text()), Kind: f.text(), Unique: f.text(),
			Policy: f.text(), Resolution: f.text(), Message: f.text(),
		}
		found.Older, found.Newer = f.side(), f.side()
		base, known := f.next(), f.number() != 0
		found.Base = rowOrNull(base, known)
		found.Result = rowOrNull(f.next(), true)
		all = append(all, found)
		return nil
	})
	return all, err
}

// side reads one of the two writes of a conflict.
func (f *fields) side() site.ConflictSide {
	s := site.ConflictSide{
		Origin: change.Site(f.text()), Seq: uint64(f.number()), HLC: uint64(f.number()), XID: uint64(f.number()), Commit: f.moment(), Op: f.text(),
	}
	s.Row = rowOrNull(f.next(), s.Op == change.Delete.String() || s.Op == change.Truncate.String())
	return s
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
