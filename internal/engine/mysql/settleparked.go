package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

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

// settleParked runs f in a local transaction that removes the parked change.
func (db *DB) settleParked(ctx context.Context, id int64, f func(*targetTx, *apply.Parked) error) error {
	doing := fmt.Sprintf("settling parked change %d", id)
	return db.locally(ctx, doing, func(tx *targetTx) error {
		// The connection's own methods take part in the open transaction.
		c := tx.lane.conn
		p, err := oneParked(ctx, c, id, "FOR UPDATE")
		if err != nil {
			return classified(ctx, doing, err)
		}
		var earlier string
		err = c.rows(ctx, fmt.Sprintf("SELECT coalesce(min(e.id), '') FROM concord.parked p JOIN concord.parked e"+
			" ON e.table_name = p.table_name AND e.id < p.id AND (e.`key` = p.`key` OR e.op = 'truncate' OR p.op = 'truncate') WHERE p.id = %d", id),
			func(r []string) { earlier = r[0] })
		if err != nil {
			return classified(ctx, doing, err)
		}
		if earlier != "" {
			return fmt.Errorf("%s: %w: change %s of the same row is parked before it; settle that one first", doing, change.ErrRefused, earlier)
		}
		if err := f(tx, &p); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		_, err = c.exec(ctx, fmt.Sprintf("DELETE FROM concord.parked WHERE id = %d", id))
		return classified(ctx, doing, err)
	})
}

// locally runs f in an ordinary local transaction, which is published, and commits it.
func (db *DB) locally(ctx context.Context, doing string, f func(*targetTx) error) error {
	l, err := db.openLane(ctx, localSettings)
	if err != nil {
		return err
	}
	l.patient = true
	tx := &targetTx{db: db, local: true, lane: l, release: func() {}}
	defer l.close()
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := tx.run(ctx, tx.start(ctx), doing); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// carryOut brings about what a row change said, whatever is there now. A row is written
// anew rather than updated: an update that changes nothing is not in the log, and the
// other sites would not hear of it.
func (tx *targetTx) carryOut(ctx context.Context, r *change.Row) error {
	switch {
	case r.Op == change.Truncate:
		return tx.Truncate(ctx, r.Table, nil)
	case r.Op == change.Delete:
		_, err := tx.Write(ctx, []apply.Write{{Action: apply.Remove, Row: r}})
		return err
	case r.Partial():
		missing, err := tx.Write(ctx, []apply.Write{{Action: apply.Update, Row: r}})
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("%w: the row is gone, and the change does not carry all of its columns", change.ErrRefused)
		}
		return err
	}
	if r.Op == change.Update && r.MovesKey() {
		if err := tx.anew(ctx, r.Table, r.Old, nil); err != nil {
			return err
		}
	}
	return tx.anew(ctx, r.Table, r.New, r.New)
}

// anew removes the row of a key and inserts an image; nil: none.
func (tx *targetTx) anew(ctx context.Context, shape *change.Table, key, image []change.Value) error {
	writes := []apply.Write{{Action: apply.Remove, Row: &change.Row{Table: shape, Op: change.Delete, Old: key}}}
	if image != nil {
		writes = append(writes, apply.Write{Action: apply.Insert, Row: &change.Row{Table: shape, Op: change.Insert, New: image}})
	}
	_, err := tx.Write(ctx, writes)
	return err
}

// touch writes the rows that a change is about again, with all the columns they have
// here.
func (tx *targetTx) touch(ctx context.Context, r *change.Row) (bool, error) {
	if r.Op == change.Truncate {
		return false, nil // the rows that were kept are published as they are written
	}
	t, err := tx.db.table(ctx, r.Table, r.Table.Key)
	if err != nil {
		return false, err
	}
	whole := t.whole(r.Table)
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
	found := false
	for _, image := range images {
		if image == nil {
			continue
		}
		found = true
		if err := tx.anew(ctx, whole, image, image); err != nil {
			return false, err
		}
	}
	return found, nil
}

// whole is the table as it is here, with the replication key, the names and the kinds
// of another shape where that has them.
func (t *localTable) whole(like *change.Table) *change.Table {
	s := &change.Table{Schema: t.schema, Name: t.name, Full: like.Full}
	for i := range t.columns {
		c := &t.columns[i]
		if c.generated {
			continue
		}
		column := change.Column{Name: c.name, Type: c.typeText, Kind: c.types.kind, Collation: c.comparing()}
		for j := range like.Columns {
			if strings.EqualFold(like.Columns[j].Name, c.name) {
				column.Name, column.Kind, column.Collation = like.Columns[j].Name, like.Columns[j].Kind, like.Columns[j].Collation
				if like.IsKey(j) {
					s.Key = append(s.Key, len(s.Columns))
				}
			}
		}
		s.Columns = append(s.Columns, column)
	}
	return s.Seal()
}
