package apply

import (
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Conflict is a row of concord.conflict: two writes of one row, or of one value of a
// unique key, that did not know each other, each the last of its kind: no later write
// that knew the one did not know the other either. So a burst of writes at two sites is
// one conflict, however they were grouped and whichever arrived first, and it reads the
// same at every site. What arrives later may supersede it.
type Conflict struct {
	Table *change.Table
	Key   []change.Value // image in Table's shape; only the key columns count
	Row   conflict.Key   // of Table and Key
	// Other and Unique are of multiple_unique_conflicts: Row has the value of the unique
	// key now, or wanted it, and Other is the row that had it.
	Other  conflict.Key
	Unique string

	Kind   string // see conflict.Kind
	Policy string
	Older  Side
	Newer  Side
	// Base is the row at the last point that both writes knew, when BaseKnown; nil: no
	// row. Where nothing needs images nobody knows it.
	Base      []change.Value
	BaseKnown bool
	// Result is what the fold made of the row at the newer write; nil: no row, or, when
	// Resolution is "parked", nothing.
	Result     []change.Value
	Resolution string // "newer", "older", "merged", "parked"
	Message    string // why a rule could not decide

	// Withdrawn: it is none after all, what arrived settles it otherwise.
	Withdrawn bool
	Time      time.Time // of settling, by the agent's clock
}

// Side is one of the two writes of a Conflict.
type Side struct {
	Version change.Version
	Seq     uint64
	Seen    change.Seen
	XID     uint64    // at its origin; 0: not known
	Commit  time.Time // by its origin's clock; zero: not known
	Op      change.Op
	Image   []change.Value // as it was logged. nil: the write deleted the row, or (Op is not Delete) it is not known here
}

// knew reports whether the write of s had seen that of o.
func (s *Side) knew(o *Side) bool {
	if s.Version.Origin == o.Version.Origin {
		return o.Seq < s.Seq
	}
	return s.Seen[o.Version.Origin] >= o.Seq
}

// reaches reports whether s is o's write, or knew it.
func (s *Side) reaches(o *Side) bool { return s.Version == o.Version || s.knew(o) }

// Same reports whether c and o are one conflict.
func (c *Conflict) Same(o *Conflict) bool {
	return c.Row == o.Row && c.Other == o.Other && c.Older.Version == o.Older.Version && c.Newer.Version == o.Newer.Version
}

// Supersedes reports whether o is no conflict of its own once c is there: one of c's
// writes knew one of o's and met the other as o did.
func (c *Conflict) Supersedes(o *Conflict) bool {
	if c.Row != o.Row || c.Other != o.Other || c.Unique != o.Unique || c.Unique != "" || c.Same(o) {
		return false
	}
	over := func(h, e, x, y *Side) bool {
		return h.reaches(x) && e.reaches(y) && (e.knew(y) && !e.knew(x) || h.knew(x) && !h.knew(y))
	}
	return over(&c.Older, &c.Newer, &o.Older, &o.Newer) || over(&c.Older, &c.Newer, &o.Newer, &o.Older)
}

// distinct drops, of conflicts in the order they were met, those that a later one
// replaces: the parts of one transaction meet the same again.
func distinct(all []Conflict) []Conflict {
	at := map[conflict.Key][]int{}
	gone := map[int]bool{}
	for i := range all {
		c := &all[i]
		for _, j := range at[c.Row] {
			if o := &all[j]; !gone[j] && (c.Same(o) || c.Supersedes(o)) {
				gone[j] = true
			}
		}
		at[c.Row] = append(at[c.Row], i)
	}
	if len(gone) == 0 {
		return all
	}
	var out []Conflict
	for i := range all {
		if !gone[i] {
			out = append(out, all[i])
		}
	}
	return out
}
