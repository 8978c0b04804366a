package stream

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

// orders is the table most tests write to.
var orders = (&change.Table{
	Schema: "public", Name: "orders",
	Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.KindInt, Identity: true},
		{Name: "status", Type: "text", Kind: change.KindText},
		{Name: "note", Type: "text", Kind: change.KindText},
		{Name: "placed_at", Type: "timestamp with time zone", Kind: change.KindTimestampTZ},
		{Name: "total", Type: "numeric(12,2)", Kind: change.KindDecimal},
	},
	Key: []int{0}, Full: true,
}).Seal()

func order(id int, status string) []change.Value {
	return []change.Value{
		change.TextValue(fmt.Sprint(id)), change.TextValue(status), change.NullValue(),
		change.TextValue("2026-01-02 03:04:05.678901+00"), change.TextValue("129.90"),
	}
}

// tx returns transaction seq of site with one insert, the same at each call.
func tx(site change.Site, seq uint64) change.Transaction {
	return change.Transaction{
		Origin: site, Epoch: 1, Seq: seq, HLC: change.HLC(time.UnixMicro(int64(1_767_000_000_000_000 + seq*1000))),
		Seen:       change.Seen{"elsewhere": seq / 3},
		Position:   change.Position(fmt.Sprintf("0/%X", 0x1000+seq*64)),
		CommitTime: time.UnixMicro(int64(1_767_000_000_000_000 + seq*1000)).UTC(),
		Rows:       []change.Row{{Table: orders, Op: change.Insert, New: order(int(seq), "new")}},
	}
}

// part returns one part of large transaction seq.
func part(site change.Site, seq uint64, n int, more bool) change.Transaction {
	t := tx(site, seq)
	t.Part, t.More = n, more
	if more {
		t.Position = tx(site, seq-1).Position
	}
	return t
}

// frame wraps transactions of one site and epoch.
func frame(txs ...change.Transaction) *change.Frame {
	last := txs[len(txs)-1]
	return &change.Frame{Cluster: "shop", Origin: last.Origin, Epoch: last.Epoch, Clock: last.HLC, Transactions: txs}
}

// run is a frame of transactions first to last.
func run(site change.Site, first, last uint64) *change.Frame {
	var txs []change.Transaction
	for seq := first; seq <= last; seq++ {
		txs = append(txs, tx(site, seq))
	}
	return frame(txs...)
}

// clockOnly is a frame that carries only the fact that the clock was raised.
func clockOnly(site change.Site, clock uint64) *change.Frame {
	return &change.Frame{Cluster: "shop", Origin: site, Epoch: 1, Clock: clock}
}

func genTable(t *rapid.T) *change.Table {
	n := rapid.IntRange(1, 9).Draw(t, "columns")
	table := &change.Table{
		Schema: rapid.StringMatching(`[a-z"]{1,8}`).Draw(t, "schema"), Name: rapid.StringN(1, 12, -1).Draw(t, "table"),
		Full: rapid.Bool().Draw(t, "full"),
	}
	for i := range n {
		table.Columns = append(table.Columns, change.Column{
			Name: fmt.Sprintf("c%d", i), Type: rapid.SampledFrom([]string{"text", "int", "numeric(3,1)"}).Draw(t, "type"),
			Kind: change.Kind(rapid.IntRange(0, 18).Draw(t, "kind")), Identity: rapid.Bool().Draw(t, "identity"),
		})
		if i == 0 || rapid.IntRange(0, 3).Draw(t, "in key") == 0 {
			table.Key = append(table.Key, i)
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "unique keys") {
		column := func(what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		u := change.UniqueKey{Name: fmt.Sprintf("u%d", i), NullsEqual: rapid.Bool().Draw(t, "nulls equal"), Deferrable: rapid.Bool().Draw(t, "deferrable")}
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			u.Parts = append(u.Parts, change.UniquePart{Column: column("part"), Case: change.Case(rapid.IntRange(0, 2).Draw(t, "case"))})
		}
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			u.Where = append(u.Where, change.Condition{
				Column: column("condition"), Test: change.Test(rapid.IntRange(0, 3).Draw(t, "test")),
				Values: rapid.SliceOfN(rapid.StringMatching(`[a-z]{0,3}`), 1, 3).Draw(t, "values"),
			})
		}
		table.Unique = append(table.Unique, u)
	}
	return table.Seal()
}

