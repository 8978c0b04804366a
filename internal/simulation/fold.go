package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// transaction is a published transaction, whole.
type transaction struct {
	origin change.Site
	seq    uint64
	hlc    uint64
	xid    uint64
	commit int64
	seen   change.Seen
	rows   []change.Row
	wiped  map[string]bool // tables it truncated
	parts  int             // it was published in
	spread map[rowID]bool  // rows written in more than one of them
	in     map[rowID]int   // the last part that wrote a row
}

// effect is what one transaction did to one row in the end.
type effect struct {
	tx    *transaction
	op    byte // I, U, D
	after []change.Value
	old   []change.Value // the row before, where the log tells it; nil: none
}

// history is everything that was ever published.
type history struct {
	txs    []*transaction // in version order
	writes map[rowID][]effect
}

// history collects what was published, from the streams as they are.
func (w *World) history() *history {
	h := &history{writes: map[rowID][]effect{}}
	for _, s := range w.sites {
		last := uint64(0)
		var t *transaction
		for _, f := range s.own.stored {
			for i := range f.Transactions {
				x := &f.Transactions[i]
				if x.Seq <= last {
					continue
				}
				if x.Part == 0 {
					t = &transaction{origin: x.Origin, seq: x.Seq, hlc: x.HLC, xid: x.XID, commit: x.CommitTime.UnixMicro(), seen: x.Seen, wiped: map[string]bool{}, spread: map[rowID]bool{}, in: map[rowID]int{}}
				}
				t.note(x)
				t.rows = append(t.rows, x.Rows...)
				if !x.More {
					last = x.Seq
					h.txs = append(h.txs, t)
				}
			}
		}
	}
	slices.SortFunc(h.txs, func(a, b *transaction) int {
		return cmp.Or(cmp.Compare(a.hlc, b.hlc), cmp.Compare(a.origin, b.origin))
	})
	for _, t := range h.txs {
		h.enter(t)
	}
	return h
}

// note marks the rows that a part writes again.
func (t *transaction) note(x *change.Transaction) {
	t.parts++
	for i := range x.Rows {
		r := &x.Rows[i]
		for _, image := range [][]change.Value{r.Old, r.New} {
			if image == nil {
				continue
			}
			id := keyOf(r.Table, image)
			if at, ok := t.in[id]; ok && at != x.Part {
				t.spread[id] = true
			}
			t.in[id] = x.Part
		}
	}
}

func (h *history) find(origin change.Site, seq uint64) *transaction {
	for _, t := range h.txs {
		if t.origin == origin && t.seq == seq {
			return t
		}
	}
	return nil
}

// enter adds the effects of one transaction.
func (h *history) enter(t *transaction) {
	mine := map[rowID]*effect{}
	touch := func(id rowID, op byte, old, after []change.Value) {
		e := mine[id]
		switch {
		case e == nil:
			mine[id] = &effect{tx: t, op: op, old: old, after: after}
		case op == 'D':
			e.op, e.after = 'D', nil
		case e.op == 'D': // gone and there again
			e.op, e.after = op, after
		default:
			e.after = known(e.after, after)
		}
	}
	for i := range t.rows {
		r := &t.rows[i]
		name := r.Table.QualifiedName()
		switch r.Op {
		case change.Truncate:
			t.wiped[name] = true
			for id := range mine {
				if id.table == name {
					delete(mine, id)
				}
			}
		case change.Insert:
			touch(keyOf(r.Table, r.New), 'I', nil, r.New)
		case change.Delete:
			touch(keyOf(r.Table, r.Old), 'D', r.Old, nil)
		case change.Update:
			to := keyOf(r.Table, r.New)
			if r.Old != nil && keyOf(r.Table, r.Old) != to {
				touch(keyOf(r.Table, r.Old), 'D', r.Old, nil)
				touch(to, 'I', nil, r.New)
			} else {
				touch(to, 'U', r.Old, r.New)
			}
		}
	}
	for id, e := range mine {
		h.writes[id] = append(h.writes[id], *e)
	}
}

// known fills what an image lacks from the one under it.
func known(under, image []change.Value) []change.Value {
	out := slices.Clone(image)
	for i := range out {
		if out[i].State == change.Unchanged && i < len(under) {
			out[i] = under[i]
		}
	}
	return out
}

func (t *transaction) knew(o *transaction) bool {
	if t.origin == o.origin {
		return o.seq < t.seq
	}
	return t.seen[o.origin] >= o.seq
}

// of lists all effects on a row in version order, truncates included.
func (h *history) of(id rowID) []effect {
	own := h.writes[id]
	var all []effect
	for _, t := range h.txs {
		i := slices.IndexFunc(own, func(e effect) bool { return e.tx == t })
		switch {
		case i >= 0:
			all = append(all, own[i])
		case t.wiped[id.table]:
			all = append(all, effect{tx: t, op: 'D'})
		}
	}
	return all
}

// fold is the second implementation of the fold: what the row must be. failed: a rule
// could not decide, and the row waits for a person.
func (h *history) fold(w *World, id rowID) (row []change.Value, failed bool) {
	p := w.policyOf(w.sites[0].db.shapes[id.table])
	last := foldEffects(p, h.of(id))
	return last.row, last.failed
}

// next is the row after e, given the earlier effects that e did not know of.
func next(p conflict.Policy, row []change.Value, e effect, unknown []effect) []change.Value {
	after := e.after
	if e.op == 'U' {
		after = known(row, e.after)
	}
	if len(unknown) == 0 {
		return after
	}
	meetsLiving := slices.ContainsFunc(unknown, func(o effect) bool { return o.op != 'D' })
	meetsFavourite := slices.ContainsFunc(unknown, func(o effect) bool { return o.tx.origin == p.Site })
	gone := e.op == 'U' && row == nil
	switch {
	case p.Deletes == conflict.DeleteWins && (gone || e.op == 'D' && meetsLiving):
		return nil
	case p.Deletes == conflict.UpdateWins && gone:
		return after
	case p.Deletes == conflict.UpdateWins && e.op == 'D' && meetsLiving:
		return row
	case p.Base == conflict.FirstWriteWins:
		return row
	case p.Base == conflict.Prefer && e.tx.origin != p.Site && meetsFavourite:
		return row
	}
	return after
}

// text lists the writes of a row, for a failure.
func (h *history) text(id rowID) string {
	var b strings.Builder
	for _, e := range h.of(id) {
		fmt.Fprintf(&b, "    %d %s:%d %c %s seen %v\n", e.tx.hlc-change.HLC(start), e.tx.origin, e.tx.seq, e.op, imageText(e.after), e.tx.seen)
	}
	return b.String()
}
