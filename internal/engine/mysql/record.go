package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/parking"
)

// Record implements apply.Tx.
func (tx *targetTx) Record(ctx context.Context, conflicts []apply.Conflict, parked []apply.Parked) error {
	if err := tx.check(); err != nil {
		return err
	}
	if len(conflicts)+len(parked) == 0 {
		return nil
	}
	if len(conflicts) > 0 {
		if err := tx.recordConflicts(ctx, conflicts); err != nil {
			return err
		}
	}
	b := tx.start(ctx)
	for i := range parked {
		var r record
		r.parked(&parked[i])
		if r.err != nil {
			return fmt.Errorf("parking changes: %w", r.err)
		}
		// A change that is parked a second time, having failed anew, keeps its place.
		b.add(query{about: "parking changes"}, r.insert("concord.parked")+fmt.Sprintf(
			" ON DUPLICATE KEY UPDATE at = %s, reason = %s, message = %s, behind = %s", r.get("at"), r.get("reason"), r.get("message"), r.get("behind")))
	}
	return tx.run(ctx, b, "recording")
}

// record is a row of one of Concord's tables that is to be inserted: columns and values
// as SQL.
type record struct {
	columns []string
	values  []string
	err     error
}

func (r *record) raw(column, sql string) {
	r.columns, r.values = append(r.columns, quote(column)), append(r.values, sql)
}
func (r *record) text(column, s string)             { r.raw(column, literal(s)) }
func (r *record) number(column string, n uint64)    { r.raw(column, strconv.FormatUint(n, 10)) }
func (r *record) moment(column string, t time.Time) { r.text(column, datetime(t)) }

func (r *record) truth(column string, yes bool) {
	r.raw(column, strings.ToUpper(strconv.FormatBool(yes)))
}

// orNull is a text that is NULL when empty.
func (r *record) orNull(column, s string) {
	if s == "" {
		r.raw(column, "NULL")
		return
	}
	r.text(column, s)
}

// object is a value as JSON; nil maps are NULL.
func (r *record) object(column string, v any) {
	text, err := json.Marshal(v)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("column %s: %w", column, err)
	}
	if string(text) == "null" {
		r.raw(column, "NULL")
		return
	}
	r.text(column, string(text))
}

func (r *record) get(column string) string {
	for i, c := range r.columns {
		if c == quote(column) {
			return r.values[i]
		}
	}
	return "NULL"
}

func (r *record) insert(table string) string {
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(r.columns, ", "), strings.Join(r.values, ", "))
}

func (r *record) parked(p *apply.Parked) {
	seen := p.Seen
	if seen == nil {
		seen = change.Seen{}
	}
	key := map[string]*string{} // of a truncate: every key
	if image := p.Row.Key(); image != nil {
		key = readable(p.Row.Table, onlyKey(p.Row.Table, image))
	}
	r.moment("at", p.Time)
	r.text("origin", string(p.Origin))
	r.number("epoch", uint64(p.Epoch))
	r.number("seq", p.Seq)
	r.number("hlc", p.HLC)
	r.object("seen", seen)
	r.number("row_index", uint64(p.Index))
	r.text("table_name", p.Row.Table.QualifiedName())
	r.text("op", p.Row.Op.String())
	r.object("key", key)
	r.object("change", parking.Of(&p.Row))
	r.text("reason", p.Reason)
	r.text("message", p.Message)
	r.truth("behind", p.Behind)
}

// readable is an image for people: column name to text or null, bytes in hex,
// unchanged values left out. nil stays nil.
func readable(t *change.Table, image []change.Value) map[string]*string {
	if image == nil {
		return nil
	}
	m := make(map[string]*string, len(image))
	for i, v := range image {
		switch v.State {
		case change.Null:
			m[t.Columns[i].Name] = nil
		case change.Present:
			text := v.Text
			if t.Columns[i].Kind == change.KindBytes {
				text = fmt.Sprintf(`\x%x`, text)
			}
			m[t.Columns[i].Name] = &text
		}
	}
	return m
}

func onlyKey(t *change.Table, image []change.Value) []change.Value {
	key := make([]change.Value, len(t.Columns))
	for _, k := range t.Key {
		key[k] = image[k]
	}
	return key
}
