package apply

import (
	"fmt"
	"slices"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

func all(*change.Table) bool { return true }

// The changes of a key within a group become one: its net effect, with every value
// that was logged.
func TestChangesOfAKeyFoldToTheirNetEffect(t *testing.T) {
	for _, tt := range []struct {
		name string
		txs  []change.Transaction
		want string // operation and image; "nothing" when nothing is left
	}{
		{"one insert", []change.Transaction{there(1, insert("k", "1", "1"))}, "insert k 1 1"},
		{"insert and update", []change.Transaction{there(1, insert("k", "1", "1")), there(2, update("k", "2", "~"))}, "insert k 2 1"},
		{"two updates of different columns", []change.Transaction{there(1, update("k", "2", "~")), there(2, update("k", "~", "3"))}, "update k 2 3"},
		{"what nobody logged stays so", []change.Transaction{there(1, update("k", "2", "~")), there(2, update("k", "3", "~"))}, "update k 3 ~"},
		{"insert and delete", []change.Transaction{there(1, insert("k", "1", "1")), there(2, remove("k"))}, "nothing"},
		{"update and delete", []change.Transaction{there(1, update("k", "1", "1")), there(2, remove("k"))}, "delete"},
		{"gone and there again", []change.Transaction{there(1, remove("k")), there(2, insert("k", "4", "4"))}, "update k 4 4"},
		{"in one transaction", []change.Transaction{there(1, insert("k", "1", "1"), update("k", "5", "~"), remove("k"), insert("k", "6", "6"))}, "insert k 6 6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGroup(tt.txs, all)
			if len(g.keys) != 1 {
				t.Fatalf("%d keys", len(g.keys))
			}
			k := g.keys[0]
			got := "nothing"
			if op := k.op(); op != 0 {
				got = op.String()
			}
			if k.final != nil {
				for _, v := range k.final {
					text := v.Text
					if v.State == change.Unchanged {
						text = "~"
					}
					got += " " + text
				}
			}
			if got != tt.want {
				t.Errorf("folded to %s, want %s", got, tt.want)
			}
			rows := 0
			for _, x := range tt.txs {
				rows += len(x.Rows)
			}
			if k.rows != rows || g.rows != rows || len(k.es) != len(tt.txs) {
				t.Errorf("%d row changes of %d, %d writes of %d transactions", k.rows, rows, len(k.es), len(tt.txs))
			}
		})
	}
}

// Keys are written in one order by every link, so that two of them never wait for each
// other's rows in a circle.
func TestTheKeysOfAGroupAreInOrder(t *testing.T) {
	var rows []change.Row
	for i := range 50 {
		rows = append(rows, insert(fmt.Sprint(i), "1", "1"))
	}
	g := newGroup([]change.Transaction{there(1, rows...)}, all)
	if !slices.IsSortedFunc(g.keys, func(a, b *keyWork) int {
		if a.key.Less(b.key) {
			return -1
		}
		return 1
	}) {
		t.Error("the keys are not in order")
	}
}

// A moved key is two keys and one row change; what a truncate of the same transaction
// undoes is none; what the rules leave out is counted apart.
func TestWhatAGroupCounts(t *testing.T) {
	truncate := change.Row{Table: stock, Op: change.Truncate}
	none := func(*change.Table) bool { return false }
	for _, tt := range []struct {
		name          string
		tx            change.Transaction
		accepts       func(*change.Table) bool
		keys, rows    int
		exact         bool
		skipped, sums int
	}{
		{name: "plain", tx: there(1, insert("a", "1", "1"), insert("b", "1", "1")), accepts: all, keys: 2, rows: 2, sums: 2},
		{name: "a moved key", tx: there(1, move("a", "b", "1", "1")), accepts: all, keys: 2, rows: 1, exact: true, sums: 1},
		{name: "undone by a truncate", tx: there(1, insert("a", "1", "1"), truncate, insert("b", "1", "1")), accepts: all, keys: 1, rows: 3, exact: true, sums: 1},
		{name: "not replicated here", tx: there(1, insert("a", "1", "1"), insert("b", "1", "1")), accepts: none, rows: 2, skipped: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGroup([]change.Transaction{tt.tx}, tt.accepts)
			sums := 0
			for _, k := range g.keys {
				sums += k.rows
			}
			if len(g.keys) != tt.keys || g.rows != tt.rows || g.exact != tt.exact || g.skipped != tt.skipped || sums != tt.sums {
				t.Errorf("%d keys, %d rows, exact %v, %d left out, %d folded", len(g.keys), g.rows, g.exact, g.skipped, sums)
			}
		})
	}
}

// Transactions gather into a group up to its limit; one that must keep its own order
// stays alone.
func TestTransactionsGatherUpToTheLimit(t *testing.T) {
	var queue []*work
	for seq, rows := range [][]change.Row{
		{insert("a", "1", "1")}, {insert("b", "1", "1"), insert("c", "1", "1")}, {insert("d", "1", "1")},
		{move("a", "e", "1", "1")}, {insert("f", "1", "1")}, {insert("g", "1", "1")},
	} {
		queue = gather(queue, there(uint64(seq+1), rows...), 3)
	}
	var got []int
	for _, w := range queue {
		got = append(got, len(w.txs))
	}
	if want := []int{2, 1, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("gathered %v transactions, want %v", got, want)
	}
}

// A value of a unique key that a group only passes through is held by no row when the
// group is committed: nothing would keep an application from taking it unnoticed.
func TestAGroupThatPassesThroughAValueIsSettledOneByOne(t *testing.T) {
	names := (&change.Table{
		Schema: "shop", Name: "names", Key: []int{0}, Columns: stock.Columns,
		Unique: []change.UniqueKey{{Name: "names_a", Parts: []change.UniquePart{{Column: 1}}}},
	}).Seal()
	of := func(r change.Row) change.Row { r.Table = names; return r }
	for _, tt := range []struct {
		name string
		txs  []change.Transaction
		want bool
	}{
		{"a value that stays", []change.Transaction{there(1, of(insert("k", "rita", "1"))), there(2, of(update("k", "rita", "2")))}, false},
		{"a value taken at last", []change.Transaction{there(1, of(update("k", "rita", "1"))), there(2, of(insert("l", "bob", "2")))}, false},
		{"taken and given up by an update", []change.Transaction{there(1, of(insert("k", "rita", "1"))), there(2, of(update("k", "bob", "1")))}, true},
		{"taken and given up by a delete", []change.Transaction{there(1, of(insert("k", "rita", "1"))), there(2, of(remove("k")))}, true},
		{"by one transaction", []change.Transaction{there(1, of(insert("k", "rita", "1")), of(update("k", "bob", "1")))}, false},
	} {
		if got := newGroup(tt.txs, all).passing; got != tt.want {
			t.Errorf("%s: passing is %v", tt.name, got)
		}
	}
}
