package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// recordRows is how many records one statement inserts.
const recordRows = 1000

// conflictRecord is a row of concord.conflict as jsonb_to_recordset reads it.
type conflictRecord struct {
	At          time.Time          `json:"at"`
	Table       string             `json:"table_name"`
	Key         map[string]*string `json:"key"`
	Kind        string             `json:"kind"`
	Policy      string             `json:"policy"`
	Resolution  string             `json:"resolution"`
	OlderOrigin change.Site        `json:"older_origin"`
	OlderSeq    uint64             `json:"older_seq"`
	OlderHLC    uint64             `json:"older_hlc"`
	OlderOp     string             `json:"older_op"`
	OlderRow    map[string]*string `json:"older_row"`
	NewerOrigin change.Site        `json:"newer_origin"`
	NewerSeq    uint64             `json:"newer_seq"`
	NewerHLC    uint64             `json:"newer_hlc"`
	NewerOp     string             `json:"newer_op"`
	NewerRow    map[string]*string `json:"newer_row"`
	ResultRow   map[string]*string `json:"result_row"`
}

const conflictSQL = `INSERT INTO concord.conflict (at, table_name, key, kind, policy, resolution,
	older_origin, older_seq, older_hlc, older_op, older_row, newer_origin, newer_seq, newer_hlc, newer_op, newer_row, result_row)
SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(at timestamptz, table_name text, key jsonb, kind text, policy text, resolution text,
	older_origin text, older_seq int8, older_hlc int8, older_op text, older_row jsonb,
	newer_origin text, newer_seq int8, newer_hlc int8, newer_op text, newer_row jsonb, result_row jsonb)`

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
	Change  parkedChange       `json:"change"`
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

var _ apply.Recorder = (*DB)(nil)

const recordedSQL = `SELECT r.n FROM jsonb_to_recordset($1::jsonb) AS r(n int4, table_name text, key jsonb,
	older_origin text, older_seq int8, newer_origin text, newer_seq int8)
WHERE EXISTS (SELECT FROM concord.conflict c WHERE c.table_name = r.table_name AND c.key = r.key
	AND c.older_origin = r.older_origin AND c.older_seq = r.older_seq
	AND c.newer_origin = r.newer_origin AND c.newer_seq = r.newer_seq)`

// Recorded implements apply.Recorder.
func (db *DB) Recorded(ctx context.Context, conflicts []apply.Conflict) ([]bool, error) {
	type asked struct {
		N int `json:"n"`
		conflictRecord
	}
	out := make([]bool, len(conflicts))
	records := make([]asked, len(conflicts))
	for i := range conflicts {
		records[i] = asked{i, conflictRecordOf(&conflicts[i])}
	}
	text, err := json.Marshal(records)
	if err != nil || len(conflicts) == 0 {
		return out, err
	}
	err = db.ask(ctx, "looking for recorded conflicts", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, recordedSQL, string(text))
		if err != nil {
			return err
		}
		var n int
		_, err = pgx.ForEachRow(rows, []any{&n}, func() error {
			out[n] = true
			return nil
		})
		return err
	})
	return out, err
}

func conflictRecordOf(c *apply.Conflict) conflictRecord {
	side := func(s *apply.Side) map[string]*string { return readable(c.Table, s.Image) }
	return conflictRecord{
		At: c.Time, Table: c.Table.QualifiedName(), Key: readable(c.Table, onlyKey(c.Table, c.Key)),
		Kind: c.Kind, Policy: c.Policy, Resolution: c.Resolution,
		OlderOrigin: c.Older.Version.Origin, OlderSeq: c.Older.Seq, OlderHLC: c.Older.Version.HLC, OlderOp: c.Older.Op.String(), OlderRow: side(&c.Older),
		NewerOrigin: c.Newer.Version.Origin, NewerSeq: c.Newer.Seq, NewerHLC: c.Newer.Version.HLC, NewerOp: c.Newer.Op.String(), NewerRow: side(&c.Newer),
		ResultRow: readable(c.Table, c.Result),
	}
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
		Table: p.Row.Table.QualifiedName(), Op: p.Row.Op.String(), Key: key, Change: parkedChangeOf(&p.Row),
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
