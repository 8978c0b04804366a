package simulation

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// In some worlds a table does not exist at one of the sites until later. Its changes
// are held back there and applied when it has come.

// lackTable takes a table from a site, now and then. It has random numbers of its own.
func (w *World) lackTable() {
	r := rand.New(rand.NewPCG(w.o.Seed, 0x6c61636b))
	if r.IntN(5) > 0 || w.o.Mutation != None {
		return
	}
	s := w.sites[r.IntN(len(w.sites))]
	t := []*change.Table{plainTable, policyTable, partTable, stockTable}[r.IntN(4)]
	if w.asksBase(t) {
		t = plainTable // a site says that it saw what it holds back: what both knew is open
	}
	s.db.lacks, s.lacked = t.QualifiedName(), true
	w.comes = r.IntN(w.o.Steps + w.o.Steps/2) // for some only when the world comes to rest
}

// createTables ends what lackTable began.
func (w *World) createTables() {
	for _, s := range w.sites {
		s.db.mu.Lock()
		if s.db.lacks != "" {
			w.trace(s, "table %s is created", s.db.lacks)
			s.db.lacks = ""
		}
		s.db.mu.Unlock()
	}
}

// exists refuses a table that is not there. Holds db.mu.
func (x *targetTx) exists(t *change.Table) error {
	if name := t.QualifiedName(); name == x.s.db.lacks {
		return &apply.SchemaError{Table: name, Detail: "does not exist; create it"}
	}
	return nil
}

// Holds implements apply.Holder.
func (t *target) Holds(context.Context) ([]apply.Hold, error) {
	if err := t.around("holds"); err != nil {
		return nil, err
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	all := slices.Collect(maps.Values(t.db.holds))
	slices.SortFunc(all, func(a, b apply.Hold) int { return strings.Compare(string(a.Origin)+a.Table, string(b.Origin)+b.Table) })
	return all, nil
}

// Hold implements apply.HoldTx.
func (x *targetTx) Hold(_ context.Context, h apply.Hold, moved bool) error {
	return x.changeHolds(func(holds map[heldTable]apply.Hold) {
		id := heldTable{h.Origin, h.Table}
		if old, ok := holds[id]; ok && !moved {
			h.From = min(h.From, old.From)
		}
		holds[id] = h
	})
}

// Unhold implements apply.HoldTx.
func (x *targetTx) Unhold(_ context.Context, origin change.Site, table string) error {
	return x.changeHolds(func(holds map[heldTable]apply.Hold) { delete(holds, heldTable{origin, table}) })
}

func (x *targetTx) changeHolds(f func(map[heldTable]apply.Hold)) error {
	leave, err := x.enter("hold")
	if err != nil {
		return err
	}
	defer leave()
	x.holds = append(x.holds, f)
	return nil
}

// commitHolds carries out what the transaction does to the holds. Holds db.mu.
func (x *targetTx) commitHolds() {
	if len(x.holds) == 0 {
		return
	}
	holds := map[heldTable]apply.Hold{}
	maps.Copy(holds, x.s.db.holds)
	for _, f := range x.holds {
		f(holds)
	}
	x.s.db.holds = holds
}
