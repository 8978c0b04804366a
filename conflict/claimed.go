package conflict

import (
	"maps"
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// claimed tells which keys have writes in flight that take, took or gave up a value of
// a unique key: it ties together the keys that must be folded jointly.
type claimed map[Claim]map[Key]struct{}

// claim notes what a write on k has to do with unique keys.
func (w *Window) claim(k Key, l *list, wr *Write) {
	w.claimRow(k, l, wr.Table, wr.Image)
	w.claimRow(k, l, wr.Table, wr.Old)
}

func (w *Window) claimRow(k Key, l *list, t *change.Table, image []change.Value) {
	if t == nil || len(t.Unique) == 0 {
		return
	}
	for _, c := range Claims(t, image) {
		if l.claims == nil {
			l.claims = map[Claim]struct{}{}
		}
		l.claims[c.Claim] = struct{}{}
		if w.claimed[c.Claim] == nil {
			w.claimed[c.Claim] = map[Key]struct{}{}
		}
		w.claimed[c.Claim][k] = struct{}{}
	}
}

// unclaim forgets what the key's list had to do with unique keys.
func (w *Window) unclaim(k Key, l *list) {
	for c := range l.claims {
		if keys := w.claimed[c]; keys != nil {
			if delete(keys, k); len(keys) == 0 {
				delete(w.claimed, c)
			}
		}
	}
	l.claims = nil
}

// reclaim notes anew what is left of a list that was shortened.
func (w *Window) reclaim(k Key, l *list) {
	if l.claims == nil {
		return
	}
	w.unclaim(k, l)
	if w.lists[k] != l {
		return
	}
	w.claimRow(k, l, l.base.Table, l.base.Image)
	for _, wr := range l.writes {
		w.claim(k, l, wr)
	}
}

// tied returns the keys with a list that the keys given and the writes on them are tied
// to by values of unique keys, directly or by way of others; those given are left out.
func (w *Window) tied(given map[Key]bool, writes []*Write) []Key {
	found := map[Key]bool{}
	var todo []Key
	follow := func(c Claim) {
		for k := range w.claimed[c] {
			if !found[k] {
				found[k] = true
				todo = append(todo, k)
			}
		}
	}
	for _, wr := range writes {
		for _, image := range [][]change.Value{wr.Image, wr.Old} {
			for _, c := range Claims(wr.Table, image) {
				follow(c.Claim)
			}
		}
	}
	for k := range given {
		found[k] = true
		todo = append(todo, k)
	}
	for len(todo) > 0 {
		k := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if l := w.lists[k]; l != nil {
			for c := range l.claims {
				follow(c)
			}
		}
	}
	maps.DeleteFunc(found, func(k Key, _ bool) bool { return given[k] })
	return slices.SortedFunc(maps.Keys(found), compareKeys)
}

// meetsOthers reports whether writes that arrive on k are tied to a write on another
// key that one of them did not know; to any at all when there is one on k itself that
// they did not know (unknown).
func (w *Window) meetsOthers(k Key, es []*Write, unknown bool) bool {
	if len(w.claimed) == 0 {
		return false
	}
	for _, o := range w.tied(map[Key]bool{k: true}, es) {
		if unknown {
			return true
		}
		for _, h := range w.lists[o].writes {
			for _, e := range es {
				if h.Tx.Origin != e.Tx.Origin && !e.Tx.Saw(h.Tx) {
					return true
				}
			}
		}
	}
	return false
}

// component is keys of one table that are tied together, as rows to be folded.
func (w *Window) component(tt *tableTraffic, keys []Key) []*JointRow {
	var rows []*JointRow
	var wiped []change.Version
	for _, t := range tt.truncates {
		wiped = append(wiped, t.Version())
	}
	for _, k := range keys {
		writes, base := w.listWith(tt, k)
		rows = append(rows, &JointRow{Key: k, Base: startOf(writes, base), Writes: writes, Wiped: wiped})
	}
	return rows
}

// jointly folds rows of one table.
func (w *Window) jointly(t *change.Table, rows []*JointRow) []Collision {
	for _, r := range rows {
		if writes := sinceTruncate(r.Writes); len(writes) < len(r.Writes) {
			r.Writes, r.Base = writes, startOf(writes, r.Base)
		}
	}
	return w.rules.Joint(w.policy(t), rows)
}

// sinceTruncate drops the truncates that a list begins with and that all its writes saw:
// what the row was before the first of them is told by that write itself, and the row may
// have been made again since, by a write that is not held any more.
func sinceTruncate(writes []*Write) []*Write {
	for len(writes) > 1 && writes[0].Table == nil {
		for _, wr := range writes[1:] {
			if wr.Table != nil && !wr.Tx.Saw(writes[0].Tx) {
				return writes
			}
		}
		if writes[len(writes)-1].Table == nil {
			return writes // nothing but truncates
		}
		writes = writes[1:]
	}
	return writes
}
