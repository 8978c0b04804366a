package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

const ledgerTable = "s.ledger"

// table makes a shape: an integer key and two texts.
func table(name string, full bool) *change.Table {
	return (&change.Table{
		Schema: "s", Name: name, Key: []int{0}, Full: full,
		Columns: []change.Column{
			{Name: "id", Type: "text", Kind: change.KindText},
			{Name: "a", Type: "text", Kind: change.KindText},
			{Name: "b", Type: "text", Kind: change.KindText},
		},
	}).Seal()
}

// The tables of every world.
var (
	plainTable  = table("plain", false)  // last_write_wins, new images whole
	policyTable = table("policy", true)  // the policy under test, old and new images whole
	partTable   = table("part", false)   // last_write_wins, new images lack what did not change
	ledger      = table("ledger", false) // one row a transaction: its effect is counted
	allTables   = []*change.Table{
		plainTable, policyTable, partTable, ledger, namesTable,
		stockTable, accountTable, parentTable, childTable,
	}
)

// basePolicies are those that look into no row.
func basePolicies() []conflict.Policy {
	prefer := conflict.Policy{Base: conflict.Prefer, Site: "s1"}
	out := []conflict.Policy{{}, {Base: conflict.FirstWriteWins}, prefer}
	for _, d := range []conflict.Deletes{conflict.DeleteWins, conflict.UpdateWins} {
		for _, p := range []conflict.Policy{{}, {Base: conflict.FirstWriteWins}, prefer} {
			p.Deletes = d
			out = append(out, p)
		}
	}
	return out
}

// application makes the random transactions of one site.
type application struct {
	site *site
	rng  *rand.Rand
	keys int
	made int // transactions begun
	open []*session
}

// begin opens a transaction and does one to five things in it. Where another holds a
// lock the application gives up that statement.
func (a *application) begin() *session {
	db := a.site.db
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.session()
	a.made++
	if a.rng.IntN(10) < 8 {
		key := fmt.Sprintf("%s-%d", a.site.name, a.made)
		_ = s.insert(ledger, []change.Value{change.TextValue(key), change.TextValue("x"), change.TextValue("y")})
	}
	n := 1 + a.rng.IntN(3)
	if a.rng.IntN(8) == 0 {
		n = 5
	}
	for range n {
		a.statement(s)
	}
	return s
}

func (a *application) statement(s *session) {
	t := policyTable
	switch r := a.rng.IntN(37); {
	case r >= 35:
		a.familyStatement(s)
		return
	case r >= 33:
		a.bankStatement(s)
		return
	case r >= 26:
		if stockTable.QualifiedName() != a.site.db.lacks {
			a.stockStatement(s)
		}
		return
	case r >= 20:
		if namesTable.QualifiedName() != a.site.db.lacks {
			a.nameStatement(s)
		}
		return
	case r < 8:
		t = plainTable
	case r < 10:
		t = partTable
	}
	if t.QualifiedName() == a.site.db.lacks {
		return
	}
	key := fmt.Sprint(a.rng.IntN(a.keys))
	id := rowID{t.QualifiedName(), key}
	now := s.get(id)
	a.made++
	value := func() change.Value { return change.TextValue(fmt.Sprintf("%s.%d", a.site.name, a.made)) }
	fresh := []change.Value{change.TextValue(key), value(), value()}
	dice := a.rng.IntN(100)
	switch {
	case t != partTable && dice < 2:
		_ = s.truncate(t)
	case now == nil && dice < 15:
		if s.insert(t, fresh) == nil {
			_ = s.remove(t, key)
		}
	case now == nil:
		_ = s.insert(t, fresh)
	case dice < 30:
		_ = s.remove(t, key)
	case dice < 40:
		if s.remove(t, key) == nil {
			_ = s.insert(t, fresh)
		}
	case t != partTable && dice < 50:
		to := append([]change.Value(nil), now...)
		to[0] = change.TextValue(fmt.Sprint(a.rng.IntN(a.keys)))
		if a.rng.IntN(2) == 0 {
			to[1] = value()
		}
		if to[0] != now[0] && s.get(keyOf(t, to)) == nil {
			_ = s.update(t, now, to)
		}
	default:
		to := append([]change.Value(nil), now...)
		to[1+a.rng.IntN(2)] = value()
		_ = s.update(t, now, to)
	}
}

// commit commits a transaction that wrote anything; async: a crash may take it back.
func (a *application) commit(s *session, at time.Time, async bool) (committed bool) {
	db := a.site.db
	db.mu.Lock()
	defer db.mu.Unlock()
	defer s.end()
	if s.alive() != nil || len(s.rows) == 0 {
		return false
	}
	s.install(record{local: true, rows: s.rows, at: at})
	if !async {
		db.flushed = len(db.log)
	}
	db.wake()
	return true
}

func (s *session) insert(t *change.Table, image []change.Value) error {
	id := keyOf(t, image)
	if err := s.lock(id); err != nil {
		return err
	}
	if s.get(id) != nil {
		return errTaken
	}
	if err := s.lockValues(t, id, nil, image); err != nil {
		return err
	}
	s.put(id, image)
	s.rows = append(s.rows, change.Row{Table: t, Op: change.Insert, New: image})
	return nil
}

func (s *session) remove(t *change.Table, key string) error {
	id := rowID{t.QualifiedName(), key}
	if err := s.lock(id); err != nil {
		return err
	}
	if err := s.lockValues(t, id, s.get(id), nil); err != nil {
		return err
	}
	old := make([]change.Value, len(t.Columns))
	old[0] = change.TextValue(key)
	if t.Full {
		old = s.get(id)
	}
	s.put(id, nil)
	s.rows = append(s.rows, change.Row{Table: t, Op: change.Delete, Old: old})
	return nil
}

func (s *session) update(t *change.Table, from, to []change.Value) error {
	id, moved := keyOf(t, from), keyOf(t, to)
	if err := s.lock(id); err != nil {
		return err
	}
	if moved != id {
		if err := s.lock(moved); err != nil {
			return err
		}
	}
	if err := s.lockValues(t, id, from, to); err != nil {
		return err
	}
	if moved != id {
		s.put(id, nil)
	}
	s.put(moved, to)
	r := change.Row{Table: t, Op: change.Update, New: append([]change.Value(nil), to...)}
	switch {
	case t.Full:
		r.Old = from
	case moved != id:
		r.Old = make([]change.Value, len(from))
		r.Old[0] = from[0]
	}
	if t == partTable {
		for i := range to {
			if i > 0 && to[i] == from[i] {
				r.New[i] = change.Value{}
			}
		}
	}
	s.rows = append(s.rows, r)
	return nil
}

func (s *session) truncate(t *change.Table) error {
	if err := s.lockTable(t.QualifiedName()); err != nil {
		return err
	}
	for _, k := range s.seen(t.QualifiedName()) {
		s.put(rowID{t.QualifiedName(), k}, nil)
	}
	s.rows = append(s.rows, change.Row{Table: t, Op: change.Truncate})
	return nil
}
