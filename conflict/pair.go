package conflict

import (
	"slices"
	"sort"

	"github.com/concord-db/concord/internal/change"
)

// Pair is a conflict as it is recorded: two writes of one row that did not know each
// other, each the last of its kind: no write that knew the one met the other too. So what
// is recorded does not depend on how writes were grouped or on which came first, and
// a burst of writes at two sites is one pair. A truncate is paired with each of the last
// writes that it met, and no other pair is left out for it: which rows it meets is told by
// the rows that are there.
type Pair struct {
	Older, Newer *Write // by version. Image is nil where the window keeps versions only
	// Base is the row at the last point that both knew, when Known; Result what the fold
	// made of the row at the newer write.
	Base, Result State
	Known        bool // Base is: the log tells whole rows
	// Again: neither write arrives now. What arrives changes what the pair reads.
	Again bool
}

// Step is what a fold came by at one write.
type Step struct {
	Common State // at the last point that the write and those it met knew
	State  State // after it
}

// pairs returns the pairs among writes, which are in version order, whose newer write is
// at version from or later.
func pairs(writes []*Write, from change.Version) []Pair {
	if len(writes) < 2 {
		return nil
	}
	byOrigin := map[change.Site][]*Write{}
	var origins []change.Site
	var truncates []*Write
	for _, w := range writes {
		if w.Truncates() {
			truncates = append(truncates, w)
			continue
		}
		if byOrigin[w.Tx.Origin] == nil {
			origins = append(origins, w.Tx.Origin)
		}
		byOrigin[w.Tx.Origin] = append(byOrigin[w.Tx.Origin], w)
	}
	if len(origins) < 2 && len(truncates) == 0 {
		return nil
	}
	// met is the last write of origin that did not know w, nor w it.
	met := func(w *Write, origin change.Site) *Write {
		if origin == w.Tx.Origin {
			return nil
		}
		of := byOrigin[origin]
		n := sort.Search(len(of), func(i int) bool { return of[i].Tx.Saw(w.Tx) })
		if n == 0 || w.Tx.Saw(of[n-1].Tx) {
			return nil
		}
		return of[n-1]
	}
	passed := func(x, y *Write) bool { // one that knew x met y too
		return slices.ContainsFunc(origins, func(o change.Site) bool {
			m := met(y, o)
			return m != nil && m != x && m.Tx.Saw(x.Tx)
		})
	}
	var out []Pair
	first := sort.Search(len(writes), func(i int) bool { return !writes[i].Tx.Version().Less(from) })
	for _, newer := range writes[first:] {
		if newer.Truncates() {
			continue
		}
		for _, o := range origins {
			older := met(newer, o)
			if older != nil && older.Tx.Version().Less(newer.Tx.Version()) && met(older, newer.Tx.Origin) == newer && !passed(older, newer) && !passed(newer, older) {
				out = append(out, Pair{Older: older, Newer: newer})
			}
		}
	}
	for _, t := range truncates {
		for _, o := range origins {
			m := met(t, o)
			if m == nil || m.Op == change.Delete || passed(m, t) {
				continue
			}
			p := Pair{Older: m, Newer: t}
			if t.Tx.Version().Less(m.Tx.Version()) {
				p.Older, p.Newer = t, m
			}
			if !p.Newer.Tx.Version().Less(from) {
				out = append(out, p)
			}
		}
	}
	return out
}

// Truncates reports whether w is no more on its key than a truncate of its table.
func (w *Write) Truncates() bool { return w.Wiped && w.Op == change.Delete }

// arriving marks the pairs that none of es is part of.
func arriving(all []Pair, es []*Write) []Pair {
	for i := range all {
		p := &all[i]
		p.Again = !slices.ContainsFunc(es, func(e *Write) bool {
			v := e.Tx.Version()
			return v == p.Older.Tx.Version() || v == p.Newer.Tx.Version()
		})
	}
	return all
}

// explain fills in what the fold of writes from base came by at each pair.
func (p Policy) explain(all []Pair, base State, writes []*Write) {
	if len(all) == 0 {
		return
	}
	steps := map[*Write]*Step{}
	for i := range all {
		steps[all[i].Newer] = &Step{}
	}
	f := newFolding(p, base)
	f.keepCommons()
	for _, w := range writes {
		f.step(w)
		if s := steps[w]; s != nil {
			*s = Step{Common: f.common(), State: f.state}
		}
	}
	told(all, writes, steps)
}

// told takes what a fold came by at each pair.
func told(all []Pair, writes []*Write, steps map[*Write]*Step) {
	for i := range all {
		p := &all[i]
		s := steps[p.Newer]
		if s == nil {
			continue
		}
		t := orElseTable(p.Newer.Table, p.Older.Table)
		p.Base, p.Result = s.Common.in(t), s.State.in(t)
		p.Known = p.Base.Err == nil && !slices.ContainsFunc(writes, func(w *Write) bool { return w.Table != nil && !w.Table.Full })
		if !p.Known {
			p.Base = State{}
		}
	}
}

func orElseTable(t, other *change.Table) *change.Table {
	if t == nil {
		return other
	}
	return t
}

// keepCommons makes a fold note the points in common although no rule asks.
func (f *folding) keepCommons() {
	if f.commons == nil {
		f.commons = []common{{state: f.state}}
	}
}

// Rows are the rows of the pair in the shape of t: as each write left it at its site, as
// far as it was logged, the base and the result.
func (p *Pair) Rows(t *change.Table) (older, newer, base, result []change.Value) {
	return p.Older.row(t), p.Newer.row(t), p.Base.in(t).Image, p.Result.in(t).Image
}

func (w *Write) row(t *change.Table) []change.Value {
	image := w.Image
	if w.Op == change.Update && image != nil {
		image = Overlay(w.Old, image)
	}
	return State{Image: image, Table: w.Table}.in(t).Image
}

// SamePairs reports whether a and b name the same writes.
func SamePairs(a, b []Pair) bool {
	return slices.EqualFunc(a, b, func(a, b Pair) bool { return a.Same(&b) })
}

// Same reports whether p and o are of the same writes.
func (p *Pair) Same(o *Pair) bool {
	return p.Older.Tx.Version() == o.Older.Tx.Version() && p.Newer.Tx.Version() == o.Newer.Tx.Version()
}
