package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

var (
	_ apply.Holder      = (*DB)(nil)
	_ apply.HoldTx      = (*targetTx)(nil)
	_ apply.TableLocker = (*targetTx)(nil)
)

// Holds implements apply.Holder: the tables held back, of all origins.
func (db *DB) Holds(ctx context.Context) (all []apply.Hold, err error) {
	err = db.ask(ctx, "reading the held tables", func(c *conn) error {
		r, err := c.query(ctx, "SELECT origin, table_name, from_seq, `columns`, low, message, since FROM concord.hold ORDER BY since, origin, table_name")
		if err != nil {
			return err
		}
		defer r.Close()
		return each(r, func(f *fields) error {
			h := apply.Hold{Origin: change.Site(f.text()), Table: f.text(), From: uint64(f.number())}
			columns, low := f.text(), f.text()
			h.Message, h.Since = f.text(), f.at()
			if err := errors.Join(json.Unmarshal([]byte(columns), &h.Columns), json.Unmarshal([]byte(low), &h.Low)); err != nil {
				return fmt.Errorf("table %s held back for %s: %w", h.Table, h.Origin, err)
			}
			all = append(all, h)
			return nil
		})
	})
	return all, err
}

// Hold implements apply.HoldTx. A hold that is there keeps the moment it began: the
// window is kept from there.
func (tx *targetTx) Hold(ctx context.Context, h apply.Hold, moved bool) error {
	if err := tx.check(); err != nil {
		return err
	}
	columns, low := h.Columns, h.Low
	if columns == nil {
		columns = []string{}
	}
	if low == nil {
		low = change.Seen{}
	}
	columnsJSON, err := json.Marshal(columns)
	if err != nil {
		return fmt.Errorf("holding table %s back: %w", h.Table, err)
	}
	lowJSON, err := json.Marshal(low)
	if err != nil {
		return fmt.Errorf("holding table %s back: %w", h.Table, err)
	}
	from, text, message := strconv.FormatUint(h.From, 10), literal(string(columnsJSON)), literal(h.Message)
	set := from
	if !moved {
		set = "least(from_seq, " + from + ")"
	}
	b := tx.start(ctx)
	b.add(query{about: "table " + h.Table}, fmt.Sprintf("INSERT INTO concord.hold (origin, table_name, from_seq, `columns`, low, message, since) VALUES (%s, %s, %s, %s, %s, %s, %s)"+
		" ON DUPLICATE KEY UPDATE from_seq = %s, `columns` = %[4]s, message = %[6]s",
		literal(string(h.Origin)), literal(h.Table), from, text, literal(string(lowJSON)), message, literal(datetime(h.Since)), set))
	return tx.run(ctx, b, "holding a table back")
}

// Unhold implements apply.HoldTx.
func (tx *targetTx) Unhold(ctx context.Context, origin change.Site, table string) error {
	if err := tx.check(); err != nil {
		return err
	}
	b := tx.start(ctx)
	b.add(query{about: "table " + table}, "DELETE FROM concord.hold WHERE origin = "+literal(string(origin))+" AND table_name = "+literal(table))
	return tx.run(ctx, b, "releasing a held table")
}
