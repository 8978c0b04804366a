package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/parking"
)

const parkedQuery = `SELECT id, at, origin, epoch, seq, hlc, seen::text, row_index, change::text, reason, message, behind FROM concord.parked`

// Parked implements apply.Target: every parked change, oldest first.
func (db *DB) Parked(ctx context.Context) (all []apply.Parked, err error) {
	err = db.ask(ctx, "reading the parked changes", func(conn *pgx.Conn) error {
		all, err = readParked(ctx, conn, ` ORDER BY id`)
		return err
	})
	return all, err
}

// ParkedByID returns one parked change; fs.ErrNotExist when there is none of that id.
func (db *DB) ParkedByID(ctx context.Context, id int64) (p apply.Parked, err error) {
	err = db.ask(ctx, fmt.Sprintf("reading parked change %d", id), func(conn *pgx.Conn) error {
		p, err = oneParked(ctx, conn, id, "")
		return err
	})
	return p, err
}

// oneParked reads one parked change, locking its row when lock is FOR UPDATE.
func oneParked(ctx context.Context, q querier, id int64, lock string) (apply.Parked, error) {
	all, err := readParked(ctx, q, ` WHERE id = $1 `+lock, id)
	if err == nil && len(all) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return apply.Parked{}, err
	}
	return all[0], nil
}

func readParked(ctx context.Context, q querier, rest string, args ...any) ([]apply.Parked, error) {
	rows, err := q.Query(ctx, parkedQuery+rest, args...)
	if err != nil {
		return nil, err
	}
	var all []apply.Parked
	var p apply.Parked
	var origin, seen, text string
	var epoch, seq, hlc int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &at, &origin, &epoch, &seq, &hlc, &seen, &p.Index, &text, &p.Reason, &p.Message, &p.Behind}, func() error {
		found := p
		found.Time, found.Origin, found.Epoch, found.Seq, found.HLC = at.UTC(), change.Site(origin), uint32(epoch), uint64(seq), uint64(hlc)
		found.Seen = nil
		var c parking.Change
		if err := errors.Join(json.Unmarshal([]byte(seen), &found.Seen), json.Unmarshal([]byte(text), &c)); err != nil {
			return fmt.Errorf("parked change %d: %w: %w", p.ID, parking.ErrMalformed, err)
		}
		var err error
		if found.Row, err = c.Row(); err != nil {
			return fmt.Errorf("parked change %d: %w", p.ID, err)
		}
		all = append(all, found)
		return nil
	})
	return all, err
}

// ApplyParked carries a parked change out as an ordinary local write, so that every
// site gets it as a new one, and removes it. fs.ErrNotExist when there is no such
// change; change.ErrRefused when an earlier one of its row is parked still.
func (db *DB) ApplyParked(ctx context.Context, id int64) error {
	return db.settleParked(ctx, id, func(tx *targetTx, p *apply.Parked) error {
		return tx.carryOut(ctx, &p.Row)
	})
}

// DiscardParked removes a parked change and writes the local row again as it is, as
// an ordinary local write of all its columns: so that sites that did carry the change
// out take this row instead. It reports whether there was such a row; where there is
// none, nothing is published and a site that has one keeps it. fs.ErrNotExist when
// there is no such change.
func (db *DB) DiscardParked(ctx context.Context, id int64) (published bool, err error) {
	err = db.settleParked(ctx, id, func(tx *targetTx, p *apply.Parked) error {
		published, err = tx.touch(ctx, &p.Row)
		return err
	})
	return published, err
}

