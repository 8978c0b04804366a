package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// conflictRecord is a row of concord.conflict as jsonb_to_recordset reads it.
type conflictRecord struct {
	At          time.Time          `json:"at"`
	Table       string             `json:"table_name"`
	Key         map[string]*string `json:"key"`
	KeyHash     string             `json:"key_hash"`
	OtherHash   string             `json:"other_hash"`
	Unique      *string            `json:"unique_key"`
	Kind        string             `json:"kind"`
	Policy      string             `json:"policy"`
	Resolution  string             `json:"resolution"`
	OlderOrigin change.Site        `json:"older_origin"`
	OlderSeq    uint64             `json:"older_seq"`
	OlderHLC    uint64             `json:"older_hlc"`
	OlderXID    *int64             `json:"older_xid"`
	OlderCommit *time.Time         `json:"older_commit"`
	OlderOp     string             `json:"older_op"`
	OlderRow    map[string]*string `json:"older_row"`
	NewerOrigin change.Site        `json:"newer_origin"`
	NewerSeq    uint64             `json:"newer_seq"`
	NewerHLC    uint64             `json:"newer_hlc"`
	NewerXID    *int64             `json:"newer_xid"`
	NewerCommit *time.Time         `json:"newer_commit"`
	NewerOp     string             `json:"newer_op"`
	NewerRow    map[string]*string `json:"newer_row"`
	BaseRow     map[string]*string `json:"base_row"`
	BaseKnown   bool               `json:"base_known"`
	ResultRow   map[string]*string `json:"result_row"`
	Message     *string            `json:"message"`

	// Not columns.
	Arrived       []arrivalRecord `json:"arrived"`
	Withdrawn     bool            `json:"withdrawn"`
	OlderStanding bool            `json:"older_standing"`
	NewerStanding bool            `json:"newer_standing"`
	OlderSeen     change.Seen     `json:"older_seen"`
	NewerSeen     change.Seen     `json:"newer_seen"`
}

// arrivalRecord is an apply.Arrival.
type arrivalRecord struct {
	Origin change.Site `json:"origin"`
	Seq    uint64      `json:"seq"`
	Seen   change.Seen `json:"seen"`
}

// conflictSQL records conflicts: those that they supersede or withdraw go, one that is
// there already reads as it says now but keeps its id and moment. An image that is not
// known is looked for among the records of the row, those that go included.
var conflictSQL = `WITH r AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(at timestamptz, table_name text, key jsonb, key_hash uuid, other_hash uuid,
	unique_key text, kind text, policy text, resolution text,
	older_origin text, older_seq int8, older_hlc int8, older_xid int8, older_commit timestamptz, older_op text, older_row jsonb,
	newer_origin text, newer_seq int8, newer_hlc int8, newer_xid int8, newer_commit timestamptz, newer_op text, newer_row jsonb,
	base_row jsonb, base_known bool, result_row jsonb, message text, withdrawn bool, older_standing bool, newer_standing bool, arrived jsonb, older_seen jsonb, newer_seen jsonb)),
gone AS (DELETE FROM concord.conflict c USING r WHERE c.key_hash = r.key_hash AND c.other_hash = r.other_hash
	AND CASE WHEN c.older_hlc = r.older_hlc AND c.older_origin = r.older_origin AND c.newer_hlc = r.newer_hlc AND c.newer_origin = r.newer_origin THEN r.withdrawn
		WHEN c.unique_key IS NOT NULL OR r.unique_key IS NOT NULL OR ('truncate' IN (c.older_op, c.newer_op)) <> ('truncate' IN (r.older_op, r.newer_op)) THEN false
		ELSE EXISTS (SELECT FROM jsonb_to_recordset(r.arrived) AS e(origin text, seq int8, seen jsonb) WHERE ` + knew("e.", "c.older") + ` <> ` + knew("e.", "c.newer") + `)
			OR ` + over("r", "c") + ` END)
INSERT INTO concord.conflict AS had (at, table_name, key, key_hash, other_hash, unique_key, kind, policy, resolution,
	older_origin, older_seq, older_hlc, older_xid, older_commit, older_op, older_row,
	newer_origin, newer_seq, newer_hlc, newer_xid, newer_commit, newer_op, newer_row, base_row, base_known, result_row, message, older_seen, newer_seen)
SELECT at, table_name, key, key_hash, other_hash, unique_key, kind, policy, resolution,
	older_origin, older_seq, older_hlc, older_xid, older_commit, older_op, ` + imageOf("older") + `,
	newer_origin, newer_seq, newer_hlc, newer_xid, newer_commit, newer_op, ` + imageOf("newer") + `, base_row, base_known,
	CASE WHEN resolution = 'newer' AND (result_row IS NULL OR newer_standing) THEN ` + imageOf("newer") + ` ELSE result_row END, message, older_seen, newer_seen
FROM r WHERE NOT withdrawn AND NOT EXISTS (SELECT FROM concord.conflict c WHERE c.key_hash = r.key_hash AND c.other_hash = r.other_hash AND c.unique_key IS NULL AND r.unique_key IS NULL
	AND NOT (c.older_hlc = r.older_hlc AND c.older_origin = r.older_origin AND c.newer_hlc = r.newer_hlc AND c.newer_origin = r.newer_origin)
	AND ('truncate' IN (c.older_op, c.newer_op)) = ('truncate' IN (r.older_op, r.newer_op)) AND ` + over("c", "r") + `)
ON CONFLICT (key_hash, other_hash, older_hlc, older_origin, newer_hlc, newer_origin) DO UPDATE SET
	kind = excluded.kind, policy = excluded.policy, resolution = excluded.resolution, unique_key = excluded.unique_key, message = excluded.message,
	older_seen = excluded.older_seen, newer_seen = excluded.newer_seen,
	older_op = excluded.older_op, older_row = CASE WHEN excluded.older_op NOT IN ('delete', 'truncate') THEN coalesce(excluded.older_row, had.older_row) END,
	newer_op = excluded.newer_op, newer_row = CASE WHEN excluded.newer_op NOT IN ('delete', 'truncate') THEN coalesce(excluded.newer_row, had.newer_row) END,
	base_row = excluded.base_row, base_known = excluded.base_known,
	result_row = CASE WHEN excluded.resolution = 'newer' AND excluded.newer_op NOT IN ('delete', 'truncate') THEN coalesce(excluded.result_row, excluded.newer_row, had.newer_row) ELSE excluded.result_row END`

