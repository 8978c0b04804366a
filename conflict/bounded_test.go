package conflict

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

// fill adds n local transactions of one row each, of a key each.
func fill(w *Window, from, n int) {
	for i := from; i < from+n; i++ {
		image := []change.Value{change.TextValue(fmt.Sprint(i)), change.TextValue("1")}
		w.AddLocal(&change.Transaction{
			Origin: "a", Seq: uint64(i + 1), HLC: uint64(i+1) << 8, Seen: change.Seen{"b": 7},
			Rows: []change.Row{{Table: testTable, Op: change.Update, New: image}},
		})
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTheMemoryOfTheWindowIsWhatItSays(t *testing.T) {
	for _, keys := range []int{100_000, 300_000} {
		before := heap()
		w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: lastWins})
		fill(w, 0, keys)
		took, says := heap()-before, w.Memory().Bytes
		if took > says*5/4 || took < says/2 {
			t.Errorf("%d keys take %d bytes a key, it says %d", keys, took/int64(keys), says/int64(keys))
		}
		runtime.KeepAlive(w)
	}
}

func TestTheWindowStaysWithinItsMemory(t *testing.T) {
	const bound = 4 << 20
	w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: lastWins, Memory: bound, Store: &MemoryStore{}})
	for i := range 20 {
		fill(w, i*10_000, 10_000)
		if m := w.Memory(); m.Bytes > bound {
			t.Fatalf("%d bytes after %d keys", m.Bytes, (i+1)*10_000)
		}
	}
	keys, writes := w.Size()
	if m := w.Memory(); keys != 200_000 || writes != keys || m.SpilledKeys < 150_000 || m.SpilledBytes == 0 {
		t.Errorf("%d keys, %d writes, %+v", keys, writes, m)
	}
	w.Settled("b", 1, change.Seen{"a": 200_000})
	w.SelfSaw("b", 1)
	w.Settled("b", 2, change.Seen{"a": 200_000})
	if keys, _ := w.Size(); keys != 0 || w.Memory().SpilledBytes != 0 {
		t.Errorf("%d keys are left, %+v", keys, w.Memory())
	}
}

func TestLargeTransactionsStayWithinTheMemoryToo(t *testing.T) {
	const bound, parts, rows = 1 << 20, 50, 10_000
	w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: lastWins, Memory: bound, Store: &MemoryStore{}})
	image := func(i int) []change.Value {
		return []change.Value{change.TextValue(fmt.Sprint(i)), change.TextValue("1")}
	}
	for part := range parts {
		tx := &change.Transaction{Origin: "a", Seq: 1, HLC: 1 << 8, Part: part, More: part < parts-1}
		for i := range rows {
			tx.Rows = append(tx.Rows, change.Row{Table: testTable, Op: change.Insert, New: image(part*rows + i)})
		}
		w.AddLocal(tx)
	}
	m := w.Memory()
	if keys, _ := w.Size(); keys != parts*rows || m.Bytes > bound*3/2 || m.SpilledKeys < keys/2 {
		t.Fatalf("%d keys, %+v", keys, m)
	}
	met := func(i int) bool {
		k, _ := KeyOf(testTable, image(i), nil)
		d := w.Decide(testTable, k, []*Write{{Tx: &Tx{Origin: "b", Seq: 1, HLC: 1}, Op: change.Update, Image: image(i), Table: testTable}}, image(i))
		return len(d.Met) == 1 && d.Met[0].Here.Op == change.Insert && d.Keep
	}
	for _, i := range []int{0, 12_345, parts*rows - 1} {
		if !met(i) {
			t.Errorf("key %d is not in flight", i)
		}
	}
	if met(parts * rows) {
		t.Error("a key is in flight that nobody wrote")
	}
	w.Settled("b", 1, change.Seen{"a": 1})
	w.SelfSaw("b", 1)
	w.Compact()
	if keys, _ := w.Size(); keys != 0 || w.Memory().SpilledBytes != 0 || w.Err() != nil {
		t.Errorf("%d keys are left, %+v, %v", keys, w.Memory(), w.Err())
	}
}

// What everyone does all the time: a local write comes, a write of the peer is decided.
func BenchmarkAddAndDecide(b *testing.B) {
	for _, c := range []struct {
		name  string
		store Store
	}{{"unbounded", nil}, {"within its bound", &MemoryStore{}}} {
		b.Run(c.name, func(b *testing.B) {
			w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: lastWins, Memory: 128 << 20, Store: c.store})
			seq := uint64(0)
			var buf []byte
			for b.Loop() {
				seq++
				image := []change.Value{change.TextValue(fmt.Sprint(seq % 100_000)), change.TextValue("1")}
				w.AddLocal(&change.Transaction{
					Origin: "a", Seq: seq, HLC: seq << 8, Seen: change.Seen{"b": seq / 100},
					Rows: []change.Row{{Table: testTable, Op: change.Update, New: image}},
				})
				var k Key
				k, buf = KeyOf(testTable, image, buf)
				e := &Write{Tx: &Tx{Origin: "b", Seq: seq, HLC: seq<<8 + 1, Seen: change.Seen{"a": seq}}, Op: change.Update, Image: image, Table: testTable}
				w.Decide(testTable, k, []*Write{e}, image)
				if seq%100 == 0 {
					w.SelfSaw("b", seq/100)
					w.Settled("b", seq/100, change.Seen{"a": seq - min(seq, 10_000)})
				}
			}
		})
	}
}

// The fold of a truncate that a list ends with was lost with the list when its front was
// folded: its base went too.
func TestTheBaseStaysWhileATruncateStandsBehindIt(t *testing.T) {
	p, err := ParsePolicy("update_wins+first_write_wins")
	if err != nil {
		t.Fatal(err)
	}
	for _, long := range []int{1, 64} {
		w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: func(*change.Table) Policy { return p }, LongList: long})
		k, _ := KeyOf(testTable, row(""), nil)
		first := write("b", 1, 10, change.Insert, "first", nil)
		w.AddLocal(&change.Transaction{Origin: "a", Seq: 1, HLC: 20, Rows: []change.Row{{Table: testTable, Op: change.Truncate}}})
		w.Applied(testTable, k, []*Write{first}, true)
		w.Settled("b", 1, nil)
		w.SelfSaw("b", 1)
		w.Compact()
		later := write("b", 2, 30, change.Update, "later", nil)
		if d := w.Decide(testTable, k, []*Write{later}, later.Image); d.State == nil || d.State[1].Text != "first" {
			t.Errorf("lists are long from %d on: the row becomes %v", long, d.State)
		}
	}
}
