package conflict

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

// plainCut is Cut as its contract says it.
func plainCut(writes []*Write, everyoneSaw func(*Write) bool) int {
	n := 0
	for j := 1; j <= len(writes) && everyoneSaw(writes[j-1]); j++ {
		whole := true
		for _, later := range writes[j:] {
			for _, w := range writes[:j] {
				whole = whole && later.Tx.Saw(w.Tx)
			}
		}
		if whole {
			n = j
		}
	}
	return n
}

// history draws writes of one key by three sites, in version order.
func history(t *rapid.T) []*Write {
	sites := []change.Site{"a", "b", "c"}
	seqs := map[change.Site]uint64{}
	var writes []*Write
	for i := range rapid.IntRange(0, 12).Draw(t, "writes") {
		o := rapid.SampledFrom(sites).Draw(t, "origin")
		seqs[o] += rapid.Uint64Range(1, 2).Draw(t, "step")
		seen := change.Seen{}
		for _, s := range sites {
			if s != o {
				seen[s] = rapid.Uint64Range(0, seqs[s]).Draw(t, "seen")
			}
		}
		writes = append(writes, write(o, seqs[o], uint64(i+1), change.Update, "", seen))
	}
	return writes
}

func TestCutIsTheLongestPrefixThatAllLaterWritesSaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		writes := history(t)
		settled := rapid.IntRange(0, len(writes)).Draw(t, "settled")
		everyoneSaw := func(w *Write) bool { return w.Tx.HLC <= uint64(settled) }
		if got, want := Cut(writes, everyoneSaw), plainCut(writes, everyoneSaw); got != want {
			t.Fatalf("cut %d, want %d", got, want)
		}
	})
}

func TestWritesPlacedTogetherStandWhereEachWouldByItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var here, es []*Write
		origin := rapid.SampledFrom([]change.Site{"a", "b", "c"}).Draw(t, "of")
		for _, w := range history(t) {
			if w.Tx.Origin == origin {
				es = append(es, w)
			}
			if w.Tx.Origin != origin || rapid.Bool().Draw(t, "there") {
				here = append(here, w)
			}
		}
		if len(es) == 0 {
			return
		}
		want, at := append([]*Write(nil), here...), -1
		for _, e := range es {
			want, at = place(want, e)
		}
		got, gotAt := placeAll(append([]*Write(nil), here...), es)
		if len(got) != len(want) || at != gotAt {
			t.Fatalf("%d writes and index %d, want %d and %d", len(got), gotAt, len(want), at)
		}
		for i := range got {
			if got[i].Tx != want[i].Tx || got[i].Op != want[i].Op {
				t.Fatalf("write %d is of %v, want of %v", i, got[i].Tx, want[i].Tx)
			}
		}
	})
}

func TestTheWriteMetIsTheLastThatDidNotKnow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := write("b", rapid.Uint64Range(1, 9).Draw(t, "seq"), 1, change.Update, "", change.Seen{"a": rapid.Uint64Range(0, 9).Draw(t, "knew")})
		var es []*Write
		saw := uint64(0)
		for seq := range rapid.Uint64Range(1, 9).Draw(t, "writes") {
			saw += rapid.Uint64Range(0, 3).Draw(t, "more")
			es = append(es, write("a", seq+1, seq+2, change.Update, "", change.Seen{"b": saw}))
		}
		var want *Write
		for _, e := range es {
			if !e.Tx.Saw(h.Tx) && !h.Tx.Saw(e.Tx) {
				want = e
			}
		}
		if got := notKnown(es, h); got != want {
			t.Fatalf("met %+v, want %+v", got, want)
		}
	})
}

// A key written by both sites all the time: what is looked at grows with the number of
// writes, not with its square, however many of them are in flight.
func TestAHotKeyCostsTheSameForEachWrite(t *testing.T) {
	for _, writes := range []int{2_000, 20_000} {
		steps, most := hotKey(writes, 500)
		if steps > 40*writes || most > 6*500 {
			t.Errorf("%d writes: %d were looked at, %d were held at once", writes, steps, most)
		}
	}
}

// While the peer is away all writes of a key stay; when it is back they go.
func TestALongListIsNotLookedAtInVain(t *testing.T) {
	const writes = 200_000
	steps := 0
	w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: sumPolicy, Rules: counted(&steps)})
	for seq := uint64(1); seq <= writes; seq++ {
		w.AddLocal(&change.Transaction{Origin: "a", Seq: seq, HLC: seq, Rows: []change.Row{{Table: testTable, Op: change.Update, New: row("1")}}})
	}
	if _, n := w.Size(); n != writes || steps > 0 {
		t.Fatalf("%d writes in flight, %d were looked at", n, steps)
	}
	for i := uint64(1); i <= 1000; i++ {
		w.Settled("b", i, change.Seen{"a": i * writes / 1000})
		w.SelfSaw("b", i)
	}
	for i := uint64(1001); i <= 1100; i++ { // heartbeats
		w.Settled("b", i, change.Seen{"a": writes})
		w.SelfSaw("b", i)
	}
	if _, n := w.Size(); n > 0 || steps > 100*writes {
		t.Errorf("%d writes are left, %d were looked at", n, steps)
	}
}

func BenchmarkHotKey(b *testing.B) {
	for b.Loop() {
		hotKey(200_000, 2000)
	}
}

func sumPolicy(*change.Table) Policy {
	return Policy{Columns: &ColumnRules{ByName: map[string]ColumnRule{}, Other: ColumnRule{Kind: ColumnLast}}}
}

// counted are rules that count the writes they look at.
func counted(steps *int) Rules {
	r := DefaultRules()
	fold, cut := r.Fold, r.Cut
	r.Fold = func(p Policy, base State, writes []*Write, arrived int) State {
		*steps += len(writes)
		return fold(p, base, writes, arrived)
	}
	r.Cut = func(writes []*Write, everyoneSaw func(*Write) bool) int {
		*steps += len(writes)
		return cut(writes, everyoneSaw)
	}
	return r
}

// hotKey writes one key at sites a and b in turn, with lag writes of each in flight, and
// applies b's at a in groups: there is no moment at which all that is in flight has seen
// all that was before. It returns how many writes the rules looked at, and the most that
// the window held.
func hotKey(writes, lag int) (steps, most int) {
	w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: sumPolicy, Rules: counted(&steps)})
	k, _ := KeyOf(testTable, row("1"), nil)
	behind := func(n uint64) uint64 { return n - min(n, uint64(lag)) }
	group := max(1, lag/10)
	var es []*Write
	for i := range uint64(writes / 2) {
		seq := i + 1
		w.AddLocal(&change.Transaction{Origin: "a", Seq: seq, HLC: 2 * seq, Seen: change.Seen{"b": behind(seq)}, Rows: []change.Row{{Table: testTable, Op: change.Update, New: row("1")}}})
		if es = append(es, write("b", seq, 2*seq+1, change.Update, "1", change.Seen{"a": behind(seq)})); len(es) == group {
			w.Decide(testTable, k, es, es[len(es)-1].Image)
			w.Applied(testTable, k, es, true)
			w.Settled("b", seq, es[len(es)-1].Tx.Seen)
			w.SelfSaw("b", behind(seq))
			es = nil
		}
		_, held := w.Size()
		most = max(most, held)
	}
	return steps, most
}
