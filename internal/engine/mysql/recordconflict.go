package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// recordRows is how many records are looked for and written at a time.
const recordRows = 500

// recordConflicts records conflicts: those that they supersede or withdraw go, one that
// is there already reads as it says now but keeps its id and moment. An image that is not
// known is looked for among the records of the row, those that go included.
func (tx *targetTx) recordConflicts(ctx context.Context, conflicts []apply.Conflict) error {
	for part := range slices.Chunk(conflicts, recordRows) {
		have, err := tx.recordedOf(ctx, part)
		if err != nil {
			return err
		}
		var gone []int64
		var inserts []record
		for i := range part {
			c := &part[i]
			mine := have[hashText(c.Row)]
			for _, r := range mine {
				if r.goneBy(c) {
					gone = append(gone, r.id)
				}
			}
			if c.Withdrawn || slices.ContainsFunc(mine, func(r *recorded) bool { return r.supersedes(c) }) {
				continue
			}
			r, err := tx.conflictRecord(ctx, c, mine)
			if err != nil {
				return err
			}
			inserts = append(inserts, r)
		}
		b := tx.start(ctx)
		if len(gone) > 0 {
			var in list
			for _, id := range gone {
				in.number(id)
			}
			b.add(query{about: "recording conflicts"}, "DELETE FROM concord.conflict WHERE id IN ("+in.String()+")")
		}
		for i := range inserts {
			b.add(query{about: "recording conflicts"}, inserts[i].insert("concord.conflict")+conflictUpdate(&inserts[i]))
		}
		if err := tx.run(ctx, b, "recording"); err != nil {
			return err
		}
	}
	return nil
}

// recorded is what is asked of a conflict that has been recorded.
type recorded struct {
	id           int64
	other        string
	unique       bool
	truncate     bool // one of its writes is one
	older, newer recordedWrite
}

type recordedWrite struct {
	origin change.Site
	seq    uint64
	hlc    uint64
	seen   change.Seen
	image  bool // known
}

