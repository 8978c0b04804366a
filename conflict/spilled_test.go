package conflict

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

func lastWins(*change.Table) Policy { return Policy{} }

// twins are a window without bound and one that holds next to nothing in memory, which
// are told the same.
type twins struct {
	t           *rapid.T
	whole, tiny *Window
	clock       uint64
	seq         map[change.Site]uint64
	seen        map[change.Site]change.Seen       // by site: what it had seen
	writes      []*change.Transaction             // of peers, applied
	most        map[change.Site]uint64            // seq that was ever reached
	hlc         map[change.Site]map[uint64]uint64 // of every transaction
	frozen      bool
	beside      sync.WaitGroup // what writes to the store
}

var threeSites = []change.Site{"a", "b", "c"}

func newTwins(t *rapid.T) *twins {
	o := WindowOptions{Self: "a", Peers: []change.Site{"b", "c"}, Policy: lastWins}
	w := &twins{t: t, seq: map[change.Site]uint64{}, most: map[change.Site]uint64{}, hlc: map[change.Site]map[uint64]uint64{"a": {}, "b": {}, "c": {}}, seen: map[change.Site]change.Seen{"a": {}, "b": {}, "c": {}}}
	w.whole = NewWindow(o)
	o.Memory, o.Store = rapid.Int64Range(1, 2000).Draw(t, "memory"), &MemoryStore{}
	if rapid.Bool().Draw(t, "in the background") {
		o.Background = w.beside.Go
	}
	w.tiny = NewWindow(o)
	return w
}

func (w *twins) both(f func(*Window)) {
	f(w.whole)
	f(w.tiny)
}

