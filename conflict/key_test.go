package conflict

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

func keyOf(kind change.Kind, text string) Key {
	t := (&change.Table{Schema: "s", Name: "t", Columns: []change.Column{{Name: "k", Kind: kind}}, Key: []int{0}}).Seal()
	k, _ := KeyOf(t, []change.Value{change.TextValue(text)}, nil)
	return k
}

// Keys that the database holds to be equal are one key, whatever text they came in.
func TestEqualKeysHaveOneHash(t *testing.T) {
	for _, c := range []struct {
		kind change.Kind
		a, b string
		same bool
	}{
		{change.KindDecimal, "1", "1.000", true},
		{change.KindDecimal, "-0.0", "0", true},
		{change.KindDecimal, "+7.50", "007.5", true},
		{change.KindDecimal, "10", "1", false},
		{change.KindDecimal, "-1", "1", false},
		{change.KindDecimal, "NaN", "Infinity", false},
		{change.KindPaddedText, "ab   ", "ab", true},
		{change.KindPaddedText, " ab", "ab", false},
		{change.KindText, "ab ", "ab", false},
		{change.KindFoldedText, "Straße", "straße", true},
		{change.KindFoldedText, "a", "b", false},
		{change.KindFloat, "-0", "0", true},
		{change.KindInt, "1", "01", false},
	} {
		if got := keyOf(c.kind, c.a) == keyOf(c.kind, c.b); got != c.same {
			t.Errorf("kind %d: %q and %q are the same key: %t, want %t", c.kind, c.a, c.b, got, c.same)
		}
	}
}

// The border between two key columns counts.
func TestKeyColumnsDoNotRunTogether(t *testing.T) {
	table := (&change.Table{Schema: "s", Name: "t", Columns: []change.Column{{Name: "a", Kind: change.KindText}, {Name: "b", Kind: change.KindText}}, Key: []int{0, 1}}).Seal()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		c, d := rapid.String().Draw(t, "c"), rapid.String().Draw(t, "d")
		k1, buf := KeyOf(table, []change.Value{change.TextValue(a), change.TextValue(b)}, nil)
		k2, _ := KeyOf(table, []change.Value{change.TextValue(c), change.TextValue(d)}, buf)
		if (k1 == k2) != (a == c && b == d) {
			t.Fatalf("(%q, %q) and (%q, %q)", a, b, c, d)
		}
	})
}

// Keys of a large transaction are found however they came, and only those.
func TestBulkFindsItsKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &bulk{tx: &Tx{Origin: "a", Seq: 1}, runs: map[change.Op][][]Key{}}
		have := map[Key]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "parts") {
			var part []Key
			for _, n := range rapid.SliceOfN(rapid.Uint64Range(0, 500), 0, 40).Draw(t, "keys") {
				k := Key{Hi: n * 7919, Lo: n}
				if !slices.Contains(part, k) {
					part, have[k] = append(part, k), true
				}
			}
			b.add(change.Update, part)
		}
		for n := range uint64(501) {
			k := Key{Hi: n * 7919, Lo: n}
			if got := b.opInMemory(k) != 0; got != have[k] {
				t.Fatalf("key %d found: %t, want %t", n, got, have[k])
			}
		}
	})
}