// recordedOf reads the records of the rows of conflicts, by the hash of the row.
func (tx *targetTx) recordedOf(ctx context.Context, conflicts []apply.Conflict) (map[string][]*recorded, error) {
	var in list
	asked := map[string]bool{}
	for i := range conflicts {
		if h := hashText(conflicts[i].Row); !asked[h] {
			asked[h] = true
			in.add(literal(h))
		}
	}
	found := map[string][]*recorded{}
	b := tx.start(ctx)
	b.add(query{about: "reading recorded conflicts", row: func(v []*string) (err error) {
		r := &recorded{other: text(v[2]), unique: text(v[3]) == "1", truncate: text(v[4]) == "truncate" || text(v[5]) == "truncate"}
		if _, err := fmt.Sscan(text(v[0]), &r.id); err != nil {
			return err
		}
		if r.older, err = recordedWriteOf(v[6:11]); err == nil {
			r.newer, err = recordedWriteOf(v[11:16])
		}
		found[text(v[1])] = append(found[text(v[1])], r)
		return err
	}}, "SELECT id, key_hash, other_hash, unique_key IS NOT NULL, older_op, newer_op, "+
		"older_origin, older_seq, older_hlc, older_seen, older_row IS NOT NULL, newer_origin, newer_seq, newer_hlc, newer_seen, newer_row IS NOT NULL "+
		"FROM concord.conflict WHERE key_hash IN ("+in.String()+")")
	return found, tx.run(ctx, b, "recording")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func recordedWriteOf(v []*string) (w recordedWrite, err error) {
	w.origin, w.image = change.Site(text(v[0])), text(v[4]) == "1"
	if _, err = fmt.Sscan(text(v[1])+" "+text(v[2]), &w.seq, &w.hlc); err == nil && v[3] != nil {
		err = json.Unmarshal([]byte(*v[3]), &w.seen)
	}
	return w, err
}

func writeSeen(s *apply.Side) recordedWrite {
	return recordedWrite{origin: s.Version.Origin, seq: s.Seq, hlc: s.Version.HLC, seen: s.Seen}
}

// knew is whether w had seen o.
func (w recordedWrite) knew(o recordedWrite) bool {
	if o.origin == w.origin {
		return o.seq < w.seq
	}
	return o.seq <= w.seen[o.origin]
}

func (w recordedWrite) is(o recordedWrite) bool { return w.hlc == o.hlc && w.origin == o.origin }

// over is whether a conflict of two writes supersedes that of two others by what the
// writes knew.
func over(older, newer, otherOlder, otherNewer recordedWrite) bool {
	one := func(x, y recordedWrite) bool {
		return (older.knew(x) || older.is(x)) && (newer.knew(y) || newer.is(y)) &&
			(newer.knew(y) && !newer.knew(x) || older.knew(x) && !older.knew(y))
	}
	return one(otherOlder, otherNewer) || one(otherNewer, otherOlder)
}

// same is whether r records c: by the same two writes of the same rows.
func (r *recorded) same(c *apply.Conflict) bool {
	return r.older.is(writeSeen(&c.Older)) && r.newer.is(writeSeen(&c.Newer))
}

// alike is whether one of the two may supersede the other.
func (r *recorded) alike(c *apply.Conflict) bool {
	truncate := c.Older.Op == change.Truncate || c.Newer.Op == change.Truncate
	return r.other == hashText(c.Other) && !r.unique && c.Unique == "" && r.truncate == truncate && !r.same(c)
}

// goneBy is whether the record goes when c is recorded.
func (r *recorded) goneBy(c *apply.Conflict) bool {
	switch {
	case r.other != hashText(c.Other):
		return false
	case r.same(c):
		return c.Withdrawn
	case !r.alike(c):
		return false
	}
	for _, a := range c.Arrived {
		w := recordedWrite{origin: a.Origin, seq: a.Seq, seen: a.Seen}
		if w.knew(r.older) != w.knew(r.newer) {
			return true
		}
	}
	return over(writeSeen(&c.Older), writeSeen(&c.Newer), r.older, r.newer)
}

// supersedes is whether c is not to be recorded because r is there.
func (r *recorded) supersedes(c *apply.Conflict) bool {
	return r.alike(c) && over(r.older, r.newer, writeSeen(&c.Older), writeSeen(&c.Newer))
}

// conflictRecord is the row of a conflict. have are the records of its row.
func (tx *targetTx) conflictRecord(ctx context.Context, c *apply.Conflict, have []*recorded) (r record, err error) {
	side := func(name string, s *apply.Side) (image string) {
		r.text(name+"_origin", string(s.Version.Origin))
		r.number(name+"_seq", s.Seq)
		r.number(name+"_hlc", s.Version.HLC)
		r.text(name+"_op", s.Op.String())
		if r.raw(name+"_xid", "NULL"); s.XID != 0 {
			r.values[len(r.values)-1] = fmt.Sprint(s.XID)
		}
		if r.raw(name+"_commit", "NULL"); !s.Commit.IsZero() {
			r.values[len(r.values)-1] = literal(datetime(s.Commit))
		}
		r.object(name+"_seen", s.Seen)
		var known *string
		switch {
		case s.Op == change.Delete || s.Op == change.Truncate:
			r.raw(name+"_row", "NULL")
			return "NULL"
		case s.Standing || s.Image == nil:
			if known, err = tx.knownImage(ctx, c, s, have); err != nil {
				return "NULL"
			}
		}
		if known != nil {
			r.text(name+"_row", *known)
		} else {
			r.object(name+"_row", readable(c.Table, s.Image))
		}
		return r.values[len(r.values)-1]
	}
	r.moment("at", c.Time)
	r.text("table_name", c.Table.QualifiedName())
	r.object("key", readable(c.Table, onlyKey(c.Table, c.Key)))
	r.text("key_hash", hashText(c.Row))
	r.text("other_hash", hashText(c.Other))
	r.orNull("unique_key", c.Unique)
	r.text("kind", c.Kind)
	r.text("policy", c.Policy)
	r.text("resolution", c.Resolution)
	r.orNull("message", c.Message)
	side("older", &c.Older)
	newer := side("newer", &c.Newer)
	r.object("base_row", readable(c.Table, c.Base))
	r.truth("base_known", c.BaseKnown)
	if c.Resolution == "newer" && (c.Result == nil || c.Newer.Standing) {
		r.raw("result_row", newer)
	} else {
		r.object("result_row", readable(c.Table, c.Result))
	}
	if err == nil && r.err != nil {
		err = fmt.Errorf("recording conflicts: %w", r.err)
	}
	return r, err
}

// knownImage is what another record of the row says that a write wrote; nil when none
// does.
func (tx *targetTx) knownImage(ctx context.Context, c *apply.Conflict, s *apply.Side, have []*recorded) (image *string, err error) {
	w := writeSeen(s)
	for _, r := range have {
		column := ""
		switch {
		case r.unique:
		case r.older.is(w) && r.older.image:
			column = "older_row"
		case r.newer.is(w) && r.newer.image:
			column = "newer_row"
		}
		if column == "" {
			continue
		}
		b := tx.start(ctx)
		b.add(query{about: "reading recorded conflicts", row: func(v []*string) error {
			image = v[0]
			return nil
		}}, fmt.Sprintf("SELECT %s FROM concord.conflict WHERE id = %d", column, r.id))
		return image, tx.run(ctx, b, "recording")
	}
	return nil, nil
}

// conflictUpdate is what becomes of the record when it is there: what it knew and c does
// not know stays. Assignments see those before them: the images that others are made of
// come last.
func conflictUpdate(r *record) string {
	kept := func(column, op string) string {
		if op == "'delete'" || op == "'truncate'" {
			return "NULL"
		}
		return "coalesce(" + r.get(column) + ", " + column + ")"
	}
	newer := kept("newer_row", r.get("newer_op"))
	result := r.get("result_row")
	if r.get("resolution") == "'newer'" && newer != "NULL" {
		result = "coalesce(" + result + ", " + r.get("newer_row") + ", newer_row)"
	}
	set := []string{
		"result_row = " + result,
		"older_row = " + kept("older_row", r.get("older_op")),
		"newer_row = " + newer,
	}
	for _, name := range []string{"kind", "policy", "resolution", "unique_key", "message", "older_seen", "newer_seen", "older_op", "newer_op", "base_row", "base_known"} {
		set = append(set, name+" = "+r.get(name))
	}
	return " ON DUPLICATE KEY UPDATE " + strings.Join(set, ", ")
}

var _ apply.Recorder = (*DB)(nil)

// Recorded implements apply.Recorder.
func (db *DB) Recorded(ctx context.Context, conflicts []apply.Conflict) ([]bool, error) {
	out := make([]bool, len(conflicts))
	err := db.ask(ctx, "looking for recorded conflicts", func(c *conn) error {
		for first := 0; first < len(conflicts); first += recordRows {
			var in list
			at := map[string][]int{}
			name := func(parts ...any) string { return fmt.Sprint(parts...) }
			for i := first; i < min(first+recordRows, len(conflicts)); i++ {
				k := &conflicts[i]
				n := name(hashText(k.Row), hashText(k.Other), string(k.Older.Version.Origin), "/", fmt.Sprint(k.Older.Version.HLC), string(k.Newer.Version.Origin), "/", fmt.Sprint(k.Newer.Version.HLC))
				at[n] = append(at[n], i)
				in.add(literal(hashText(k.Row)))
			}
			err := c.rows(ctx, "SELECT key_hash, other_hash, older_origin, older_hlc, newer_origin, newer_hlc FROM concord.conflict WHERE key_hash IN ("+in.String()+")", func(r []string) {
				for _, i := range at[name(r[0], r[1], r[2], "/", r[3], r[4], "/", r[5])] {
					out[i] = true
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func hashText(k conflict.Key) string { return fmt.Sprintf("%016x%016x", k.Hi, k.Lo) }
