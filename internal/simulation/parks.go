package simulation

import (
	"maps"
	"slices"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// judgeParks: a row whose writes no rule can decide has a parked change at every site;
// and what a site parked because of a rule it parked when the fold of what had arrived
// there failed.
func (w *World) judgeParks(h *history) {
	held := map[change.Site]map[rowID]bool{}
	for _, s := range w.sites {
		held[s.name] = map[rowID]bool{}
		for i := range s.db.parked {
			for _, id := range parkedRows(&s.db.parked[i]) {
				held[s.name][id] = true
			}
		}
	}
	ids := slices.SortedFunc(maps.Keys(h.writes), func(a, b rowID) int { return strings.Compare(a.table+a.key, b.table+b.key) })
	for _, id := range ids {
		if !w.mayFail(w.sites[0].db.shapes[id.table]) {
			continue
		}
		if _, failed := h.fold(w, id); !failed || h.metTruncate(id) {
			continue
		}
		for _, s := range w.sites {
			if !held[s.name][id] {
				w.fail(Parks, "%s: no rule can decide row %s %s, but nothing is parked\n%s", s.name, id.table, id.key, h.text(id))
			}
		}
	}
	for _, s := range w.sites {
		if !s.lacked {
			w.judgeParked(h, s)
		}
	}
}

// metTruncate reports whether a truncate and another write of a row did not know each
// other. A truncate is never parked: the row stays as it is, and what comes later waits.
func (h *history) metTruncate(id rowID) bool {
	all := h.of(id)
	for _, a := range all {
		for _, b := range all {
			if a.tx.wiped[id.table] && a.tx != b.tx && !a.tx.knew(b.tx) && !b.tx.knew(a.tx) {
				return true
			}
		}
	}
	return false
}

func parkedRows(p *apply.Parked) []rowID {
	var ids []rowID
	for _, image := range [][]change.Value{p.Row.Old, p.Row.New} {
		if image != nil {
			ids = append(ids, keyOf(p.Row.Table, image))
		}
	}
	return ids
}

// judgeParked looks for the reason of everything that a site parked. A row that its
// transaction wrote in several parts is decided part by part, and one whose writes came
// before what they knew is decided without that.
func (w *World) judgeParked(h *history, s *site) {
	with := map[rowID]bool{} // rows that wait with a reason
	for i := range s.db.parked {
		p := &s.db.parked[i]
		if p.Row.Table == partTable || p.Row.Op == change.Truncate {
			continue
		}
		ids := parkedRows(p)
		reason := slices.ContainsFunc(ids, func(id rowID) bool { return with[id] }) ||
			slices.ContainsFunc(ids, func(id rowID) bool {
				return h.find(p.Origin, p.Seq).inParts(id) || w.failedHere(h, s, p, id) || h.disordered(s, id)
			})
		if !reason {
			w.fail(Parks, "%s parked %s of %s:%d without a reason: %s\n%s", s.name, rowList{p.Row}, p.Origin, p.Seq, p.Message, h.text(ids[0]))
		}
		for _, id := range ids {
			with[id] = true
		}
	}
}

// failedHere reports whether what had arrived at s with the parked change, or some of
// it, cannot be decided.
func (w *World) failedHere(h *history, s *site, p *apply.Parked, id rowID) bool {
	arrived := change.Seen{}
	for i := range s.db.log {
		r := &s.db.log[i]
		if r.local {
			arrived[s.name]++
			continue
		}
		arrived[r.mark.Origin] = max(arrived[r.mark.Origin], r.mark.Seq)
		if r.mark.Origin == p.Origin && r.mark.Seq >= p.Seq {
			break
		}
	}
	here := slices.DeleteFunc(h.of(id), func(e effect) bool { return e.tx.seq > arrived[e.tx.origin] })
	return foldEffects(w.policyOf(p.Row.Table), here).failed
}

// inParts reports whether the transaction wrote a row in several parts, of which a
// truncate may be one.
func (t *transaction) inParts(id rowID) bool {
	return t.spread[id] || t.parts > 1 && t.wiped[id.table]
}
