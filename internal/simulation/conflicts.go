package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

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

// judgeConflicts: every site has recorded the same conflicts, they read the same, and they
// are those that the history tells.
func (w *World) judgeConflicts(h *history) {
	waiting := w.waiting()
	wants := map[rowID]map[meeting]string{}
	first := map[meeting]string{}
	for _, s := range w.sites {
		got := map[meeting]string{}
		for i := range s.db.conflicts {
			c := &s.db.conflicts[i]
			m := meetingOf(c)
			if w.unsure(h, m, waiting) {
				continue
			}
			if got[m] != "" {
				w.fail(Conflicts, "%s recorded the conflict of %s and %s on %s %s twice", s.name, m.older, m.newer, m.id.table, m.id.key)
			}
			got[m] = recordText(c)
			if wants[m.id] == nil {
				wants[m.id] = h.pairs(w, m.id)
			}
			if want, ok := wants[m.id][m]; !m.value && !ok && !h.disordered(s, m.id) && !h.overtaken(w, s, m) {
				w.fail(Conflicts, "%s recorded a conflict of %s and %s on %s %s, which is none\n%s", s.name, m.older, m.newer, m.id.table, m.id.key, h.text(m.id))
			} else if !m.value && ok && want != "" && want != got[m] && !h.disordered(s, m.id) && !h.overtaken(w, s, m) {
				w.fail(Conflicts, "%s recorded on %s %s\n    %s\nthe history tells\n    %s\n%s", s.name, m.id.table, m.id.key, got[m], want, h.text(m.id))
			}
			if m.value && first[m] == "" {
				first[m] = got[m]
			}
			if m.value && first[m] != got[m] {
				w.fail(Conflicts, "%s recorded\n    %s\nanother site\n    %s", s.name, got[m], first[m])
			}
		}
		for id := range h.writes {
			if wants[id] == nil {
				wants[id] = h.pairs(w, id)
			}
			for m := range wants[id] {
				if got[m] == "" && !w.unsure(h, m, waiting) && !h.disordered(s, m.id) && !h.overtaken(w, s, m) {
					w.fail(Conflicts, "%s did not record the conflict of %s and %s on %s %s\n%s", s.name, m.older, m.newer, id.table, id.key, h.text(id))
				}
			}
		}
	}
}

// unsure reports whether sites may differ about a conflict: a row that waits for a person
// is decided against what had arrived; and of rows that were truncated away not every site
// has the images, nor records anew what the truncate made of them.
func (w *World) unsure(h *history, m meeting, waiting map[rowID]bool) bool {
	// A site that lacked the table at first says that it saw what it held back.
	lacked := slices.ContainsFunc(w.sites, func(s *site) bool { return s.lacked })
	return lacked || waiting[m.id] || h.truncated(m.id.table) || h.uneven(m)
}

// recordText is everything in a record that must read the same.
func recordText(c *apply.Conflict) string {
	side := func(s *apply.Side) string {
		return fmt.Sprintf("%s %s:%d xid %d at %d %s", s.Op, s.Version.Origin, s.Seq, s.XID, s.Commit.UnixMicro(), imageText(s.Image))
	}
	base := "unknown"
	if c.BaseKnown {
		base = imageText(c.Base)
	}
	return strings.Join([]string{c.Kind, c.Policy, side(&c.Older), side(&c.Newer), "base " + base, "result " + imageText(c.Result), c.Resolution, c.Message}, "; ")
}

// pairs are the conflicts of a row: two effects that did not know each other, of which
// no effect that knew the one met the other. What each reads is "" where the history
// of the row alone does not tell.
func (h *history) pairs(w *World, id rowID) map[meeting]string {
	out := map[meeting]string{}
	all := h.of(id)
	met := func(a, b *effect) bool { return !a.tx.knew(b.tx) && !b.tx.knew(a.tx) }
	var states []outcome
	policy := w.policyOf(w.sites[0].db.shapes[id.table])
	for j := range all {
		for i := range j {
			older, newer := &all[i], &all[j]
			if !met(older, newer) {
				continue
			}
			if slices.ContainsFunc(all, func(k effect) bool {
				return k.tx.knew(older.tx) && met(&k, newer) || k.tx.knew(newer.tx) && met(&k, older)
			}) {
				continue
			}
			if states == nil {
				states = foldStates(policy, all)
			}
			m := meeting{id: id, older: older.tx.version(), newer: newer.tx.version()}
			out[m] = ""
			if id.table != namesTable.QualifiedName() && id.table != partTable.QualifiedName() {
				out[m] = h.pairText(policy, id, all, states, i, j)
			}
		}
	}
	return out
}