// locally runs f in an ordinary local transaction of a session of its own, durable when
// it returns.
func (db *DB) locally(ctx context.Context, doing string, f func(*targetTx) error) error {
	l, err := db.openLane(ctx, 0, localSettings)
	if err != nil {
		return err
	}
	tx := &targetTx{db: db, marking: unmarked, lane: l, release: func() {}}
	defer l.close(ctx)
	defer tx.Rollback(context.WithoutCancel(ctx))
	b := tx.start(ctx, false)
	if err := tx.run(ctx, b, doing); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// settleParked runs f in a local transaction that removes the parked change.
func (db *DB) settleParked(ctx context.Context, id int64, f func(*targetTx, *apply.Parked) error) error {
	doing := fmt.Sprintf("settling parked change %d", id)
	return db.locally(ctx, doing, func(tx *targetTx) error {
		// The connection's own methods take part in the open transaction.
		conn := tx.lane.conn
		p, err := oneParked(ctx, conn, id, `FOR UPDATE`)
		if err != nil {
			return classify(ctx, doing, err)
		}
		var earlier *int64
		err = conn.QueryRow(ctx, `SELECT min(e.id) FROM concord.parked p JOIN concord.parked e
			ON e.table_name = p.table_name AND e.id < p.id AND (e.key = p.key OR e.op = 'truncate' OR p.op = 'truncate')
			WHERE p.id = $1`, id).Scan(&earlier)
		if err != nil {
			return classify(ctx, doing, err)
		}
		if earlier != nil {
			return fmt.Errorf("%s: %w: change %d of the same row is parked before it; settle that one first", doing, change.ErrRefused, *earlier)
		}
		if err := f(tx, &p); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if _, err := conn.Exec(ctx, `DELETE FROM concord.parked WHERE id = $1`, id); err != nil {
			return classify(ctx, doing, err)
		}
		return nil
	})
}

// carryOut brings about what a row change said, whatever is there now.
func (tx *targetTx) carryOut(ctx context.Context, r *change.Row) error {
	switch r.Op {
	case change.Truncate:
		return tx.Truncate(ctx, r.Table, nil)
	case change.Delete:
		_, err := tx.Write(ctx, []apply.Write{{Action: apply.Remove, Row: r}})
		return err
	case change.Insert:
		_, err := tx.Write(ctx, []apply.Write{{Action: apply.Put, Row: r}})
		return err
	}
	if !r.MovesKey() && !r.Partial() {
		_, err := tx.Write(ctx, []apply.Write{{Action: apply.Put, Row: r}})
		return err
	}
	missing, err := tx.Write(ctx, []apply.Write{{Action: apply.Update, Row: r}})
	if err != nil || len(missing) == 0 {
		return err
	}
	if r.Partial() {
		return fmt.Errorf("%w: the row is gone, and the change does not carry all of its columns", change.ErrRefused)
	}
	_, err = tx.Write(ctx, []apply.Write{{Action: apply.Put, Row: &change.Row{Table: r.Table, Op: change.Insert, New: r.New}}})
	return err
}

// touch writes the rows that a change is about again, with all the columns they have
// here. Every value is sent, so the log has the row whole, out-of-line values too.
func (tx *targetTx) touch(ctx context.Context, r *change.Row) (bool, error) {
	if r.Op == change.Truncate {
		return false, nil // the rows that were kept are published as they are written
	}
	t, err := tx.db.local(ctx, r.Table, r.Table.Key)
	if err != nil {
		return false, err
	}
	whole := t.shape(r.Table)
	var keys [][]change.Value
	for _, image := range [][]change.Value{r.Old, r.New} {
		if image == nil || image[r.Table.Key[0]].State != change.Present {
			continue
		}
		key := make([]change.Value, len(whole.Columns))
		for _, k := range r.Table.Key {
			key[whole.Column(r.Table.Columns[k].Name)] = image[k]
		}
		if len(keys) == 0 || r.MovesKey() {
			keys = append(keys, key)
		}
	}
	images, err := tx.Read(ctx, whole, keys)
	if err != nil {
		return false, err
	}
	var writes []apply.Write
	for _, image := range images {
		if image != nil {
			writes = append(writes, apply.Write{Action: apply.Update, Row: &change.Row{Table: whole, Op: change.Update, New: image}})
		}
	}
	_, err = tx.Write(ctx, writes)
	return len(writes) > 0, err
}

// shape is the table as it is here, with the replication key of another shape.
func (t *localTable) shape(like *change.Table) *change.Table {
	s := &change.Table{Schema: t.schema, Name: t.name, Full: like.Full}
	key := keyNames(like)
	for i, name := range t.order {
		c := t.columns[name]
		if c.generated {
			continue
		}
		column := change.Column{Name: name, Type: t.types[i]}
		switch {
		case c.transfer == transferBytes:
			column.Kind = change.KindBytes
		case c.boolean:
			column.Kind = change.KindBool
		}
		if j := like.Column(name); j >= 0 {
			column.Kind = like.Columns[j].Kind
		}
		for _, k := range key {
			if k == name {
				s.Key = append(s.Key, len(s.Columns))
			}
		}
		s.Columns = append(s.Columns, column)
	}
	return s.Seal()
}
