package conflict

import (
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// Arrival is what one transaction wrote on one key.
type Arrival struct {
	Table *change.Table
	Key   Key
	Write *Write
	Final []change.Value
}

// Other is a key that did not arrive but whose row what arrived changes: it loses a
// value of a unique key and with it the row, or gets it back. Or the row is gone before
// and after, but what arrived would take it away from who makes it meanwhile.
type Other struct {
	Table *change.Table
	Key   Key
	Image []change.Value // names the row
	State []change.Value // as it must be; nil: no row
	// Partial: State lacks a value that no log has.
	Partial bool
	Met     []Meeting // of a row of a truncated table
	Pairs   []Pair    // of the row, to be recorded
}

// Joint is the decision about one transaction as a whole, where its keys are tied to
// others by values of unique keys.
type Joint struct {
	Decisions []Decision // by arrival
	Others    []Other
	// Left are the rows with writes in flight that a truncated table keeps: all others
	// of it go.
	Left []Other
	// Again are rows that did not arrive, with conflicts that read otherwise now.
	Again []Other
	// Collisions are those that there are now that the transaction is there, Withdrawn
	// those that there were without it. A collision of both is in neither.
	Collisions, Withdrawn []Collision
}

// DecideJoint tells what becomes of everything that one transaction wrote, and of the
// rows that it meets by values of unique keys. It changes nothing. Arrivals on tables
// without unique keys are decided as by Decide. truncated are the tables with unique
// keys that tx truncated before it wrote what arrives.
func (w *Window) DecideJoint(tx *Tx, arrivals []Arrival, truncated []*change.Table) Joint {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := Joint{Decisions: make([]Decision, len(arrivals))}
	byTable := map[string][]int{}
	var names []string
	for i, a := range arrivals {
		name := a.Table.QualifiedName()
		switch tt := w.traffic(a.Table); {
		case tt.versionsOnly:
			out.Decisions[i] = w.dispute(a.Table, w.decideLatest(tt, a.Key, []*Write{a.Write}, a.Final))
			continue
		case len(a.Table.Unique) == 0:
			out.Decisions[i] = w.dispute(a.Table, w.decideList(tt, a.Key, []*Write{a.Write}, a.Final))
			continue
		}
		if byTable[name] == nil {
			names = append(names, name)
		}
		byTable[name] = append(byTable[name], i)
	}
	for _, t := range truncated {
		if name := t.QualifiedName(); byTable[name] == nil {
			w.decideTable(tx, t, arrivals, nil, true, &out)
		}
	}
	for _, name := range names {
		at := byTable[name]
		table := arrivals[at[0]].Table
		wiped := slices.ContainsFunc(truncated, func(t *change.Table) bool { return t.QualifiedName() == name })
		w.decideTable(tx, table, arrivals, at, wiped, &out)
	}
	return out
}

// decideTable decides the arrivals at the indices given, which are of one table.
func (w *Window) decideTable(mine *Tx, table *change.Table, arrivals []Arrival, at []int, wiped bool, out *Joint) {
	given := map[Key]bool{}
	var writes []*Write
	var keys []Key
	for _, i := range at {
		given[arrivals[i].Key] = true
		keys = append(keys, arrivals[i].Key)
		writes = append(writes, arrivals[i].Write)
	}
	tt := w.traffic(table)
	others := w.tied(given, writes)
	if wiped {
		others = slices.DeleteFunc(w.listKeys(func(l *list) bool { return w.tables[l.table.QualifiedName()] == tt }), func(k Key) bool { return given[k] })
	}
	keys = append(keys, others...)
	before, after := w.component(tt, keys), w.component(tt, keys)
	// What arrives may have come before: then the rows tell, not the difference it makes.
	again := false
	for n, i := range at {
		if wiped {
			after[n].Wiped = append(slices.Clone(after[n].Wiped), mine.Version())
		}
		again = again || holds(before[n].Writes, mine.Version())
		after[n].Writes, _ = place(after[n].Writes, arrivals[i].Write)
		after[n].Base = startOf(after[n].Writes, baseOf(w.lists[after[n].Key]))
	}
	for n := len(at); n < len(after) && wiped; n++ {
		after[n].Writes, _ = place(after[n].Writes, &Write{Tx: mine, Op: change.Delete, Table: table, Wiped: true})
		after[n].Base = startOf(after[n].Writes, baseOf(w.lists[after[n].Key]))
	}
	here := make([][]*Write, len(before)) // with the truncates
	for n, r := range before {
		here[n] = r.Writes
	}
	paired := make([][]Pair, len(after))
	for n, r := range after {
		paired[n] = arriving(pairs(r.Writes, mine.Version()), []*Write{{Tx: mine}})
		r.Steps = map[*Write]*Step{}
		for _, p := range paired[n] {
			r.Steps[p.Newer] = &Step{}
		}
	}
	withdrawn := w.jointly(table, before)
	collisions := w.jointly(table, after)
	for n, r := range after {
		told(paired[n], r.Writes, r.Steps)
	}

	failed := w.disputedWith(mine, table, here)
	for _, r := range after {
		if r.State.Err != nil && failed == nil {
			failed = r.State.Err
		}
	}
	known := true
	for n := range here {
		for _, h := range here[n] {
			known = known && (mine.Saw(h.Tx) || h.Tx.Version() == mine.Version())
		}
	}
	for n, i := range at {
		d := &out.Decisions[i]
		a := &arrivals[i]
		d.Known, d.Pairs = known, paired[n]
		if known {
			d.State = a.Final
			continue
		}
		for _, h := range here[n] {
			if !mine.Saw(h.Tx) && !h.Tx.Saw(mine) && h.Tx.Origin != mine.Origin {
				d.Met = meet(d.Met, a.Write, h)
			}
		}
		state := after[n].State.in(a.Table)
		d.State, d.Err = state.Image, failed
		d.Partial = guesses(d.State, after[n].Writes)
	}
	if wiped {
		w.left(mine, table, before[len(at):], after[len(at):], paired[len(at):], failed, out)
	}
	if known || failed != nil {
		return
	}
	for n := len(at); n < len(after) && !wiped; n++ {
		if sameState(before[n].State, after[n].State) && !goneOtherwise(before[n], after[n]) && (!again || guesses(after[n].State.Image, after[n].Writes)) {
			continue
		}
		if o := w.other(before[n], after[n]); o.Image != nil {
			out.Others = append(out.Others, o)
		}
	}
	for n := len(at); n < len(after) && !wiped; n++ {
		if o := w.other(before[n], after[n]); o.Image != nil && len(paired[n]) > 0 {
			o.Pairs = paired[n]
			out.Again = append(out.Again, o)
		}
	}
	for _, c := range collisions {
		if again && c.of(mine) || !slices.ContainsFunc(withdrawn, c.same) {
			out.Collisions = append(out.Collisions, c)
		}
	}
	for _, c := range withdrawn {
		if !slices.ContainsFunc(collisions, c.named) {
			out.Withdrawn = append(out.Withdrawn, c)
		}
	}
}

// of reports whether tx is part of the collision.
func (c *Collision) of(tx *Tx) bool {
	return c.TakerWrite.Tx.Version() == tx.Version() || c.HeldWrite != nil && c.HeldWrite.Tx.Version() == tx.Version()
}

// named reports whether the two are of the same rows and writes, same whether they read
// the same too.
func (c *Collision) named(o Collision) bool {
	return c.Taker == o.Taker && c.Holder == o.Holder && c.TakerWrite.Tx.Version() == o.TakerWrite.Tx.Version() &&
		(c.HeldWrite == nil) == (o.HeldWrite == nil) && (c.HeldWrite == nil || c.HeldWrite.Tx.Version() == o.HeldWrite.Tx.Version())
}

func (c *Collision) same(o Collision) bool {
	return c.named(o) && c.Refused == o.Refused && sameState(c.TakerState, o.TakerState) && sameState(c.HeldState, o.HeldState)
}

// goneOtherwise reports whether a row that is not there is not there for another reason
// now. Nothing is to be done; but nobody may make the row unnoticed, who would be decided
// otherwise.
func goneOtherwise(before, after *JointRow) bool {
	return after.State.Image == nil && after.State.Err == nil && !slices.EqualFunc(before.Displaced, after.Displaced, func(a, b *Tx) bool { return a.Version() == b.Version() })
}

// States folds the list of a key as it stands, with those of all keys that values of
// unique keys tie it to: the rows as they must be. The key's own comes first, the others
// in order. Nil when the key has no list, or its fold is not determined, or the sites would
// not fold it alike. The key's own has all its conflicts; those of values are told too.
func (w *Window) States(table *change.Table, k Key) ([]Other, []Collision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	if tt.versionsOnly || w.lists[k] == nil || w.disputed(table) != nil {
		return nil, nil
	}
	rows := w.component(tt, append([]Key{k}, w.tied(map[Key]bool{k: true}, nil)...))
	own := pairs(rows[0].Writes, change.Version{})
	rows[0].Steps = map[*Write]*Step{}
	for _, p := range own {
		rows[0].Steps[p.Newer] = &Step{}
	}
	collisions := w.jointly(table, rows)
	told(own, rows[0].Writes, rows[0].Steps)
	var out []Other
	for i, r := range rows {
		o := w.other(r, r)
		undetermined := r.State.Err != nil || o.Image == nil || o.Partial
		if i == 0 && undetermined {
			return nil, nil
		}
		if i == 0 {
			o.Pairs = own
		}
		if !undetermined {
			out = append(out, o)
		}
	}
	return out, collisions
}

// left adds the rows that a truncated table keeps. When a rule could not decide
// (failed) nothing is taken away from under whoever has to.
func (w *Window) left(mine *Tx, table *change.Table, before, after []*JointRow, paired [][]Pair, failed error, out *Joint) {
	for n, r := range after {
		if failed != nil {
			r.State = before[n].State
		}
		o := w.other(before[n], r)
		if o.Image == nil {
			continue
		}
		for _, h := range before[n].Writes {
			if !mine.Saw(h.Tx) && !h.Tx.Saw(mine) && h.Tx.Origin != mine.Origin {
				o.Met = meet(o.Met, &Write{Tx: mine, Op: change.Delete, Table: table}, h)
			}
		}
		o.Pairs = paired[n]
		if o.State != nil || len(o.Met) > 0 {
			out.Left = append(out.Left, o)
		}
	}
}

func baseOf(l *list) State {
	if l == nil {
		return State{}
	}
	return l.base
}

// other is what becomes of a key that did not arrive. Its Image is nil when nothing
// names the row: then there is none, before and after.
func (w *Window) other(before, after *JointRow) Other {
	l := w.lists[before.Key]
	state := after.State.in(l.table).Image
	o := Other{Table: l.table, Key: before.Key, State: state, Partial: guesses(state, after.Writes)}
	for _, wr := range after.Writes {
		if wr.Table == nil || wr.Table.ID != l.table.ID { // a truncate has none
			continue
		}
		if o.Image = orElse(wr.Image, wr.Old); o.Image != nil {
			break
		}
	}
	if o.Image == nil {
		o.Image = orElse(state, before.State.in(l.table).Image)
	}
	return o
}

func orElse(image, other []change.Value) []change.Value {
	if image == nil {
		return other
	}
	return image
}

// guesses reports whether a state lacks a value that the row may not have either: one
// that some write of the list carries, or any when a write deleted the row.
func guesses(state []change.Value, writes []*Write) bool {
	for i := range state {
		if state[i].State != change.Unchanged {
			continue
		}
		if slices.ContainsFunc(writes, func(wr *Write) bool {
			return wr.Op != change.Update || i >= len(wr.Image) || wr.Image[i].State != change.Unchanged
		}) {
			return true
		}
	}
	return false
}
