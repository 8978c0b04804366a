package simulation

import (
	"slices"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// meeting names a conflict: two writes of a row.
type meeting struct {
	id           rowID
	older, newer change.Version
	value        bool // of a value of a unique key, on two rows
}

func meetingOf(c *apply.Conflict) meeting {
	return meeting{keyOf(c.Table, c.Key), c.Older.Version, c.Newer.Version, c.Kind == string(conflict.MultipleUnique)}
}

// judgeConflicts: a conflict that two sites recorded reads the same at both; and one
// of two writes that met nothing else was recorded once at every site.
func (w *World) judgeConflicts(h *history) {
	records := map[meeting]map[change.Site][]apply.Conflict{}
	for _, s := range w.sites {
		for _, c := range s.db.conflicts {
			m := meetingOf(&c)
			if records[m] == nil {
				records[m] = map[change.Site][]apply.Conflict{}
			}
			records[m][s.name] = append(records[m][s.name], c)
		}
	}
	simple := h.simple()
	for m, bySite := range records {
		if h.uneven(m) {
			continue
		}
		var one *apply.Conflict
		for _, cs := range bySite {
			for i := range cs {
				if one == nil {
					one = &cs[i]
				}
				w.sameConflict(m, one, &cs[i], simple[m] && !h.followed(m))
			}
		}
	}
	waiting := w.waiting()
	for m := range simple {
		if waiting[m.id] || h.followed(m) {
			continue // what followed may have come before it
		}
		for _, s := range w.sites {
			if n := len(records[m][s.name]); n != 1 {
				w.fail(Conflicts, "%s recorded the conflict of %s and %s on %s %s %d times", s.name, m.older, m.newer, m.id.table, m.id.key, n)
			}
		}
	}
}

func (w *World) sameConflict(m meeting, a, b *apply.Conflict, whole bool) {
	same := a.Kind == b.Kind && a.Policy == b.Policy && a.Older.Op == b.Older.Op && a.Newer.Op == b.Newer.Op &&
		a.Older.Seq == b.Older.Seq && a.Newer.Seq == b.Newer.Seq
	// What becomes of a name depends on the other rows too.
	// A row that waits for a person stays what it was at each site.
	waits := a.Resolution == "parked" && b.Resolution == "parked"
	if whole && !waits && m.id.table != partTable.QualifiedName() && m.id.table != namesTable.QualifiedName() {
		same = same && slices.Equal(a.Result, b.Result) && a.Resolution == b.Resolution
	}
	if !same {
		w.fail(Conflicts, "the conflict of %s and %s on %s %s reads %s %s %v/%v %s %s and %s %s %v/%v %s %s", m.older, m.newer, m.id.table, m.id.key,
			a.Kind, a.Policy, a.Older.Op, a.Newer.Op, imageText(a.Result), a.Resolution,
			b.Kind, b.Policy, b.Older.Op, b.Newer.Op, imageText(b.Result), b.Resolution)
	}
}

// simple lists the pairs of writes that did not know each other, where neither met
// any other write unknown to it. Truncates are left out: they are recorded per row
// that is there.
func (h *history) simple() map[meeting]bool {
	out := map[meeting]bool{}
	for id := range h.writes {
		all := h.of(id)
		met := make([][]int, len(all))
		for i := range all {
			for j := range i {
				if !all[i].tx.knew(all[j].tx) && !all[j].tx.knew(all[i].tx) {
					met[i] = append(met[i], j)
					met[j] = append(met[j], i)
				}
			}
		}
		for i := range all {
			if len(met[i]) != 1 || len(met[met[i][0]]) != 1 || met[i][0] > i {
				continue
			}
			o, n := all[met[i][0]], all[i]
			if o.tx.wiped[id.table] || n.tx.wiped[id.table] || o.tx.spread[id] || n.tx.spread[id] {
				continue
			}
			out[meeting{id: id, older: change.Version{HLC: o.tx.hlc, Origin: o.tx.origin}, newer: change.Version{HLC: n.tx.hlc, Origin: n.tx.origin}}] = true
		}
	}
	return out
}

// uneven reports whether one of the two wrote the row in more than one part, or
// truncated its table as well: such a conflict is recorded as a site meets it.
func (h *history) uneven(m meeting) bool {
	for _, t := range h.txs {
		if v := (change.Version{HLC: t.hlc, Origin: t.origin}); (v == m.older || v == m.newer) && (t.spread[m.id] || t.wiped[m.id.table] || m.value && t.parts > 1) {
			return true
		}
	}
	return false
}

// followed reports whether the row was written again after the two.
func (h *history) followed(m meeting) bool {
	all := h.of(m.id)
	last := all[len(all)-1].tx
	return m.newer != change.Version{HLC: last.hlc, Origin: last.origin}
}
