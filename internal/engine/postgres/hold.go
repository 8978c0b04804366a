package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

var (
	_ apply.Holder      = (*DB)(nil)
	_ apply.HoldTx      = (*targetTx)(nil)
	_ apply.TableLocker = (*targetTx)(nil)
)

// Holds implements apply.Holder: the tables held back, of all origins.
func (db *DB) Holds(ctx context.Context) ([]apply.Hold, error) {
	var all []apply.Hold
	err := db.ask(ctx, "reading the held tables", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT origin, table_name, from_seq, columns::text, low::text, message, since FROM concord.hold ORDER BY since, origin, table_name`)
		if err != nil {
			return err
		}
		var h apply.Hold
		var origin, columns, low string
		var from int64
		var since time.Time
		_, err = pgx.ForEachRow(rows, []any{&origin, &h.Table, &from, &columns, &low, &h.Message, &since}, func() error {
			found := h
			found.Origin, found.From, found.Since = change.Site(origin), uint64(from), since.UTC()
			found.Columns, found.Low = nil, nil
			if err := errors.Join(json.Unmarshal([]byte(columns), &found.Columns), json.Unmarshal([]byte(low), &found.Low)); err != nil {
				return fmt.Errorf("table %s held back for %s: %w", h.Table, origin, err)
			}
			all = append(all, found)
			return nil
		})
		return err
	})
	return all, err
}

// A hold that is there keeps the moment it began: the window is kept from there.
const (
	holdSQL = `INSERT INTO concord.hold AS h (origin, table_name, from_seq, columns, low, message, since)
VALUES ($1, $2, $3::int8, $4::jsonb, $5::jsonb, $6, $7::timestamptz)
ON CONFLICT (origin, table_name) DO UPDATE SET
	from_seq = CASE WHEN $8::bool THEN EXCLUDED.from_seq ELSE least(h.from_seq, EXCLUDED.from_seq) END,
	columns = EXCLUDED.columns, message = EXCLUDED.message`
	unholdSQL = `DELETE FROM concord.hold WHERE origin = $1 AND table_name = $2`
)

// Hold implements apply.HoldTx.
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
	b := tx.start(ctx, true)
	b.add(query{sql: holdSQL, about: "table " + h.Table, params: [][]byte{
		[]byte(h.Origin), []byte(h.Table), strconv.AppendUint(nil, h.From, 10), columnsJSON, lowJSON,
		[]byte(h.Message), []byte(h.Since.UTC().Format(time.RFC3339Nano)), strconv.AppendBool(nil, moved),
	}})
	return tx.run(ctx, b, "holding a table back")
}

// Unhold implements apply.HoldTx.
func (tx *targetTx) Unhold(ctx context.Context, origin change.Site, table string) error {
	if err := tx.check(); err != nil {
		return err
	}
	b := tx.start(ctx, true)
	b.add(query{sql: unholdSQL, about: "table " + table, params: [][]byte{[]byte(origin), []byte(table)}})
	return tx.run(ctx, b, "releasing a held table")
}