func genImage(t *rapid.T, table *change.Table) []change.Value {
	image := make([]change.Value, len(table.Columns))
	for i := range image {
		switch rapid.IntRange(0, 4).Draw(t, "state") {
		case 0:
		case 1:
			image[i] = change.NullValue()
		case 2:
			image[i] = change.TextValue(strings.Repeat("wide ", rapid.IntRange(0, 100).Draw(t, "width")))
		default:
			image[i] = change.TextValue(string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes")))
		}
	}
	return image
}

func genRow(t *rapid.T, tables []*change.Table) change.Row {
	row := change.Row{Table: rapid.SampledFrom(tables).Draw(t, "row's table"), Op: change.Op(rapid.IntRange(1, 4).Draw(t, "op"))}
	if row.Op == change.Insert || row.Op == change.Update {
		row.New = genImage(t, row.Table)
	}
	switch {
	case row.Op == change.Delete:
		row.Old = genImage(t, row.Table)
	case row.Op == change.Update && rapid.Bool().Draw(t, "has old"):
		row.Old = genImage(t, row.Table)
		if rapid.Bool().Draw(t, "one column changed") {
			copy(row.Old[1:], row.New[1:])
		}
	}
	return row
}

// genFrame draws a frame whose first seq is from first on, and where the stream
// stands before it.
func genFrame(t *rapid.T) (*change.Frame, progress) {
	f := &change.Frame{
		Cluster: "shop", Origin: change.Site(rapid.StringMatching(`[a-z][a-z0-9_-]{0,9}`).Draw(t, "origin")),
		Epoch: rapid.Uint32Range(1, 1<<32-1).Draw(t, "epoch"), Clock: rapid.Uint64().Draw(t, "clock"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "rules") {
		f.Rules = append(f.Rules, change.Rule{
			Match: rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,3}\.\*`), 1, 3).Draw(t, "match"),
			Hash:  rapid.Uint64().Draw(t, "hash"), Text: rapid.StringMatching(`[a-z_]{0,9}`).Draw(t, "text"),
		})
	}
	seq := rapid.Uint64Range(1, 1<<60).Draw(t, "first")
	before := progress{last: seq - 1, tail: change.Tail{
		Epoch: f.Epoch, Seq: seq - 1, Position: "0/10", Seen: change.Seen{"pune": 7},
	}}
	var tables []*change.Table
	for range rapid.IntRange(1, 3).Draw(t, "tables") {
		tables = append(tables, genTable(t))
	}
	micros := rapid.Int64Range(-1<<50, 1<<52)
	n := rapid.IntRange(0, 6).Draw(t, "transactions")
	nextPart := 0
	for i := range n {
		x := change.Transaction{
			Origin: f.Origin, Epoch: f.Epoch, Seq: seq, HLC: rapid.Uint64().Draw(t, "hlc"),
			Position:   change.Position(rapid.StringMatching(`[0-9A-F]{1,8}/[0-9A-F]{1,8}`).Draw(t, "position")),
			CommitTime: time.UnixMicro(micros.Draw(t, "commit")).UTC(),
			Part:       nextPart,
			XID:        rapid.SampledFrom([]uint64{0, 0, 1, 745, 1<<32 - 1, 1<<64 - 1}).Draw(t, "xid"),
		}
		if rapid.Bool().Draw(t, "has seen") {
			x.Seen = rapid.MapOfN(rapid.SampledFrom([]change.Site{"a", "b", "c"}), rapid.Uint64(), 1, 3).Draw(t, "seen")
		}
		if rapid.IntRange(0, 3).Draw(t, "is heartbeat") == 0 {
			x.Heartbeat = time.UnixMicro(micros.Draw(t, "heartbeat")).UTC()
		}
		if i == 0 && rapid.IntRange(0, 3).Draw(t, "begins within a large one") == 0 {
			x.Part = rapid.IntRange(1, 1000).Draw(t, "part")
			before.last, before.part = seq, x.Part
		}
		x.More = rapid.IntRange(0, 3).Draw(t, "more") == 0
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			x.Rows = append(x.Rows, genRow(t, tables))
		}
		if x.More {
			nextPart = x.Part + 1
		} else {
			nextPart = 0
			seq++
		}
		f.Transactions = append(f.Transactions, x)
	}
	return f, before
}
