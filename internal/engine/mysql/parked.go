package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/parking"
)

const parkedQuery = "SELECT id, at, origin, epoch, seq, hlc, seen, row_index, `change`, reason, message, behind FROM concord.parked"

// Parked implements apply.Target: every parked change, oldest first.
func (db *DB) Parked(ctx context.Context) (all []apply.Parked, err error) {
	err = db.admin(ctx, "reading the parked changes", func(c *conn) error {
		all, err = readParked(ctx, c, " ORDER BY id")
		return err
	})
	return all, err
}

// ParkedByID returns one parked change; fs.ErrNotExist when there is none of that id.
func (db *DB) ParkedByID(ctx context.Context, id int64) (p apply.Parked, err error) {
	err = db.admin(ctx, fmt.Sprintf("reading parked change %d", id), func(c *conn) error {
		p, err = oneParked(ctx, c, id, "")
		return err
	})
	return p, err
}

// oneParked reads one parked change, locking its row when lock is FOR UPDATE.
func oneParked(ctx context.Context, c *conn, id int64, lock string) (apply.Parked, error) {
	all, err := readParked(ctx, c, fmt.Sprintf(" WHERE id = %d ", id)+lock)
	if err == nil && len(all) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return apply.Parked{}, err
	}
	return all[0], nil
}

func readParked(ctx context.Context, c *conn, rest string) (all []apply.Parked, err error) {
	r, err := c.query(ctx, parkedQuery+rest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	err = each(r, func(f *fields) error {
		p := apply.Parked{
			ID: f.number(), Time: f.at(), Origin: change.Site(f.text()), Epoch: uint32(f.number()), Seq: uint64(f.number()), HLC: uint64(f.number()),
		}
		seen := f.text()
		p.Index = int(f.number())
		text := f.text()
		p.Reason, p.Message, p.Behind = f.text(), f.text(), f.number() != 0
		if f.err != nil {
			return nil //nolint:nilerr // each returns it
		}
		var c parking.Change
		if err := errors.Join(json.Unmarshal([]byte(seen), &p.Seen), json.Unmarshal([]byte(text), &c)); err != nil {
			return fmt.Errorf("parked change %d: %w: %w", p.ID, parking.ErrMalformed, err)
		}
		var err error
		if p.Row, err = c.Row(); err != nil {
			return fmt.Errorf("parked change %d: %w", p.ID, err)
		}
		all = append(all, p)
		return nil
	})
	return all, err
}
