package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/parking"
)

// recordRows is how many records one statement inserts.
const recordRows = 1000

// parkedRecord is a row of concord.parked as jsonb_to_recordset reads it.
type parkedRecord struct {
	At      time.Time          `json:"at"`
	Origin  change.Site        `json:"origin"`
	Epoch   uint32             `json:"epoch"`
	Seq     uint64             `json:"seq"`
	HLC     uint64             `json:"hlc"`
	Seen    change.Seen        `json:"seen"`
	Index   int                `json:"row_index"`
	Table   string             `json:"table_name"`
	Op      string             `json:"op"`
	Key     map[string]*string `json:"key"`
	Change  parking.Change     `json:"change"`
	Reason  string             `json:"reason"`
	Message string             `json:"message"`
	Behind  bool               `json:"behind"`
}

// A change that is parked a second time, having failed anew, keeps its place.
const parkSQL = `INSERT INTO concord.parked (at, origin, epoch, seq, hlc, seen, row_index, table_name, op, key, change, reason, message, behind)
SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(at timestamptz, origin text, epoch int4, seq int8, hlc int8, seen jsonb, row_index int4,
	table_name text, op text, key jsonb, change jsonb, reason text, message text, behind bool)
ON CONFLICT (origin, epoch, seq, row_index) DO UPDATE SET
	at = EXCLUDED.at, reason = EXCLUDED.reason, message = EXCLUDED.message, behind = EXCLUDED.behind`

// Record implements apply.Tx.
func (tx *targetTx) Record(ctx context.Context, conflicts []apply.Conflict, parked []apply.Parked) error {
	if err := tx.check(); err != nil {
		return err
	}
	if len(conflicts)+len(parked) == 0 {
		return nil
	}
	var queries []query
	add := func(sql, about string, records any) error {
		text, err := json.Marshal(records)
		if err != nil {
			return fmt.Errorf("%s: %w", about, err)
		}
		queries = append(queries, query{sql: sql, params: [][]byte{text}, about: about})
		return nil
	}
	for first := 0; first < len(conflicts); first += recordRows {
		part := conflicts[first:min(first+recordRows, len(conflicts))]
		records := make([]conflictRecord, len(part))
		for i := range part {
			records[i] = conflictRecordOf(&part[i])
		}
		if err := add(conflictSQL, "recording conflicts", records); err != nil {
			return err
		}
	}
	for first := 0; first < len(parked); first += recordRows {
		part := parked[first:min(first+recordRows, len(parked))]
		records := make([]parkedRecord, len(part))
		for i := range part {
			records[i] = parkedRecordOf(&part[i])
		}
		if err := add(parkSQL, "parking changes", records); err != nil {
			return err
		}
	}
	b := tx.start(ctx, true)
	for _, q := range queries {
		b.add(q)
	}
	return tx.run(ctx, b, "recording")
}

func parkedRecordOf(p *apply.Parked) parkedRecord {
	seen := p.Seen
	if seen == nil {
		seen = change.Seen{}
	}
	key := map[string]*string{} // of a truncate: every key
	if image := p.Row.Key(); image != nil {
		key = readable(p.Row.Table, onlyKey(p.Row.Table, image))
	}
	return parkedRecord{
		At: p.Time, Origin: p.Origin, Epoch: p.Epoch, Seq: p.Seq, HLC: p.HLC, Seen: seen, Index: p.Index,
		Table: p.Row.Table.QualifiedName(), Op: p.Row.Op.String(), Key: key, Change: parking.Of(&p.Row),
		Reason: p.Reason, Message: p.Message, Behind: p.Behind,
	}
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
			text := nativeText(t.Columns[i].Kind, v.Text)
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