// over is whether conflict c supersedes o by what the writes of the two knew.
func over(c, o string) string {
	one := func(x, y string) string {
		return fmt.Sprintf(`(%[1]s OR %[5]s) AND (%[4]s OR %[6]s) AND (%[4]s AND NOT %[3]s OR %[1]s AND NOT %[2]s)`,
			knew(c+".older_", x), knew(c+".older_", y), knew(c+".newer_", x), knew(c+".newer_", y), isWrite(c+".older", x), isWrite(c+".newer", y))
	}
	return "(" + one(o+".older", o+".newer") + " OR " + one(o+".newer", o+".older") + ")"
}

// knew is whether the write of r, a prefix of columns, had seen that of c.
func knew(r, c string) string {
	return fmt.Sprintf(`(CASE WHEN %[2]s_origin = %[1]sorigin THEN %[2]s_seq < %[1]sseq ELSE %[2]s_seq <= coalesce((%[1]sseen ->> %[2]s_origin)::int8, 0) END)`, r, c)
}

func isWrite(r, c string) string {
	return fmt.Sprintf(`(%[2]s_hlc = %[1]s_hlc AND %[2]s_origin = %[1]s_origin)`, r, c)
}

// imageOf is the image of a side, or what another record of the row says it is.
func imageOf(side string) string {
	return fmt.Sprintf(`CASE WHEN %[1]s_op NOT IN ('delete', 'truncate') THEN coalesce(CASE WHEN NOT %[1]s_standing THEN %[1]s_row END,
		(SELECT CASE WHEN c.older_hlc = r.%[1]s_hlc AND c.older_origin = r.%[1]s_origin THEN c.older_row ELSE c.newer_row END
		FROM concord.conflict c WHERE c.key_hash = r.key_hash AND c.unique_key IS NULL AND (c.older_hlc = r.%[1]s_hlc AND c.older_origin = r.%[1]s_origin AND c.older_row IS NOT NULL
			OR c.newer_hlc = r.%[1]s_hlc AND c.newer_origin = r.%[1]s_origin AND c.newer_row IS NOT NULL) LIMIT 1),
		%[1]s_row) END`, side)
}

var _ apply.Recorder = (*DB)(nil)

const recordedSQL = `SELECT r.n FROM jsonb_to_recordset($1::jsonb) AS r(n int4, key_hash uuid, other_hash uuid,
	older_origin text, older_hlc int8, newer_origin text, newer_hlc int8)
WHERE EXISTS (SELECT FROM concord.conflict c WHERE c.key_hash = r.key_hash AND c.other_hash = r.other_hash
	AND c.older_hlc = r.older_hlc AND c.older_origin = r.older_origin AND c.newer_hlc = r.newer_hlc AND c.newer_origin = r.newer_origin)`

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
	arrived := make([]arrivalRecord, len(c.Arrived))
	for i, a := range c.Arrived {
		arrived[i] = arrivalRecord(a)
	}
	side := func(s *apply.Side) map[string]*string { return readable(c.Table, s.Image) }
	return conflictRecord{
		At: c.Time, Table: c.Table.QualifiedName(), Key: readable(c.Table, onlyKey(c.Table, c.Key)),
		KeyHash: hashText(c.Row), OtherHash: hashText(c.Other), Unique: orNull(c.Unique),
		Kind: c.Kind, Policy: c.Policy, Resolution: c.Resolution, Message: orNull(c.Message), Withdrawn: c.Withdrawn, Arrived: arrived, OlderStanding: c.Older.Standing, NewerStanding: c.Newer.Standing,
		OlderOrigin: c.Older.Version.Origin, OlderSeq: c.Older.Seq, OlderHLC: c.Older.Version.HLC, OlderOp: c.Older.Op.String(), OlderRow: side(&c.Older),
		OlderXID: xidOrNull(c.Older.XID), OlderCommit: timeOrNull(c.Older.Commit), OlderSeen: c.Older.Seen,
		NewerOrigin: c.Newer.Version.Origin, NewerSeq: c.Newer.Seq, NewerHLC: c.Newer.Version.HLC, NewerOp: c.Newer.Op.String(), NewerRow: side(&c.Newer),
		NewerXID: xidOrNull(c.Newer.XID), NewerCommit: timeOrNull(c.Newer.Commit), NewerSeen: c.Newer.Seen,
		BaseRow: readable(c.Table, c.Base), BaseKnown: c.BaseKnown, ResultRow: readable(c.Table, c.Result),
	}
}

func hashText(k conflict.Key) string { return fmt.Sprintf("%016x%016x", k.Hi, k.Lo) }

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func xidOrNull(x uint64) *int64 {
	if x == 0 {
		return nil
	}
	n := int64(x)
	return &n
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
