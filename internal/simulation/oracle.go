package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// Oracle names one of the judges of a run.
type Oracle string

// The oracles.
const (
	Rows        Oracle = "rows"        // equal everywhere, and the fold of their writes
	Published   Oracle = "published"   // every local transaction once, in order, with the marks before it
	Ledger      Oracle = "ledger"      // every transaction has its effect once
	Checkpoints Oracle = "checkpoints" // only grow
	Counts      Oracle = "counts"      // received = applied + kept + merged + parked
	Conflicts   Oracle = "conflicts"   // read the same at every site
	Window      Oracle = "window"      // empty once everyone has seen everything
	Agents      Oracle = "agents"      // meet no error but those that a fault may cause
	Rest        Oracle = "rest"        // everything is delivered in the end
	Parks       Oracle = "parks"       // what no rule can decide waits at every site, and nothing else
	Totals      Oracle = "totals"      // rows that belong together agree, whenever they are read
)

// rowList is row changes as a trace shows them.
type rowList []change.Row

func (rows rowList) String() string {
	var b strings.Builder
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(&b, " %s %s", r.Op, r.Table.Name)
		if r.Old != nil {
			fmt.Fprintf(&b, " %s", imageText(r.Old))
		}
		if r.New != nil {
			fmt.Fprintf(&b, "→%s", imageText(r.New))
		}
	}
	return b.String()
}

