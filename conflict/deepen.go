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
		if o := l.base.past; o != nil {
			low = min(low, o.needs[origin])
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

// Deepening is one reading of a part of an origin's stream for the writes that
// everyone has seen, but that some write on the same key in the window had not when it
// was made.
type Deepening struct {
	w     *Window
	fresh map[deepened]bool
}

type deepened struct {
	key Key
	seq uint64
}

// Deepen begins a reading.
func (w *Window) Deepen() *Deepening {
	return &Deepening{w: w, fresh: map[deepened]bool{}}
}

// Found counts what was entered. What is found may need yet more, of what was passed
// over in this reading too.
func (d *Deepening) Found() int { return len(d.fresh) }

// Add enters what is needed of a transaction, or of a part of one; in order.
func (d *Deepening) Add(t *change.Transaction, accepts func(*change.Table) bool) {
	w := d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	tx := TxOf(t)
	wiped := LastTruncates(t.Rows)
	for i := range t.Rows {
		r := &t.Rows[i]
		tt := w.traffic(r.Table)
		if tt.versionsOnly || !accepts(r.Table) || wiped.Covers(i, r) {
			continue
		}
		switch {
		case r.Op == change.Truncate:
			d.truncate(tx, tt, r.Table)
		case r.MovesKey():
			d.write(tt, r.Old, &Write{Tx: tx, Op: change.Delete, Old: OldOf(r), Table: r.Table})
			d.write(tt, r.New, &Write{Tx: tx, Op: change.Insert, Image: r.New, Table: r.Table})
		default:
			d.write(tt, r.Key(), &Write{Tx: tx, Op: r.Op, Image: r.New, Old: OldOf(r), Table: r.Table})
		}
	}
}

func (d *Deepening) truncate(tx *Tx, tt *tableTraffic, table *change.Table) {
	for _, t := range tt.truncates {
		if t.Version() == tx.Version() {
			return
		}
	}
	if d.w.listNeeds(tt, tx) || unseenByTruncate(tt, tx) {
		d.w.addTruncate(tx, tt, table)
		d.fresh[deepened{seq: tx.Seq}] = true
	}
}

func (d *Deepening) write(tt *tableTraffic, keyImage []change.Value, wr *Write) {
	w := d.w
	var k Key
	k, w.buf = KeyOf(wr.Table, keyImage, w.buf)
	mine := deepened{k, wr.Tx.Seq}
	needed := unseenByTruncate(tt, wr.Tx)
	if l := w.lists[k]; l != nil {
		if holds(l.writes, wr.Tx.Version()) && !d.fresh[mine] {
			return
		}
		for _, o := range l.writes {
			needed = needed || !o.Tx.Saw(wr.Tx)
		}
	}
	if !needed {
		for _, o := range w.tied(nil, []*Write{wr}) {
			for _, h := range w.lists[o].writes {
				needed = needed || !h.Tx.Saw(wr.Tx) && h.Tx.Version() != wr.Tx.Version()
			}
		}
	}
	if needed {
		w.insert(k, wr)
		d.fresh[mine] = true
	}
}

func unseenByTruncate(tt *tableTraffic, tx *Tx) bool {
	for _, t := range tt.truncates {
		if !t.Saw(tx) && t.Version() != tx.Version() {
			return true
		}
	}
	return false
}
