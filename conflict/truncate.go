package conflict

import "github.com/concord-db/concord/internal/change"

// tableTraffic is what the window knows of a table as a whole.
type tableTraffic struct {
	versionsOnly bool
	// truncates in flight. A truncate is a delete of every key at its version.
	truncates []*Tx
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
		tt = &tableTraffic{versionsOnly: w.policy(t).VersionsOnly(), last: map[change.Site]*Tx{}}
		w.tables[name] = tt
	}
	w.lastTable, w.lastTT = t, tt
	return tt
}

// addTruncate notes a truncate. Within its own transaction it ends what was
// written before it; what is written after it follows as inserts.
func (w *Window) addTruncate(tx *Tx, tt *tableTraffic, _ *change.Table) {
	for _, t := range tt.truncates {
		if t.Origin == tx.Origin && t.Seq == tx.Seq {
			return
		}
	}
	tt.truncates = append(tt.truncates, tx)
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
	for _, l := range w.lists {
		if w.tables[l.table.QualifiedName()] != tt {
			continue
		}
		for _, wr := range l.writes {
			if !wr.Tx.Saw(t) && wr.Tx != t {
				return true
			}
		}
	}
	return false
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
