package simulation

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// namesTable has a unique name (column a) besides its key; old and new images whole.
var namesTable = named(table("names", true))

func named(t *change.Table) *change.Table {
	t.Unique = []change.UniqueKey{{Name: t.Name + "_a", Parts: []change.UniquePart{{Column: 1}}}}
	return t.Seal()
}

// namesPolicy is that of the world, but for update_wins: where neither may go it parks;
// and rows are settled whole.
func (w *World) namesPolicy() conflict.Policy {
	p := w.policy
	p.Columns, p.Resolver = nil, nil
	if p.Deletes == conflict.UpdateWins {
		p.Deletes = conflict.DeletesAreWrites
	}
	return p
}

// valueLock names the value of a unique key that a row has, as a lock of its own: who
// takes or gives up a value holds it until the end of the transaction.
func valueLock(t *change.Table, image []change.Value) (rowID, bool) {
	if len(t.Unique) == 0 || image == nil || image[1].State != change.Present {
		return rowID{}, false
	}
	return rowID{t.QualifiedName() + " a", image[1].Text}, true
}

// errTaken: another row has the value.
var errTaken = errors.New("unique violation")

// lockValues locks what a row gives up and takes, and checks that nobody has the latter.
func (s *session) lockValues(t *change.Table, id rowID, now, to []change.Value) error {
	for _, image := range [][]change.Value{now, to} {
		v, ok := valueLock(t, image)
		if !ok {
			continue
		}
		if err := s.lock(v); err != nil {
			return err
		}
	}
	if to == nil || len(t.Unique) == 0 {
		return nil
	}
	for _, k := range s.seen(id.table) {
		other := rowID{id.table, k}
		if other != id && s.get(other)[1] == to[1] {
			return errTaken
		}
	}
	return nil
}

// nameStatement is a statement of an application on the table of names.
func (a *application) nameStatement(s *session) {
	t := namesTable
	key := fmt.Sprint(a.rng.IntN(a.keys + 1))
	now := s.get(rowID{t.QualifiedName(), key})
	a.made++
	name := change.TextValue(fmt.Sprintf("n%d", a.rng.IntN(a.keys+1)))
	note := change.TextValue(fmt.Sprintf("%s.%d", a.site.name, a.made))
	fresh := []change.Value{change.TextValue(key), name, note}
	dice := a.rng.IntN(100)
	switch {
	case dice < 2:
		_ = s.truncate(t)
	case now == nil:
		_ = s.insert(t, fresh)
	case dice < 20:
		_ = s.remove(t, key)
	case dice < 30:
		if s.remove(t, key) == nil {
			_ = s.insert(t, fresh)
		}
	case dice < 40:
		to := slices.Clone(now)
		to[0] = change.TextValue(fmt.Sprint(a.rng.IntN(a.keys + 1)))
		if to[0] != now[0] && s.get(keyOf(t, to)) == nil {
			_ = s.update(t, now, to)
		}
	case dice < 55:
		to := slices.Clone(now)
		to[2] = note
		_ = s.update(t, now, to)
	default:
		to := slices.Clone(now)
		to[1] = name
		if to[1] != now[1] {
			_ = s.update(t, now, to)
		}
	}
}

// nameFold is the second implementation of the joint fold: the table of names as one
// big row, all transactions in version order.
type nameFold struct {
	policy conflict.Policy
	rows   map[rowID][]change.Value
	made   map[rowID]*transaction
	prior  map[rowID][]effect
}

// foldNames returns what the rows of the table of names must be.
func (h *history) foldNames(w *World) map[rowID][]change.Value {
	f := &nameFold{policy: w.namesPolicy(), rows: map[rowID][]change.Value{}, made: map[rowID]*transaction{}, prior: map[rowID][]effect{}}
	table := namesTable.QualifiedName()
	byTx := map[*transaction]map[rowID]effect{}
	for id, es := range h.writes {
		if id.table != table {
			continue
		}
		for _, e := range es {
			if byTx[e.tx] == nil {
				byTx[e.tx] = map[rowID]effect{}
			}
			byTx[e.tx][id] = e
		}
	}
	for _, t := range h.txs {
		mine := byTx[t]
		if mine == nil {
			mine = map[rowID]effect{}
		}
		if t.wiped[table] {
			for id := range h.writes {
				if _, own := mine[id]; id.table == table && !own {
					mine[id] = effect{tx: t, op: 'D'}
				}
			}
		}
		if len(mine) > 0 {
			f.step(t, mine)
		}
	}
	return f.rows
}

