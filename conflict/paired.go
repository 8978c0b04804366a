package conflict

import (
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// pairLatest finds the conflicts to be recorded.
func (w *Window) pairLatest(tt *tableTraffic, k Key, es []*Write, d *Decision) {
	var writes []*Write
	w.eachLatest(tt, k, func(l *latest) {
		truncate := slices.Contains(tt.truncates, l.tx)
		wiped := slices.ContainsFunc(tt.truncates, func(t *Tx) bool { return t.Version() == l.tx.Version() })
		if d.Stands.Less(l.tx.Version()) { // perhaps an earlier part of what arrives
			d.Stands, d.Lacks = l.tx.Version(), l.left
		}
		if holds(es, l.tx.Version()) || truncate && holds(writes, l.tx.Version()) {
			return
		}
		writes, _ = place(writes, &Write{Tx: l.tx, Op: l.op, Image: w.watchedImage(k, l.tx), Table: es[0].Table, Wiped: wiped})
	})
	writes, _ = placeAll(writes, es)
	d.Pairs = slices.DeleteFunc(arriving(pairs(writes, change.Version{}), es), func(p Pair) bool { return p.Again })
	for i := range d.Pairs {
		p := &d.Pairs[i]
		p.Result = State{Image: p.Newer.Image, Table: p.Newer.Table}
		if p.Newer.Truncates() && p.Older.Image != nil {
			gone := *p.Older // where it was written nobody has it any more
			gone.Image = nil
			p.Older = &gone
		}
	}
}

// pairList finds the conflicts to be recorded once es are in the key's list.
func (w *Window) pairList(tt *tableTraffic, k Key, es []*Write) []Pair {
	writes, base := w.listWith(tt, k)
	from, folded := es[0].Tx.Version(), 0
	if l := w.lists[k]; l != nil && base.past != nil {
		folded = after(es, l.folded)
	}
	if folded < len(es) {
		writes, _ = placeAll(writes, es[folded:])
	}
	both := writes
	if folded > 0 { // they are in the base; what they met may not be
		both, _ = placeAll(slices.Clone(writes), es[:folded])
	}
	all := arriving(pairs(both, from), es)
	all = slices.DeleteFunc(all, func(p Pair) bool { return folded > 0 && !holds(writes, p.Newer.Tx.Version()) })
	w.policy(es[0].Table).explain(all, startOf(writes, base), writes)
	return all
}
