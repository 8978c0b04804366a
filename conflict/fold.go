package conflict

import (
	"errors"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// State is what a fold makes of a row.
type State struct {
	// Image is the row; nil: there is none. Unchanged values are those that no write
	// of the fold carries.
	Image []change.Value
	// Table is the shape of Image. nil when there is none, or when the caller knows.
	Table *change.Table
	// Err says that a rule could not decide (a sum beyond its type, a resolver that
	// failed): the row waits for a person, at every site alike. A later write that knew
	// everything ends it.
	Err error

	past *past // of a base: what writes behind it did not see; nil: nothing
}

// Fold returns the row that writes, in version order, make of base:
// state = step(state, write, earlier writes).
//
// One step, for write w:
//
//   - if w knew all earlier writes of the list: its image. So the outcome does not
//     depend on what of the past the list still holds;
//   - Deletes, when one of w and the state is a delete that the other did not know;
//   - else Base, Columns or Resolver, of which only Columns and Resolver look into
//     rows, and only when there are two.
//
// The cost is that of one pass: what a write did not know is found by comparing the
// greatest seq of each origin so far with what it had seen.
func Fold(p Policy, base State, writes []*Write) State {
	f := newFolding(p, base)
	for _, w := range writes {
		f.step(w)
	}
	return f.state
}

// Common returns the state at the last point of the list that writes[at] and all
// between knew whole: what it and those it met had in common. It does not depend on
// how far the list has been shortened.
func Common(p Policy, base State, writes []*Write, at int) State {
	f := newFolding(p, base)
	f.keepCommons()
	for _, w := range writes[:at] {
		f.step(w)
	}
	f.meet(writes[at])
	return f.common()
}

// Step is one step of the fold by itself: the state after w, given the state so far
// and the writes of the list before w, in version order.
func (p Policy) Step(state State, w *Write, prior []*Write) State {
	f := newFolding(p, State{})
	for _, o := range prior {
		f.note(o)
	}
	f.state = state
	f.step(w)
	return f.state
}

// needsCommon reports whether a step asks for the state that two writes had in common.
func (p Policy) needsCommon() bool {
	return p.Resolver != nil || p.Columns != nil && p.Columns.resolves()
}

// folding is a fold under way.
type folding struct {
	policy Policy
	state  State

	all     known         // every earlier write
	alive   known         // those that are not deletes
	columns *columnWrites // nil: no rule asks
	commons []common      // the points that all writes since knew whole, oldest first
}

// common is a point of the list: what it begins with, and the state there.
type common struct {
	before known
	state  State
}

func newFolding(p Policy, base State) *folding {
	if o := base.past; o != nil {
		base.past = nil
		return o.resume(p, base)
	}
	f := &folding{policy: p, state: base}
	if p.needsCommon() {
		f.commons = []common{{state: base}}
	}
	if p.Columns != nil && p.Columns.asks() {
		f.columns = &columnWrites{byName: map[string]known{}}
	}
	return f
}

func (f *folding) step(w *Write) {
	f.meet(w)
	f.state = f.next(w)
	f.note(w)
}

// meet forgets the points that w did not know whole, and notes the one before it if
// it did. A point once lost is lost for all later writes: they have w before them.
func (f *folding) meet(w *Write) {
	if f.commons == nil {
		return
	}
	if len(f.all) == 0 {
		f.commons[0].state = w.before(f.commons[0].state)
	}
	n := len(f.commons)
	for n > 1 && !f.commons[n-1].before.seenBy(w.Tx) {
		n--
	}
	f.commons = f.commons[:n]
	if len(f.all) > 0 && f.all.seenBy(w.Tx) {
		f.commons = append(f.commons, common{before: f.all.clone(), state: w.before(f.state)})
	}
}

// before is the row before w as every site tells it: what a list that begins with w could
// not know the others leave aside too. Before a truncate no log tells what the row was, and
// before an update of a table that does not log old rows its own does not.
func (w *Write) before(state State) State {
	switch {
	case w.Wiped:
		return State{}
	case w.Op != change.Insert && w.Old == nil && w.Table != nil && !w.Table.Full:
		return State{Err: errNoOld}
	}
	return state
}

// errNoOld parks what a rule would have to be told the row before for.
var errNoOld = errors.New("the log does not have the row before the change: the table needs REPLICA IDENTITY FULL at every site")

func (f *folding) common() State { return f.commons[len(f.commons)-1].state }

// note counts w among the earlier writes.
func (f *folding) note(w *Write) {
	f.all.add(w.Tx)
	if w.Op != change.Delete {
		f.alive.add(w.Tx)
	}
	if f.columns != nil {
		f.columns.note(w)
	}
}

// next is the state after w.
func (f *folding) next(w *Write) State {
	p := &f.policy
	f.state = f.state.in(w.Table)
	after := State{Image: w.after(f.state.Image), Table: w.Table}
	if f.all.seenBy(w.Tx) {
		if f.state.Err != nil && lacks(after.Image) {
			return State{Err: f.state.Err}
		}
		return after
	}
	if f.state.Err != nil {
		return f.state
	}
	revives := w.Op == change.Update && f.state.Image == nil
	kills := w.Op == change.Delete && !f.alive.seenBy(w.Tx)
	switch p.Deletes {
	case DeleteWins:
		if revives || kills {
			return State{}
		}
	case UpdateWins:
		if kills {
			return f.state
		}
		if revives {
			return after
		}
	}
	switch p.Base {
	case FirstWriteWins:
		return f.state
	case Prefer:
		if w.Tx.Origin != p.Site && !f.all.of(p.Site).seenBy(w.Tx) {
			return f.state
		}
		return after
	}
	if f.state.Image == nil || after.Image == nil {
		return after
	}
	switch {
	case p.Resolver != nil:
		return f.resolve(w, after.Image)
	case p.Columns != nil:
		return f.merge(w, after.Image)
	}
	return after
}

// resolve asks the custom rule.
func (f *folding) resolve(w *Write, after []change.Value) State {
	before := f.common().in(w.Table)
	if before.Err != nil {
		return before
	}
	if lacks(f.state.Image) || lacks(after) || lacks(before.Image) {
		return State{Image: unknownBeyondKey(w.Table, after), Table: w.Table}
	}
	out, err := f.policy.Resolver.Row(w.Table, f.state.Image, after, before.Image)
	if err != nil {
		return State{Err: fmt.Errorf("rule %s: %w", f.policy.Resolver.Name, err)}
	}
	return State{Image: out, Table: w.Table}
}

// in returns the state in the shape of t: columns are found by their names. What a
// column was that the old shape did not have is not known.
func (s State) in(t *change.Table) State {
	if s.Image == nil || t == nil || s.Table == nil || s.Table == t || s.Table.ID == t.ID {
		return s
	}
	image := make([]change.Value, len(t.Columns))
	for i := range t.Columns {
		if j := s.Table.Column(t.Columns[i].Name); j >= 0 && j < len(s.Image) {
			image[i] = s.Image[j]
		}
	}
	return State{Image: image, Table: t, Err: s.Err, past: s.past}
}

// unknownBeyondKey is a row of which only the key is known.
func unknownBeyondKey(t *change.Table, image []change.Value) []change.Value {
	out := make([]change.Value, len(image))
	for _, i := range t.Key {
		out[i] = image[i]
	}
	return out
}

// after is the row that w left at its origin, as far as it was logged: what w does not
// carry is taken from the row before it, or from state.
func (w *Write) after(state []change.Value) []change.Value {
	if w.Op != change.Update {
		return w.Image
	}
	return Overlay(state, Overlay(w.Old, w.Image))
}

// known is, by origin, the greatest seq among some writes.
type known []upTo

type upTo struct {
	origin change.Site
	seq    uint64
}

func (k *known) add(t *Tx) {
	for i := range *k {
		if u := &(*k)[i]; u.origin == t.Origin {
			u.seq = max(u.seq, t.Seq)
			return
		}
	}
	*k = append(*k, upTo{t.Origin, t.Seq})
}

// seenBy reports whether t knew all of them.
func (k known) seenBy(t *Tx) bool {
	for _, u := range k {
		if u.origin == t.Origin {
			if u.seq >= t.Seq {
				return false
			}
		} else if t.Seen[u.origin] < u.seq {
			return false
		}
	}
	return true
}

// of keeps those of one origin.
func (k known) of(origin change.Site) known {
	for i, u := range k {
		if u.origin == origin {
			return k[i : i+1]
		}
	}
	return nil
}

func (k known) clone() known { return append(known(nil), k...) }