func (f *nameFold) step(t *transaction, mine map[rowID]effect) {
	before, madeBefore := maps.Clone(f.rows), maps.Clone(f.made)
	own := map[rowID][]change.Value{} // as the transaction wrote them
	for id, e := range mine {
		var unknown []effect
		for _, o := range f.prior[id] {
			if !t.knew(o.tx) {
				unknown = append(unknown, o)
			}
		}
		own[id] = e.after
		if e.op == 'U' {
			own[id] = known(f.rows[id], e.after)
		}
		row := next(f.policy, f.rows[id], e, unknown)
		if !slices.Equal(row, before[id]) || slices.Equal(row, own[id]) {
			f.made[id] = t
		}
		f.put(id, row)
	}
	refused := map[rowID]bool{}
	for f.refuse(t, mine, own, before, madeBefore, refused) {
	}
	// Rows that are as the transaction wrote them take last, and from all others.
	for _, id := range f.inOrder(t, mine, own, refused) {
		for other, r := range f.rows {
			if other == id || f.rows[id] == nil || r[1] != f.rows[id][1] || f.mayShare(id, other, mine, own, t, refused) {
				continue
			}
			if !refused[id] && f.rank(id, mine, own, t, refused) >= f.rank(other, mine, own, t, refused) {
				f.put(other, nil)
				f.made[other] = t
				f.prior[other] = append(f.prior[other], effect{tx: t, op: 'D'})
			}
		}
	}
	for id, e := range mine {
		f.prior[id] = append(f.prior[id], e)
	}
}

func (f *nameFold) put(id rowID, row []change.Value) {
	if row == nil {
		delete(f.rows, id)
		return
	}
	f.rows[id] = row
}

// rank: 0 left as it was, 1 made together with others, 2 as written.
func (f *nameFold) rank(id rowID, mine map[rowID]effect, own map[rowID][]change.Value, t *transaction, refused map[rowID]bool) int {
	switch _, ok := mine[id]; {
	case !ok || refused[id] || f.made[id] != t:
		return 0
	case !slices.Equal(f.rows[id], own[id]):
		return 1
	}
	return 2
}

func (f *nameFold) mayShare(a, b rowID, mine map[rowID]effect, own map[rowID][]change.Value, t *transaction, refused map[rowID]bool) bool {
	return f.rank(a, mine, own, t, refused) == 2 && f.rank(b, mine, own, t, refused) == 2
}

// inOrder lists the rows of a transaction by rank, then key.
func (f *nameFold) inOrder(t *transaction, mine map[rowID]effect, own map[rowID][]change.Value, refused map[rowID]bool) []rowID {
	return slices.SortedFunc(maps.Keys(mine), func(a, b rowID) int {
		return cmp.Or(cmp.Compare(f.rank(a, mine, own, t, refused), f.rank(b, mine, own, t, refused)), compareNameKeys(a, b))
	})
}

func compareNameKeys(a, b rowID) int {
	key := func(id rowID) conflict.Key {
		image := make([]change.Value, len(namesTable.Columns))
		image[0] = change.TextValue(id.key)
		k, _ := conflict.KeyOf(namesTable, image, nil)
		return k
	}
	ka, kb := key(a), key(b)
	return cmp.Or(cmp.Compare(ka.Hi, kb.Hi), cmp.Compare(ka.Lo, kb.Lo))
}

// refuse takes one row back whose name's holder keeps it; false: there is none.
func (f *nameFold) refuse(t *transaction, mine map[rowID]effect, own, before map[rowID][]change.Value, madeBefore map[rowID]*transaction, refused map[rowID]bool) bool {
	for _, id := range f.inOrder(t, mine, own, refused) {
		if refused[id] || f.rows[id] == nil || f.rank(id, mine, own, t, refused) == 0 {
			continue
		}
		for other, r := range f.rows {
			if other == id || r[1] != f.rows[id][1] || f.mayShare(id, other, mine, own, t, refused) {
				continue
			}
			h := f.made[other]
			yields := refused[other]
			if h != nil && h != t && !t.knew(h) {
				yields = yields || f.policy.Base == conflict.FirstWriteWins ||
					f.policy.Base == conflict.Prefer && h.origin == f.policy.Site && t.origin != f.policy.Site
			}
			if yields {
				refused[id] = true
				if f.put(id, before[id]); t.wiped[id.table] {
					f.put(id, nil) // before what it wrote there was no row
				}
				f.made[id] = madeBefore[id]
				if madeBefore[id] == nil {
					delete(f.made, id)
				}
				return true
			}
		}
	}
	return false
}
