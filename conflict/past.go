package conflict

import (
	"maps"

	"github.com/concord-db/concord/internal/change"
)

// A key that two sites write all the time has no moment at which its list could be cut:
// there is always a write in it that did not see all before it. But what comes later will
// have seen whatever every site has seen. So the front of such a list is folded all the
// same, and with its outcome is kept what the fold must remember of it for the writes
// behind it that did not see it: not the writes, but who had written up to where. A list
// is then as long as what is in flight, however long the key has been written so.

// longList is the length from which on lists are folded so. Shorter ones are cheap.
const longList = 64

// past is what a fold remembers of writes that were folded away while a later one of
// the list had not seen them.
type past struct {
	folding
	// needs is, by origin, the seq after which its stream must be read to fold them again.
	needs change.Seen
}

// resume returns the fold as it stood, to go on with under p.
func (o *past) resume(p Policy, state State) *folding {
	f := o.folding
	f.policy, f.state = p, state
	f.all, f.alive = f.all.clone(), f.alive.clone()
	if f.columns != nil {
		f.columns = f.columns.clone()
	}
	f.commons = append([]common(nil), f.commons...)
	return &f
}

// seenBy reports whether all of writes knew everything of it.
func (o *past) seenBy(writes []*Write) bool {
	if o == nil {
		return true
	}
	for _, w := range writes {
		if !o.all.seenBy(w.Tx) {
			return false
		}
	}
	return true
}

// keep drops the points in common that none of the writes behind, and nothing that
// comes, goes back to.
func (o *past) keep(behind []*Write) {
	last := 0
	for i := range o.commons {
		if (&past{folding: folding{all: o.commons[i].before}}).seenBy(behind) {
			last = i
		}
	}
	if o.commons != nil {
		o.commons = append([]common(nil), o.commons[last:]...)
	}
}

func (c *columnWrites) clone() *columnWrites {
	out := &columnWrites{byName: make(map[string]known, len(c.byName)), whole: c.whole.clone()}
	for name, k := range c.byName {
		out.byName[name] = k.clone()
	}
	return out
}

// foldFront folds the first n writes of a list, of which every site has seen each, though
// not every write behind them has.
func (w *Window) foldFront(k Key, l *list, base State, writes []*Write, n int) {
	f := newFolding(w.policy(l.table), base)
	f.keepCommons() // for the record of what is still to come
	needs := change.Seen{}
	if base.past != nil {
		needs = maps.Clone(base.past.needs)
	}
	for _, wr := range writes[:n] {
		f.step(wr)
		w.lowerNeeds(needs, wr.Tx)
	}
	o := &past{folding: *f, needs: needs}
	o.keep(writes[n:])
	state := f.state
	state.past = o
	o.state = State{}
	w.fold(k, l, state, writes[n-1].Tx.Version())
}

// lowerNeeds notes what must be read to fold t again: it, and what it had not seen.
func (w *Window) lowerNeeds(needs change.Seen, t *Tx) {
	for origin := range w.seen {
		seq := t.Seen[origin]
		if origin == t.Origin {
			seq = t.Seq - 1
		}
		if had, ok := needs[origin]; !ok || seq < had {
			needs[origin] = seq
		}
	}
}
