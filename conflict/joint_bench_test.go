package conflict_test

import (
	"fmt"
	"testing"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// BenchmarkJointDecision decides one arrival against keys that thousands of writes in
// flight tie together.
func BenchmarkJointDecision(b *testing.B) {
	table := accounts(true)
	w := conflict.NewWindow(conflict.WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: func(*change.Table) conflict.Policy { return conflict.Policy{} }})
	for i := range uint64(3000) {
		id, name := fmt.Sprint(i*7%40), fmt.Sprintf("name%d", i*13%30)
		w.AddLocal(&change.Transaction{Origin: "a", Seq: i + 1, HLC: 2*i + 1, Seen: change.Seen{}, Rows: []change.Row{
			{Table: table, Op: change.Insert, New: image(id, row{name, fmt.Sprint(i)})},
		}})
	}
	key, _ := conflict.KeyOf(table, image("5", row{}), nil)
	tx := &conflict.Tx{Origin: "b", Seq: 1, HLC: 3000}
	e := &conflict.Write{Tx: tx, Op: change.Insert, Image: image("5", row{"name7", "b"}), Table: table}
	for b.Loop() {
		w.DecideJoint(tx, []conflict.Arrival{{Table: table, Key: key, Write: e, Final: e.Image}}, nil)
	}
}