// transaction draws the next transaction of a site.
func (w *twins) transaction(origin change.Site) *change.Transaction {
	w.clock++
	w.seq[origin]++
	w.most[origin] = max(w.most[origin], w.seq[origin])
	t := &change.Transaction{Origin: origin, Seq: w.seq[origin], HLC: w.clock, Seen: w.seen[origin].Clone()}
	w.hlc[origin][t.Seq] = t.HLC
	for range rapid.IntRange(1, 3).Draw(w.t, "rows") {
		id := change.TextValue(fmt.Sprint(rapid.IntRange(0, 5).Draw(w.t, "key")))
		image := []change.Value{id, {}}
		if rapid.Bool().Draw(w.t, "carried") {
			image[1] = change.TextValue(fmt.Sprint(w.clock))
		}
		r := change.Row{Table: testTable, Op: change.Op(rapid.IntRange(1, 3).Draw(w.t, "op"))}
		switch {
		case rapid.IntRange(0, 30).Draw(w.t, "truncate") == 0:
			r.Op = change.Truncate
		case r.Op == change.Delete:
			r.Old = image
		default:
			r.New = image
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func keyOfRow(r *change.Row) Key {
	k, _ := KeyOf(r.Table, r.Key(), nil)
	return k
}

func (w *twins) apply(t *change.Transaction) {
	tx := TxOf(t)
	for i := range t.Rows {
		r := &t.Rows[i]
		w.both(func(one *Window) {
			if r.Op == change.Truncate {
				one.TruncateApplied(r.Table, tx)
				return
			}
			one.Applied(r.Table, keyOfRow(r), []*Write{{Tx: tx, Op: r.Op, Image: r.New, Table: r.Table}}, false)
		})
	}
}

func (w *twins) step() {
	peer := rapid.SampledFrom([]change.Site{"b", "c"}).Draw(w.t, "peer")
	switch rapid.IntRange(0, 11).Draw(w.t, "step") {
	case 0, 1, 2:
		t := w.transaction("a")
		w.both(func(one *Window) { one.AddLocal(t) })
	case 3: // in parts
		t := w.transaction("a")
		t.More = true
		w.both(func(one *Window) { one.AddLocal(t) })
		last := *t
		last.Part, last.More = 1, false
		w.both(func(one *Window) { one.AddLocal(&last) })
	case 4, 5, 6:
		t := w.transaction(peer)
		w.apply(t)
		w.writes = append(w.writes, t)
		w.both(func(one *Window) { one.Settled(peer, t.Seq, t.Seen) })
	case 7: // the mark is read
		w.seen["a"][peer] = w.seq[peer]
		w.both(func(one *Window) { one.SelfSaw(peer, w.seq[peer]) })
	case 8: // a peer applies what another site wrote
		of := rapid.SampledFrom(threeSites).Draw(w.t, "of")
		if of != peer {
			w.seen[peer][of] = w.seq[of]
		}
	case 9:
		w.both(func(one *Window) { one.Compact() })
	case 10:
		w.both(func(one *Window) {
			if w.frozen {
				one.Thaw()
			} else {
				one.Freeze()
			}
		})
		w.frozen = !w.frozen
	case 11:
		w.lose(peer)
	}
}

// lose: a crash of the database took back what was applied after seq. Its mark was not read.
func (w *twins) lose(peer change.Site) {
	low := max(w.whole.Low(peer), w.seen["a"][peer])
	if low >= w.seq[peer] {
		return
	}
	seq := rapid.Uint64Range(low, w.seq[peer]-1).Draw(w.t, "back to")
	keys := w.whole.LatestAfter(peer, seq)
	if got := w.tiny.LatestAfter(peer, seq); !reflect.DeepEqual(got, keys) {
		w.t.Fatalf("after %d of %s: %v, want %v", seq, peer, got, keys)
	}
	var earlier []KeyWrite
	var kept []*change.Transaction
	for _, t := range w.writes {
		if t.Origin == peer && t.Seq > seq {
			continue
		}
		kept = append(kept, t)
		for i := range t.Rows {
			r := &t.Rows[i]
			if t.Origin == peer && t.Seq > w.whole.Low(peer) && r.Op != change.Truncate && keys[keyOfRow(r)] {
				earlier = append(earlier, KeyWrite{keyOfRow(r), &Write{Tx: TxOf(t), Op: r.Op, Image: r.New, Table: r.Table}})
			}
		}
	}
	w.both(func(one *Window) { one.Lost(peer, seq, earlier) })
	w.writes, w.seq[peer] = kept, seq
	for _, s := range threeSites {
		w.seen[s][peer] = min(w.seen[s][peer], seq)
	}
}

// compare asks both about every key.
func (w *twins) compare() {
	origin := rapid.SampledFrom([]change.Site{"b", "c"}).Draw(w.t, "arrives from")
	tx := &Tx{Origin: origin, Seq: w.seq[origin] + 1, Seen: w.seen[origin].Clone()}
	least := w.hlc[origin][w.seq[origin]] // it is after all that its site knew
	for o, seq := range tx.Seen {
		least = max(least, w.hlc[o][seq])
	}
	tx.HLC = rapid.Uint64Range(least+1, w.clock+2).Draw(w.t, "hlc")
	for i := range 6 {
		image := []change.Value{change.TextValue(fmt.Sprint(i)), {}}
		k, _ := KeyOf(testTable, image, nil)
		es := []*Write{{Tx: tx, Op: change.Op(rapid.IntRange(1, 3).Draw(w.t, "op")), Image: image, Table: testTable}}
		want, got := w.whole.Decide(testTable, k, es, image), w.tiny.Decide(testTable, k, es, image)
		if len(want.Met) > 0 && len(got.Met) > 0 {
			a, b := want.Met[0].Here, got.Met[0].Here
			if a.Op != b.Op || a.Tx.Version() != b.Tx.Version() || a.Tx.Seq != b.Tx.Seq {
				w.t.Fatalf("key %d met %+v, want %+v", i, b, a)
			}
			got.Met = want.Met
		}
		if !SamePairs(want.Pairs, got.Pairs) {
			w.t.Fatalf("key %d pairs %+v, want %+v", i, got.Pairs, want.Pairs)
		}
		got.Pairs = want.Pairs
		if !reflect.DeepEqual(want, got) {
			w.t.Fatalf("key %d: %+v, want %+v", i, got, want)
		}
		if a, b := w.whole.TruncateKeeps(testTable, k, tx), w.tiny.TruncateKeeps(testTable, k, tx); a.Known != b.Known || a.Keep != b.Keep {
			w.t.Fatalf("truncate of key %d: %+v, want %+v", i, b, a)
		}
	}
	for _, s := range threeSites {
		if w.whole.Low(s) != w.tiny.Low(s) {
			w.t.Fatalf("low of %s: %d, want %d", s, w.tiny.Low(s), w.whole.Low(s))
		}
	}
	if w.tiny.background != nil {
		return // what is on its way is counted when it has arrived
	}
	want, _ := w.whole.Size()
	if got, _ := w.tiny.Size(); got < want {
		w.t.Fatalf("%d keys, want %d at least", got, want)
	}
}

func TestASpilledWindowAnswersAsOneInMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTwins(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.step()
			w.compare()
		}
		if err := w.tiny.Err(); err != nil {
			t.Fatal(err)
		}
		// Everything is seen by everyone in the end, and nothing is left.
		if w.frozen {
			w.both(func(one *Window) { one.Thaw() })
		}
		w.seq = w.most // what was lost has come again
		for range 2 {
			for _, p := range []change.Site{"b", "c"} {
				for _, s := range threeSites {
					w.seen[p][s] = w.seq[s]
				}
				tx := &change.Transaction{Origin: p, Seq: w.seq[p] + 1, Seen: w.seen[p].Clone()}
				w.seq[p]++
				w.both(func(one *Window) {
					one.Settled(p, tx.Seq, tx.Seen)
					one.SelfSaw(p, tx.Seq)
				})
			}
		}
		w.beside.Wait()
		w.both(func(one *Window) { one.Compact() })
		w.beside.Wait()
		if keys, _ := w.tiny.Size(); keys != 0 {
			t.Fatalf("%d keys are left", keys)
		}
		if m := w.tiny.Memory(); m.SpilledBytes != 0 || m.SpilledKeys != 0 {
			t.Fatalf("left in the store: %+v", m)
		}
	})
}

