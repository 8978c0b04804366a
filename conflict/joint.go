package conflict

import (
	"fmt"
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// JointRow is one row of a joint fold.
type JointRow struct {
	Key    Key
	Base   State
	Writes []*Write // version order
	// Wiped are the versions of transactions that truncated the table: before what they
	// wrote there was no row.
	Wiped []change.Version
	State State // out: what the fold makes of the row
	// Displaced, out, are the transactions that took a value from the row, which deleted it.
	// What comes later and did not know of them is decided against that delete.
	Displaced []*Tx
	// Steps are the writes of which it is asked what the fold came by; nil: none.
	Steps map[*Write]*Step
}

// Collision is a write that took a value of a unique key that another row held, where
// neither of the two writes knew the other.
type Collision struct {
	Taker, Holder         Key
	TakerWrite, HeldWrite *Write
	TakerState, HeldState State // the rows as they met, the taker's with the value
	Unique                change.UniqueKey
	// Refused: the holder keeps the value and the taker's write has no effect. Else
	// the holder's row is deleted, at the version of the taker's write.
	Refused bool
}

// TakenError says that two rows want one value of a unique key and the policy lets
// neither go. The changes wait for a person.
type TakenError struct {
	Table  string
	Unique string
	Policy string
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("two rows of %s have the same value of the unique key %s, and %s lets neither go", e.Table, e.Unique, e.Policy)
}

// FoldJoint folds rows of one table that writes in flight tie together by values of
// unique keys: as if they were one row, all writes in version order, the writes of one
// transaction at once. Taking a value is a write of it: when a step leaves a row with a
// value that another row holds, that other row is deleted at this version, in its own
// fold (a later write that knew nothing of it may bring it back, and then takes the
// value in turn). Two policies have the holder keep it, and the step no effect:
// first_write_wins when the step did not know the holder's write, and prefer:SITE when
// only that one is SITE's. Under park and update_wins nobody may decide: State.Err.
//
// A value is taken and given up in this order and no other, so what becomes of the rows
// does not depend on which write arrived when: a chain (a row that displaced another is
// itself displaced) and a value that was free for a while are the same at every site.
func FoldJoint(p Policy, rows []*JointRow) []Collision {
	j := joint{policy: p, holders: map[Claim]*jointRow{}}
	for _, r := range rows {
		r.Displaced = nil
		f := newFolding(p, r.Base)
		if len(r.Steps) > 0 {
			f.keepCommons()
		}
		j.rows = append(j.rows, &jointRow{row: r, folding: f})
	}
	slices.SortFunc(j.rows, func(a, b *jointRow) int { return compareKeys(a.row.Key, b.row.Key) })
	for _, r := range j.rows {
		j.take(r)
	}
	for j.step() {
	}
	for _, r := range j.rows {
		r.row.State = r.folding.state
	}
	return j.collisions
}

type joint struct {
	policy     Policy
	rows       []*jointRow
	holders    map[Claim]*jointRow
	collisions []Collision
}

type jointRow struct {
	row     *JointRow
	folding *folding
	next    int       // of row.Writes
	made    *Write    // what the state is of; nil: the base
	claims  []Claimed // held
	table   *change.Table

	before     State // the step's
	madeBefore *Write
	after      []change.Value // as the transaction wrote it
	refused    bool
}

// step does the writes of the least version not done yet; false: there are none.
func (j *joint) step() bool {
	var stepped []*jointRow
	for _, r := range j.rows {
		if r.next == len(r.row.Writes) {
			continue
		}
		w := r.row.Writes[r.next]
		if len(stepped) > 0 {
			first := stepped[0].write().Tx.Version()
			if first.Less(w.Tx.Version()) {
				continue
			}
			if w.Tx.Version().Less(first) {
				stepped = stepped[:0]
			}
		}
		stepped = append(stepped, r)
	}
	for _, r := range stepped {
		j.release(r)
		before := r.folding.state
		r.before, r.madeBefore, r.refused = before, r.made, false
		w := r.write()
		if slices.Contains(r.row.Wiped, w.Tx.Version()) {
			r.before, r.madeBefore = State{}, w
		}
		r.after = w.after(r.folding.state.in(w.Table).Image)
		r.folding.step(w)
		if s := r.folding.state; !sameState(s, before) || slices.Equal(s.Image, r.after) {
			r.made = w
		}
	}
	j.settle(stepped)
	for _, r := range stepped {
		if s := r.row.Steps[r.write()]; s != nil {
			*s = Step{Common: r.folding.common(), State: r.folding.state}
		}
		r.next++
	}
	return len(stepped) > 0
}

func (r *jointRow) write() *Write { return r.row.Writes[r.next] }

// settle gives the rows that were stepped their values, in the order of how much of
// them is the transaction's own. First it finds those that are refused. Such a row goes back to what it was, with the values it had, which another of
// them may have taken: so all are looked at again.
func (j *joint) settle(stepped []*jointRow) {
	slices.SortStableFunc(stepped, func(a, b *jointRow) int { return a.rank() - b.rank() })
	for again := true; again; {
		again = false
		for _, r := range stepped {
			if r.rank() == 0 {
				j.take(r)
			}
		}
		for _, r := range stepped {
			if r.rank() > 0 && j.refuses(r, stepped) {
				again = true
				break
			}
		}
		if again {
			for _, r := range stepped {
				j.release(r)
			}
		}
	}
	for _, r := range stepped {
		if r.rank() > 0 {
			j.displace(r, stepped)
		}
	}
}

// rank orders the rows of one step: those it left as they were, those it made together
// with other writes, those that are as the transaction wrote them.
func (r *jointRow) rank() int {
	switch {
	case r.refused || r.made != r.write():
		return 0
	case !slices.Equal(r.folding.state.Image, r.after):
		return 1
	}
	return 2
}

// holder returns who else holds a value that r claims. Two rows may have it as one
// transaction wrote it to both: that site's database allowed it.
func (j *joint) holder(c Claimed, r *jointRow, stepped []*jointRow) *jointRow {
	h := j.holders[c.Claim]
	if h == nil || h == r || r.rank() == 2 && slices.Contains(stepped, h) && h.rank() == 2 {
		return nil
	}
	return h
}

// refuses takes back what the step made of r when the holder of a value keeps it.
func (j *joint) refuses(r *jointRow, stepped []*jointRow) bool {
	for _, c := range j.claimsOf(r) {
		h := j.holder(c, r, stepped)
		switch {
		case h == nil:
		case j.policy.Base == Park || j.policy.Deletes == UpdateWins:
			r.folding.state = State{Err: &TakenError{Table: r.table.QualifiedName(), Unique: r.table.Unique[c.Unique].Name, Policy: j.policy.String()}}
			r.made = r.write()
			return false
		case j.yields(r.write(), h):
			j.note(r, h, c, true)
			r.folding.state, r.made, r.refused = r.before, r.madeBefore, true
			return true
		}
	}
	return false
}

// displace gives r its values and deletes the rows that held them.
func (j *joint) displace(r *jointRow, stepped []*jointRow) {
	r.claims = j.claimsOf(r)
	for _, c := range r.claims {
		if h := j.holder(c, r, stepped); h != nil {
			j.note(r, h, c, false)
			j.release(h)
			h.folding.displace(r.write())
			h.made = r.write()
			h.row.Displaced = append(h.row.Displaced, r.write().Tx)
		}
		j.holders[c.Claim] = r
	}
}

func (j *joint) note(r, h *jointRow, c Claimed, refused bool) {
	j.collisions = append(j.collisions, Collision{
		Taker: r.row.Key, Holder: h.row.Key, TakerWrite: r.write(), HeldWrite: h.made,
		TakerState: r.folding.state, HeldState: h.folding.state, Unique: r.table.Unique[c.Unique], Refused: refused,
	})
}

// yields reports whether the holder keeps its value against w.
func (j *joint) yields(w *Write, h *jointRow) bool {
	if h.refused && h.next < len(h.row.Writes) && h.write().Tx.Version() == w.Tx.Version() {
		return true // what gave the value up for this write was refused
	}
	if h.made == nil || h.made.Tx.Version() == w.Tx.Version() || w.Tx.Saw(h.made.Tx) {
		return false
	}
	switch j.policy.Base {
	case FirstWriteWins:
		return true
	case Prefer:
		return h.made.Tx.Origin == j.policy.Site && w.Tx.Origin != j.policy.Site
	}
	return false
}

func (j *joint) claimsOf(r *jointRow) []Claimed {
	s := r.folding.state
	r.table = s.Table
	if r.table == nil && r.next < len(r.row.Writes) {
		r.table = r.row.Writes[r.next].Table
	}
	if s.Err != nil || s.Image == nil || r.table == nil {
		return nil
	}
	return Claims(r.table, s.Image)
}

// take gives r what its state claims and nobody holds.
func (j *joint) take(r *jointRow) {
	r.claims = nil
	for _, c := range j.claimsOf(r) {
		if j.holders[c.Claim] == nil {
			j.holders[c.Claim] = r
			r.claims = append(r.claims, c)
		}
	}
}

func (j *joint) release(r *jointRow) {
	for _, c := range r.claims {
		if j.holders[c.Claim] == r {
			delete(j.holders, c.Claim)
		}
	}
	r.claims = nil
}

// displace is a step whose write deletes the row, because w took a value it had.
func (f *folding) displace(w *Write) {
	gone := &Write{Tx: w.Tx, Op: change.Delete, Table: w.Table}
	f.meet(gone)
	f.state = State{}
	f.note(gone)
}

func sameState(a, b State) bool {
	return (a.Image == nil) == (b.Image == nil) && slices.Equal(a.Image, b.Image) && (a.Err == nil) == (b.Err == nil)
}
