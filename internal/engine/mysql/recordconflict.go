package mysql

import (
	"context"
	"encoding/json"
	"errors"
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
				if c.Supersedes(&r.Conflict) || c.Withdrawn && c.Same(&r.Conflict) {
					gone = append(gone, r.id)
				}
			}
			if c.Withdrawn || slices.ContainsFunc(mine, func(r *recorded) bool { return r.Supersedes(c) }) {
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

// recorded is a conflict that has been recorded: what is asked of it, and whether its
// images are known.
type recorded struct {
	apply.Conflict
	id int64
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
	b.add(query{about: "reading recorded conflicts", row: func(v []*string) error {
		r, err := recordedConflict(v)
		found[hashText(r.Row)] = append(found[hashText(r.Row)], r)
		return err
	}}, "SELECT id, key_hash, other_hash, coalesce(unique_key, ''), older_origin, older_seq, older_hlc, older_op, older_seen, older_row IS NOT NULL, "+
		"newer_origin, newer_seq, newer_hlc, newer_op, newer_seen, newer_row IS NOT NULL FROM concord.conflict WHERE key_hash IN ("+in.String()+")")
	return found, tx.run(ctx, b, "recording")
}

// recordedConflict reads what recordedOf asks for.
func recordedConflict(values []*string) (*recorded, error) {
	r := &recorded{}
	var err error
	next := func() string {
		v := values[0]
		if values = values[1:]; v == nil {
			return ""
		}
		return *v
	}
	number := func() (n uint64) {
		_, e := fmt.Sscan(next(), &n)
		err = errors.Join(err, e)
		return n
	}
	hash := func() (k conflict.Key) {
		_, e := fmt.Sscanf(next(), "%16x%16x", &k.Hi, &k.Lo)
		err = errors.Join(err, e)
		return k
	}
	side := func() (s apply.Side) {
		s.Version.Origin, s.Seq, s.Version.HLC = change.Site(next()), number(), number()
		if next() == change.Truncate.String() {
			s.Op = change.Truncate
		}
		if seen := next(); seen != "" {
			err = errors.Join(err, json.Unmarshal([]byte(seen), &s.Seen))
		}
		if next() == "1" {
			s.Image = []change.Value{}
		}
		return s
	}
	r.id, r.Row, r.Other, r.Unique = int64(number()), hash(), hash(), next()
	r.Older, r.Newer = side(), side()
	return r, err
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
	for _, r := range have {
		column := ""
		switch {
		case r.Unique != "":
		case r.Older.Version == s.Version && r.Older.Image != nil:
			column = "older_row"
		case r.Newer.Version == s.Version && r.Newer.Image != nil:
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
			for i := first; i < min(first+recordRows, len(conflicts)); i++ {
				k := &conflicts[i]
				n := strings.Join([]string{
					hashText(k.Row), hashText(k.Other), string(k.Older.Version.Origin), fmt.Sprint(k.Older.Version.HLC), string(k.Newer.Version.Origin), fmt.Sprint(k.Newer.Version.HLC),
				}, "/")
				at[n] = append(at[n], i)
				in.add(literal(hashText(k.Row)))
			}
			err := c.rows(ctx, "SELECT key_hash, other_hash, older_origin, older_hlc, newer_origin, newer_hlc FROM concord.conflict WHERE key_hash IN ("+in.String()+")", func(r []string) {
				for _, i := range at[strings.Join(r, "/")] {
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
