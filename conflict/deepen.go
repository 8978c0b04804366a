package conflict

import "github.com/concord-db/concord/internal/change"

// needs returns the seq of origin after which every write on the keys of the lists
// must be had to build them again: the least that a write in a list had seen. What it
// had not seen is folded with it, even when everyone has seen that by now.
func (w *Window) needs(origin change.Site) uint64 {
	low := ^uint64(0)
	look := func(t *Tx) {
		if t.Origin == origin {
			low = min(low, t.Seq-1)
		} else {
			low = min(low, t.Seen[origin])
		}
	}
	for _, l := range w.lists {
		for _, wr := range l.writes {
			look(wr.Tx)
		}
	}
	for _, tt := range w.tables {
		for _, t := range tt.truncates {
			look(t)
		}
	}
	return low
}

// Needs is the seq of origin after which its stream must be read, while a window is
// rebuilt, for the writes that belong into its lists although everyone has seen them.
func (w *Window) Needs(origin change.Site) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.needs(origin)
}

// Deepen enters those writes of a transaction that everyone has seen, but that some
// write on the same key in the window had not when it was made. Keys of a large
// transaction come part by part.
func (w *Window) Deepen(t *change.Transaction, accepts func(*change.Table) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tx := TxOf(t)
	wiped := LastTruncates(t.Rows)
	for i := range t.Rows {
		r := &t.Rows[i]
		tt := w.traffic(r.Table)
		if tt.versionsOnly || accepts != nil && !accepts(r.Table) || wiped.Covers(i, r) {
			continue
		}
		switch {
		case r.Op == change.Truncate:
			if w.listNeeds(tt, tx) || unseenByTruncate(tt, tx) {
				w.addTruncate(tx, tt, r.Table)
			}
		case r.MovesKey():
			w.deepen(tx, tt, r.Table, change.Delete, r.Old, nil)
			w.deepen(tx, tt, r.Table, change.Insert, r.New, r.New)
		default:
			w.deepen(tx, tt, r.Table, r.Op, r.Key(), r.New)
		}
	}
}

func (w *Window) deepen(tx *Tx, tt *tableTraffic, t *change.Table, op change.Op, keyImage, image []change.Value) {
	var k Key
	k, w.buf = KeyOf(t, keyImage, w.buf)
	if !unseenByTruncate(tt, tx) {
		unseen := false
		if l := w.lists[k]; l != nil {
			for _, wr := range l.writes {
				unseen = unseen || !wr.Tx.Saw(tx)
			}
		}
		if !unseen {
			return
		}
	}
	w.insert(k, &Write{Tx: tx, Op: op, Image: image, Table: t})
}

func unseenByTruncate(tt *tableTraffic, tx *Tx) bool {
	for _, t := range tt.truncates {
		if !t.Saw(tx) && t.Version() != tx.Version() {
			return true
		}
	}
	return false
}
