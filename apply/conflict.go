package apply

import (
	"slices"
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

	// Arrived are the writes of the row that arrived now, by what they knew. Of the conflicts
	// of a row one carries them: a recorded one of which they knew one write, and not the
	// other, is superseded.
	Arrived []Arrival

	// Withdrawn: it is none after all, what arrived settles it otherwise.
	Withdrawn bool
	// Again: it was met before, what arrived changes what it reads.
	Again bool
	Time  time.Time // of settling, by the agent's clock
}

// Side is one of the two writes of a Conflict.
type Side struct {
	Version change.Version
	Seq     uint64
	Seen    change.Seen
	XID     uint64    // at its origin; 0: not known
	Commit  time.Time // by its origin's clock; zero: not known
	Op      change.Op
	// Standing: Image is the row as it stands here. It may be of a later write that met
	// this one before: what a record says of this one counts more.
	Standing bool
	Image    []change.Value // as it was logged. nil: the write deleted the row, or (Op is neither Delete nor Truncate) it is not known here
}

// Arrival is a write by what it knew.
type Arrival struct {
	Origin change.Site
	Seq    uint64
	Seen   change.Seen
}

func (a *Arrival) knew(s *Side) bool {
	if a.Origin == s.Version.Origin {
		return s.Seq < a.Seq
	}
	return a.Seen[s.Version.Origin] >= s.Seq
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

// Supersedes reports whether o is no conflict of its own once c is there: a write that
// arrived, or one of c's, knew one of o's and met the other as o did.
func (c *Conflict) Supersedes(o *Conflict) bool {
	if c.Row != o.Row || c.Other != o.Other || c.Unique != o.Unique || c.Unique != "" || c.truncates() != o.truncates() || c.Same(o) {
		return false
	}
	for i := range c.Arrived {
		if e := &c.Arrived[i]; e.knew(&o.Older) != e.knew(&o.Newer) {
			return true
		}
	}
	over := func(h, e, x, y *Side) bool {
		return h.reaches(x) && e.reaches(y) && (e.knew(y) && !e.knew(x) || h.knew(x) && !h.knew(y))
	}
	return over(&c.Older, &c.Newer, &o.Older, &o.Newer) || over(&c.Older, &c.Newer, &o.Newer, &o.Older)
}

// Fill takes images that c does not know, or not for sure, from o, another record of the row.
func (c *Conflict) Fill(o *Conflict) {
	if c.Row != o.Row || c.Unique != "" || o.Unique != "" {
		return
	}
	for _, s := range []*Side{&c.Older, &c.Newer} {
		for _, told := range []*Side{&o.Older, &o.Newer} {
			if (s.Image == nil || s.Standing) && s.Op != change.Delete && s.Op != change.Truncate && s.Version == told.Version && told.Image != nil {
				s.Image, s.Standing = told.Image, told.Standing
				if s == &c.Newer && c.Resolution == "newer" {
					c.Result = s.Image
				}
			}
		}
	}
}

func (c *Conflict) truncates() bool {
	return c.Older.Op == change.Truncate || c.Newer.Op == change.Truncate
}

// distinct drops, of conflicts in the order they were met, those that a later one
// replaces: the parts of one transaction meet the same again.
func distinct(all []Conflict) []Conflict {
	at := map[conflict.Key][]int{}
	gone := make([]bool, len(all))
	for i := range all {
		c := &all[i]
		for _, j := range at[c.Row] {
			o := &all[j]
			c.Fill(o)
			gone[j] = gone[j] || c.Same(o) || c.Supersedes(o)
		}
		at[c.Row] = append(at[c.Row], i)
	}
	var out []Conflict
	for i := range all {
		if !gone[i] {
			out = append(out, all[i])
		}
	}
	return out
}

// Recorded is what a table of conflicts that held had holds once fresh ones are recorded: those that
// they supersede or withdraw go, those that one of had supersedes do not come, one that is there reads as it says now, and an image
// that is not known is taken from a record that has it. had stays as it is.
func Recorded(had, fresh []Conflict) []Conflict {
	if len(fresh) == 0 {
		return had
	}
	out := slices.DeleteFunc(slices.Clone(had), func(o Conflict) bool {
		return slices.ContainsFunc(fresh, func(c Conflict) bool { return c.Supersedes(&o) || c.Withdrawn && c.Same(&o) })
	})
	for _, c := range fresh {
		if c.Withdrawn {
			continue
		}
		if slices.ContainsFunc(had, func(o Conflict) bool { return o.Supersedes(&c) }) {
			continue
		}
		for i := range had {
			c.Fill(&had[i])
		}
		c.Arrived = nil
		if i := slices.IndexFunc(out, func(o Conflict) bool { return c.Same(&o) }); i >= 0 {
			out[i] = c
		} else {
			out = append(out, c)
		}
	}
	return out
}
