package apply

import (
	"context"
	"fmt"
	"testing"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// unique is stock with a unique key on its first value.
var unique = (&change.Table{
	Schema: "shop", Name: "stock", Key: []int{0}, Columns: stock.Columns,
	Unique: []change.UniqueKey{{Name: "stock_a", Parts: []change.UniquePart{{Column: 1}}}},
}).Seal()

func of(t *change.Table, r change.Row) change.Row {
	r.Table = t
	return r
}

// meanwhile is a database in which an application commits right after the first
// transaction of the peer; its log is read when the next fence asks for it.
type meanwhile struct {
	*fakeDB
	row    change.Row
	window *conflict.Window
	made   bool
	read   bool
}

func (m *meanwhile) Begin(ctx context.Context, c Checkpoint) (Tx, error) {
	if m.point.Seq > 0 && !m.made {
		m.made = true
		m.rows["k"] = m.row.New
	}
	return m.fakeDB.Begin(ctx, c)
}

func (m *meanwhile) Fence(context.Context, change.Position, uint64) error {
	if m.made && !m.read {
		m.read = true
		m.window.AddLocal(&change.Transaction{Origin: "here", Epoch: 1, Seq: 1, HLC: 9 << 8, Rows: []change.Row{m.row}})
	}
	return nil
}

// A peer made a row and took it away in one transaction: nothing in the window names the
// row. An application here makes it before that is committed, and it comes into the
// window with the fence of the look that follows. The row loses by the rule, so it must
// go: else it keeps a value that the next transaction needs.
func TestARowThatALostInsertMadeKeepsNoValue(t *testing.T) {
	db := newFakeDB()
	db.write = func(w *Write) error {
		for key, row := range db.rows {
			if n := w.Row.New; n != nil && n[0].Text != key && n[1] == row[1] {
				return fmt.Errorf("%w: unique violation", ErrRejected)
			}
		}
		return nil
	}
	wins := conflict.Policy{Base: conflict.Prefer, Site: "there"}
	l := linkTo(t, db, nil, func(o *Options) {
		o.Policy = func(*change.Table) conflict.Policy { return wins }
		o.Window = conflict.NewWindow(conflict.WindowOptions{Self: "here", Peers: []change.Site{"there"}, Policy: o.Policy})
	})
	m := &meanwhile{fakeDB: db, row: of(unique, insert("k", "value", "here")), window: l.agent.o.Window}
	l.agent.target, l.agent.fence = m, m
	for _, tx := range []change.Transaction{
		there(1, of(unique, insert("k", "other", "there")), of(unique, remove("k"))),
		there(2, of(unique, insert("m", "value", "there"))),
	} {
		if err := l.Step(t.Context(), []change.Transaction{tx}); err != nil {
			t.Fatal(err)
		}
	}
	wantAll(t, "rows", db.text(), []string{"m value there"})
	wantAll(t, "parked", db.parkedText(), nil)
}
