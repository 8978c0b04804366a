package conflict

import (
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// tableTraffic is what the window knows of a table as a whole.
type tableTraffic struct {
	versionsOnly bool
	// truncates in flight. A truncate is a delete of every key at its version.
	truncates []*Tx
	// holds is a key whose list held a write that did not see a truncate when it was
	// looked for last: where it is looked for first.
	holds Key
	// last write of any key, by origin: tells at once whether a truncate that comes
	// can meet anything it did not know.
	last map[change.Site]*Tx
}

func (t *tableTraffic) note(tx *Tx) {
	if l := t.last[tx.Origin]; l == nil || l.Seq < tx.Seq {
		t.last[tx.Origin] = tx
	}
}

func (w *Window) traffic(t *change.Table) *tableTraffic {
	if w.lastTable == t {
		return w.lastTT
	}
	name := t.QualifiedName()
	tt := w.tables[name]
	if tt == nil {
		tt = &tableTraffic{versionsOnly: w.policy(t).VersionsOnly() && len(t.Unique) == 0, last: map[change.Site]*Tx{}}
		w.tables[name] = tt
	}
	w.lastTable, w.lastTT = t, tt
	return tt
}

// Wiped tells, by table, the index of the last truncate among the row changes of one
// transaction: what comes before it on that table has no effect of its own.
type Wiped map[string]int

// LastTruncates finds the truncates of a transaction; nil when there are none.
func LastTruncates(rows []change.Row) Wiped {
	var w Wiped
	for i := range rows {
		if rows[i].Op == change.Truncate {
			if w == nil {
				w = Wiped{}
			}
			w[rows[i].Table.QualifiedName()] = i
		}
	}
	return w
}

// Covers reports whether the row change at index i is undone by a truncate after it.
func (w Wiped) Covers(i int, r *change.Row) bool {
	if w == nil {
		return false
	}
	last, ok := w[r.Table.QualifiedName()]
	return ok && i < last
}

// Has reports whether the transaction truncated the table.
func (w Wiped) Has(t *change.Table) bool {
	if w == nil {
		return false
	}
	_, ok := w[t.QualifiedName()]
	return ok
}

// addTruncate notes a truncate. Within its own transaction it ends what was
// written before it; what is written after it follows as writes of their keys, which
// stand in place of the truncate in their lists.
func (w *Window) addTruncate(tx *Tx, tt *tableTraffic, table *change.Table) {
	if !tt.versionsOnly {
		w.dropWrites(func(l *list, wr *Write) bool {
			return wr.Tx.Version() == tx.Version() && l.table.QualifiedName() == table.QualifiedName()
		})
	}
	for _, t := range tt.truncates {
		if t.Origin == tx.Origin && t.Seq == tx.Seq {
			return
		}
	}
	tt.truncates = append(tt.truncates, tx)
}

// dropWrites takes writes out of the lists.
func (w *Window) dropWrites(gone func(*list, *Write) bool) {
	for k, l := range w.lists {
		kept := l.writes[:0:0]
		for _, wr := range l.writes {
			if !gone(l, wr) {
				kept = append(kept, wr)
			}
		}
		if len(kept) == len(l.writes) {
			continue
		}
		w.keep(k, l, kept)
	}
}

func (w *Window) expireTruncates(tt *tableTraffic) {
	if len(tt.truncates) == 0 {
		return
	}
	kept := tt.truncates[:0]
	for _, t := range tt.truncates {
		if !w.everyoneSaw(t) || w.listNeeds(tt, t) {
			kept = append(kept, t)
		}
	}
	tt.truncates = kept
}

// listNeeds reports whether some list of the table holds a write that did not see
// the truncate: then the truncate is still part of its fold.
func (w *Window) listNeeds(tt *tableTraffic, t *Tx) bool {
	if tt.versionsOnly {
		return false
	}
	if l := w.lists[tt.holds]; l != nil && w.listHolds(l, tt, t) {
		return true
	}
	for k, l := range w.lists {
		if w.listHolds(l, tt, t) {
			tt.holds = k
			return true
		}
	}
	return false
}

func (w *Window) listHolds(l *list, tt *tableTraffic, t *Tx) bool {
	if w.tables[l.table.QualifiedName()] != tt {
		return false
	}
	return slices.ContainsFunc(l.writes, func(wr *Write) bool { return !wr.Tx.Saw(t) && wr.Tx.Version() != t.Version() })
}

// TruncateMeets reports whether a truncate of table by e meets writes of rows that
// it did not know of. When not, all rows go.
func (w *Window) TruncateMeets(table *change.Table, e *Tx) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, last := range w.traffic(table).last {
		if last.Origin != e.Origin && !e.Saw(last) && !w.everyoneSaw(last) {
			return true
		}
	}
	return false
}

// TruncateRevives calls f for every key of a table under a policy with images whose
// list makes a row of it once the truncate by e is in it: it may be gone here.
func (w *Window) TruncateRevives(table *change.Table, e *Tx, f func(Key, Decision)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	if tt.versionsOnly {
		return
	}
	for _, k := range w.listKeys(func(l *list) bool { return w.tables[l.table.QualifiedName()] == tt }) {
		if d := w.dispute(table, w.decideTruncated(table, k, e)); !d.Known && d.State != nil && d.Err == nil {
			f(k, d)
		}
	}
}

// listKeys lists the keys of lists in order.
func (w *Window) listKeys(want func(*list) bool) []Key {
	var keys []Key
	for k, l := range w.lists {
		if want(l) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}