// pairText is the recordText of a conflict as the history tells it.
func (h *history) pairText(p conflict.Policy, id rowID, all []effect, states []outcome, i, j int) string {
	older, newer := &all[i], &all[j]
	c := apply.Conflict{
		Policy: p.String(), Older: older.side(), Newer: newer.side(), Resolution: "merged",
	}
	c.Kind = string(conflict.KindOf(c.Older.Op, c.Newer.Op))
	after := states[j+1]
	if p.VersionsOnly() {
		c.Result = c.Newer.Image
	} else {
		c.Result, c.Base, c.BaseKnown = after.row, shared(id.table, all, states, j).row, true
		if base := shared(id.table, all, states, j); base.failed {
			c.Base, c.BaseKnown = nil, false
		}
	}
	same := func(a, b []change.Value) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }
	switch {
	case after.failed || p.Base == conflict.Park:
		return "" // it waits for a person
	case p.VersionsOnly() || same(c.Result, c.Newer.Image):
		c.Resolution = "newer"
	case same(c.Result, c.Older.Image):
		c.Resolution = "older"
	}
	return recordText(&c)
}

func (e *effect) side() apply.Side {
	op := map[byte]change.Op{'I': change.Insert, 'U': change.Update, 'D': change.Delete}[e.op]
	return apply.Side{Version: e.tx.version(), Seq: e.tx.seq, XID: e.tx.xid, Commit: time.UnixMicro(e.tx.commit), Op: op, Image: e.after}
}

func (t *transaction) version() change.Version { return change.Version{HLC: t.hlc, Origin: t.origin} }

// truncated reports whether a table was truncated.
func (h *history) truncated(table string) bool {
	return slices.ContainsFunc(h.txs, func(t *transaction) bool { return t.wiped[table] })
}

// disordered reports whether a site applied a write of the row before one that it knew: the
// order had been waived. Which conflicts there were is not known then.
func (h *history) disordered(s *site, id rowID) bool {
	applied := func(t *transaction) int {
		local := uint64(0)
		for i := range s.db.log {
			switch r := &s.db.log[i]; {
			case r.local:
				if local++; t.origin == s.name && local == t.seq {
					return i
				}
			case r.mark.Origin == t.origin && r.mark.Seq >= t.seq:
				return i
			}
		}
		return len(s.db.log)
	}
	all := h.of(id)
	for _, x := range all {
		at := applied(x.tx)
		if slices.ContainsFunc(all, func(k effect) bool { return k.tx.knew(x.tx) && applied(k.tx) < at }) {
			return true
		}
	}
	return false
}

// overtaken reports whether an application of s wrote the row again, knowing both: when
// there was no row to lock the first of its writes may have come between fence and commit,
// and where the window keeps the latest only the second hides it, or at least its image.
func (h *history) overtaken(w *World, s *site, m meeting) bool {
	if w.o.NoFaults || !w.policyOf(w.sites[0].db.shapes[m.id.table]).VersionsOnly() || m.older.Origin != s.name && m.newer.Origin != s.name {
		return false
	}
	var pair []*transaction
	all := h.of(m.id)
	for _, e := range all {
		if v := e.tx.version(); v == m.older || v == m.newer {
			pair = append(pair, e.tx)
		}
	}
	return slices.ContainsFunc(all, func(k effect) bool {
		return k.tx.origin == s.name && k.tx.knew(pair[0]) && k.tx.knew(pair[1])
	})
}

// uneven reports whether one of the two wrote the row in more than one part: such a
// conflict is recorded as a site meets it.
func (h *history) uneven(m meeting) bool {
	for _, t := range h.txs {
		if v := t.version(); (v == m.older || v == m.newer) && (t.spread[m.id] || m.value && t.parts > 1) {
			return true
		}
	}
	return false
}
