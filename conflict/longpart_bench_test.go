package conflict

import (
	"fmt"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

// BenchmarkAfterAPartition decides a group of a peer's writes on a counter that both
// sites raised all the while they were apart.
func BenchmarkAfterAPartition(b *testing.B) {
	table := &change.Table{ID: 7, Schema: "public", Name: "inventory", Key: []int{0}, Full: true, Columns: []change.Column{
		{Name: "id", Kind: change.KindInt, Type: "integer"}, {Name: "on_hand", Kind: change.KindInt, Type: "bigint"},
		{Name: "price", Kind: change.KindDecimal, Type: "numeric(14,4)"}, {Name: "note", Kind: change.KindText, Type: "text"},
	}}
	image := func(n int, note string) []change.Value {
		return []change.Value{change.TextValue("1"), change.TextValue(fmt.Sprint(1000000 + n)), change.TextValue(fmt.Sprintf("10.%04d", n%10000)), change.TextValue(note)}
	}
	p := Policy{Columns: &ColumnRules{ByName: map[string]ColumnRule{"on_hand": {Kind: ColumnSum}, "price": {Kind: ColumnSum}}, Other: ColumnRule{Kind: ColumnLast}}}
	const writes, group = 10_000, 200
	w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: func(*change.Table) Policy { return p }})
	var es []*Write
	k, _ := KeyOf(table, image(0, ""), nil)
	for i := range uint64(writes) {
		w.AddLocal(&change.Transaction{Origin: "a", Seq: i + 1, HLC: 2 * i, Rows: []change.Row{{Table: table, Op: change.Update, Old: image(int(i), "a"), New: image(int(i)+1, "a")}}})
		es = append(es, &Write{Tx: &Tx{Origin: "b", Seq: i + 1, HLC: 2*i + 1}, Op: change.Update, Table: table, Old: image(int(3*i), "b"), Image: image(int(3*i)+3, "b")})
	}
	for n := 0; n < writes/2; n += group {
		w.Applied(table, k, es[n:n+group], true)
	}
	es = es[writes/2:][:group]
	for b.Loop() {
		if d := w.Decide(table, k, es, es[group-1].Image); d.State == nil {
			b.Fatalf("%+v", d)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(1.5*writes), "ns/write")
}
