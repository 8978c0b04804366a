package simulation

import (
	"fmt"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Tables whose rows belong together, looked at after every commit at every site:
//
//   - accounts, between which applications transfer: the total is what it was;
//   - parents, and children that name one: no child stands without its parent.
var (
	accountTable = (&change.Table{
		Schema: "s", Name: "account", Key: []int{0}, Full: true,
		Columns: []change.Column{
			{Name: "id", Type: "text", Kind: change.KindText},
			{Name: "balance", Type: "bigint", Kind: change.KindInt},
		},
	}).Seal()
	parentTable = table("parent", false)
	childTable  = table("child", false) // a is the parent's key

	accountPolicy = conflict.Policy{Columns: &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{"balance": {Kind: conflict.ColumnSum}}}}
)

const (
	accounts = 3
	opening  = 100 // in each account
)

func accountID(i int) rowID { return rowID{accountTable.QualifiedName(), fmt.Sprint(i)} }

// bankStatement opens the accounts, at the first site, or transfers between two.
func (a *application) bankStatement(s *session) {
	if s.get(accountID(0)) == nil {
		if a.site != a.site.w.sites[0] {
			return
		}
		for i := range accounts {
			_ = s.insert(accountTable, []change.Value{change.TextValue(fmt.Sprint(i)), change.TextValue(fmt.Sprint(opening))})
		}
		return
	}
	from, amount := a.rng.IntN(accounts), int64(1+a.rng.IntN(20))
	to := (from + 1 + a.rng.IntN(accounts-1)) % accounts
	if s.lock(accountID(from)) != nil || s.lock(accountID(to)) != nil {
		return
	}
	_ = a.book(s, from, -amount)
	_ = a.book(s, to, amount)
}

func (a *application) book(s *session, account int, amount int64) error {
	now := s.get(accountID(account))
	to := slices.Clone(now)
	to[1] = change.TextValue(fmt.Sprint(whole(now[1]) + amount))
	return s.update(accountTable, now, to)
}

// familyStatement makes a parent, or makes, changes or removes a child.
func (a *application) familyStatement(s *session) {
	a.made++
	name := change.TextValue(fmt.Sprintf("%s.%d", a.site.name, a.made))
	parents, children := s.seen(parentTable.QualifiedName()), s.seen(childTable.QualifiedName())
	dice := a.rng.IntN(10)
	switch {
	case len(parents) == 0 || dice < 3:
		_ = s.insert(parentTable, []change.Value{name, name, name})
	case len(children) == 0 || dice < 6:
		_ = s.insert(childTable, []change.Value{name, change.TextValue(parents[a.rng.IntN(len(parents))]), name})
	case dice < 7:
		_ = s.remove(childTable, children[a.rng.IntN(len(children))])
	default:
		now := s.get(rowID{childTable.QualifiedName(), children[a.rng.IntN(len(children))]})
		to := slices.Clone(now)
		if to[2] = name; dice < 8 {
			to[1] = change.TextValue(parents[a.rng.IntN(len(parents))])
		}
		_ = s.update(childTable, now, to)
	}
}

// watch looks at the rows that belong together among those just written. Holds db.mu.
func (db *Database) watch(written []rowID) {
	counted := false
	for _, id := range written {
		switch id.table {
		case accountTable.QualifiedName():
			if counted {
				continue
			}
			counted = true
			if total, there := db.total(); there > 0 && (there != accounts || total != accounts*opening) {
				db.uneven = append(db.uneven, fmt.Sprintf("%d accounts with a total of %d after record %d", there, total, len(db.log)))
			}
		case childTable.QualifiedName():
			if row := db.rows[id]; row != nil && db.rows[rowID{parentTable.QualifiedName(), row[1].Text}] == nil {
				db.uneven = append(db.uneven, fmt.Sprintf("child %s has no parent %s after record %d", id.key, row[1].Text, len(db.log)))
			}
		}
	}
}

func (db *Database) total() (total int64, there int) {
	for i := range accounts {
		if row := db.rows[accountID(i)]; row != nil {
			total, there = total+whole(row[1]), there+1
		}
	}
	return total, there
}

// judgeTotals: whoever looked at a site saw all accounts or none, with the total that
// they were opened with, and in the end each holds what all transfers make of it.
func (w *World) judgeTotals(h *history) {
	for _, s := range w.sites {
		for _, u := range s.db.uneven {
			if !w.causal {
				break // a transfer may come before the accounts are opened
			}
			w.fail(Totals, "%s: %s", s.name, u)
		}
	}
	want := map[rowID]int64{}
	for _, t := range h.txs {
		for i := range t.rows {
			if r := &t.rows[i]; r.Table == accountTable {
				id := keyOf(r.Table, r.New)
				want[id] += whole(r.New[1])
				if r.Old != nil {
					want[id] -= whole(r.Old[1])
				}
			}
		}
	}
	for i := range accounts {
		id := accountID(i)
		for _, s := range w.sites {
			if row := s.db.rows[id]; whole(balanceOf(row)) != want[id] {
				w.fail(Totals, "%s: account %s holds %s, all transfers make %d", s.name, id.key, imageText(row), want[id])
			}
		}
	}
}

func balanceOf(row []change.Value) change.Value {
	if row == nil {
		return change.NullValue()
	}
	return row[1]
}