func imageText(image []change.Value) string {
	if image == nil {
		return "none"
	}
	var parts []string
	for _, v := range image {
		if v.State == change.Unchanged {
			parts = append(parts, "·")
		} else {
			parts = append(parts, v.Text)
		}
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// standing is where a site stands, for a failure.
func (s *site) standing() string {
	tail, _ := s.own.tail()
	text := fmt.Sprintf("%s: log %d, own stream ends at %d;", s.name, len(s.db.log), tail.Seq)
	for _, p := range s.peers {
		c, _ := s.copies[p].tail()
		text += fmt.Sprintf(" %s copied %d applied %d;", p, c.Seq, s.db.points[p].Seq)
	}
	return text
}

// partName names a transaction, or a part of one.
type partName struct {
	origin change.Site
	seq    uint64
	part   int
}

func (p partName) String() string { return fmt.Sprintf("%s:%d.%d", p.origin, p.seq, p.part) }

// notePublished checks that what is published again is what was published before.
func (w *World) notePublished(s *site, f *change.Frame) {
	for i := range f.Transactions {
		t := f.Transactions[i]
		w.trace(s, "publishes %d.%d %d seen %v%s", t.Seq, t.Part, t.HLC-change.HLC(start), t.Seen, rowList(t.Rows))
		name := partName{t.Origin, t.Seq, t.Part}
		before := w.published[name]
		if before == nil {
			w.published[name] = &t
			continue
		}
		if before.HLC != t.HLC || !maps.Equal(before.Seen, t.Seen) || len(before.Rows) != len(t.Rows) || before.Position != t.Position {
			w.fail(Published, "%s was published as %d seen %v %s and again as %d seen %v %s", name,
				before.HLC, before.Seen, before.Position, t.HLC, t.Seen, t.Position)
		}
	}
}

// checkCounts compares the counters of a link with the row changes that it was given.
func (w *World) checkCounts(s *site, from change.Site, txs []change.Transaction, before, after *apply.LinkStatus) {
	if s.lacked {
		return // what was held back is counted when it is applied
	}
	if after.Transactions-before.Transactions != after.Applied.Seq-before.Applied.Seq {
		return // an answer was lost; what was committed is not counted
	}
	rows := uint64(0)
	last := map[uint64]uint64{}
	for i := range txs {
		t := &txs[i]
		if t.Part == 0 {
			rows -= last[t.Seq]
			last[t.Seq] = 0
		}
		last[t.Seq] += uint64(len(t.Rows))
		rows += uint64(len(t.Rows))
	}
	got := after.AppliedRows + after.KeptLocal + after.Merged + after.Parked - before.AppliedRows - before.KeptLocal - before.Merged - before.Parked
	if got != rows || after.Received-before.Received != rows {
		w.fail(Counts, "%s received %d row changes of %s (%d to %d); applied %d, kept %d, merged %d, parked %d", s.name, rows, from, before.Applied.Seq, after.Applied.Seq,
			after.AppliedRows-before.AppliedRows, after.KeptLocal-before.KeptLocal, after.Merged-before.Merged, after.Parked-before.Parked)
	}
}

// judge asks every oracle of a world at rest.
func (w *World) judge() {
	h := w.history()
	w.judgePublished(h)
	w.judgeLedger(h)
	w.judgeRows(h)
	w.judgeConflicts(h)
	w.judgeParks(h)
	w.judgeTotals(h)
	for _, s := range w.sites {
		for _, b := range s.db.broken {
			w.fail(Checkpoints, "%s: %s", s.name, b)
		}
		if s.agents != nil {
			if keys, writes := s.agents.window.Size(); keys > 0 {
				w.fail(Window, "the window of %s still holds %d keys, %d writes", s.name, keys, writes)
			}
		}
	}
}

// judgePublished compares each stream with the log it was made of: every local
// transaction once, in order, nothing else, with the marks before it.
func (w *World) judgePublished(h *history) {
	for _, s := range w.sites {
		seen := change.Seen{}
		var txs []*transaction
		var clock uint64
		for i := range s.db.log {
			r := &s.db.log[i]
			if !r.local {
				seen[r.mark.Origin] = max(seen[r.mark.Origin], r.mark.Seq)
				clock = max(clock, r.mark.HLC)
				continue
			}
			n := len(txs) + 1
			t := h.find(s.name, uint64(n))
			if t == nil {
				w.fail(Published, "%s: transaction %d of its log was not published", s.name, n)
				return
			}
			if t.hlc <= clock || t.hlc < change.HLC(r.at) {
				w.fail(Published, "%s: transaction %d is versioned %d, the log says more than %d and at least %d", s.name, n, t.hlc, clock, change.HLC(r.at))
			}
			clock = t.hlc
			if !sameSeen(t.seen, seen) {
				w.fail(Published, "%s: transaction %d carries seen %v, the log says %v", s.name, n, t.seen, seen)
			}
			if len(t.rows) != len(r.rows) {
				w.fail(Published, "%s: transaction %d has %d rows, the log says %d", s.name, n, len(t.rows), len(r.rows))
			}
			txs = append(txs, t)
		}
		if extra := h.find(s.name, uint64(len(txs)+1)); extra != nil {
			w.fail(Published, "%s published %d transactions, its applications made %d: an echo", s.name, len(txs)+1, len(txs))
		}
		for _, p := range w.sites {
			if p != s && p.db.points[s.name].Seq != uint64(len(txs)) {
				w.fail(Rest, "%s has applied %d of %d transactions of %s", p.name, p.db.points[s.name].Seq, len(txs), s.name)
			}
		}
	}
}

func sameSeen(a, b change.Seen) bool {
	for o, n := range a {
		if b[o] != n {
			return false
		}
	}
	for o, n := range b {
		if a[o] != n {
			return false
		}
	}
	return true
}

// judgeLedger: the row that every transaction leaves in the ledger was written once
// at every other site.
func (w *World) judgeLedger(h *history) {
	for _, t := range h.txs {
		for i := range t.rows {
			if t.rows[i].Table.QualifiedName() != ledgerTable {
				continue
			}
			key := t.rows[i].New[0].Text
			for _, s := range w.sites {
				want := 1
				if s.name == t.origin {
					want = 0
				}
				if got := s.db.effects[key]; got != want {
					w.fail(Ledger, "transaction %s:%d had its effect %d times at %s", t.origin, t.seq, got, s.name)
				}
			}
		}
	}
}

// waiting lists the rows with a parked change at some site: they wait for a person.
func (w *World) waiting() map[rowID]bool {
	waiting := map[rowID]bool{}
	for _, s := range w.sites {
		for i := range s.db.parked {
			r := &s.db.parked[i].Row
			for _, image := range [][]change.Value{r.Old, r.New} {
				if image != nil {
					waiting[keyOf(r.Table, image)] = true
				}
			}
			if r.Table != partTable && !w.mayFail(r.Table) {
				w.fail(Parks, "%s parked a change of table %s: %s", s.name, r.Table.Name, s.db.parked[i].Message)
			}
		}
	}
	return waiting
}

// judgeRows: all sites hold the same rows, and each row is the fold of its writes.
func (w *World) judgeRows(h *history) {
	waiting := w.waiting()
	ids := map[rowID]bool{}
	for _, s := range w.sites {
		for id := range s.db.rows {
			ids[id] = true
		}
	}
	for id := range h.writes {
		ids[id] = true
	}
	names := h.foldNames(w)
	for _, id := range slices.SortedFunc(maps.Keys(ids), func(a, b rowID) int { return strings.Compare(a.table+a.key, b.table+b.key) }) {
		if waiting[id] {
			continue
		}
		want := names[id]
		if id.table != namesTable.QualifiedName() {
			want, _ = h.fold(w, id)
		}
		for _, s := range w.sites {
			if got := s.db.rows[id]; !slices.Equal(got, want) || (got == nil) != (want == nil) {
				w.fail(Rows, "%s: row %s %s is %s, the fold of its writes is %s\n%s", s.name, id.table, id.key, imageText(got), imageText(want), h.text(id))
			}
		}
	}
}