func TestAWindowWhoseStoreFailsSaysSo(t *testing.T) {
	full := errors.New("no space left on device")
	var fault error
	w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: lastWins, Memory: 1, Store: &MemoryStore{Fault: func() error { return fault }}})
	add := func(seq uint64) {
		w.AddLocal(&change.Transaction{Origin: "a", Seq: seq, HLC: seq, Rows: []change.Row{{Table: testTable, Op: change.Insert, New: row("1")}}})
	}
	add(1)
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	fault = full
	add(2)
	fault = nil
	add(3)
	if err := w.Err(); !errors.Is(err, ErrStore) || !errors.Is(err, full) {
		t.Errorf("the window says %v", err)
	}
	if low := w.Low("a"); low != 0 {
		t.Errorf("the stream may be trimmed up to %d", low)
	}
}

func TestAFilterForgetsNothingAndIsSeldomWrong(t *testing.T) {
	const keys = 100_000
	f := newFilter(keys)
	key := func(i int) Key {
		k, _ := KeyOf(testTable, []change.Value{change.TextValue(fmt.Sprint(i)), {}}, nil)
		return k
	}
	for i := range keys {
		f.add(key(i))
	}
	wrong := 0
	for i := range keys {
		if !f.mayHold(key(i)) {
			t.Fatalf("key %d is forgotten", i)
		}
		if f.mayHold(key(keys + i)) {
			wrong++
		}
	}
	if wrong > keys/300 {
		t.Errorf("wrong about %d of %d keys", wrong, keys)
	}
}
