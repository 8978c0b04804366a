package conflict_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// everyPolicy has each policy and each mix of policies that can be written in a rule.
func everyPolicy() (out []conflict.Policy) {
	rows := &conflict.Resolver{Name: "strange.star:row", Row: func(_ *change.Table, older, newer, base []change.Value) ([]change.Value, error) {
		return imageOfItem(newer[0].Text, strange(itemOf(older), itemOf(newer), itemOf(base))), nil
	}}
	column := &conflict.Resolver{Name: "strange.star:column", Column: func(_ *change.Table, _ int, older, newer, base change.Value) (change.Value, error) {
		return change.TextValue(stir(older.Text, newer.Text, base.Text)), nil
	}}
	for _, d := range []conflict.Deletes{conflict.DeletesAreWrites, conflict.DeleteWins, conflict.UpdateWins} {
		out = append(out,
			conflict.Policy{Deletes: d}, conflict.Policy{Deletes: d, Base: conflict.FirstWriteWins},
			conflict.Policy{Deletes: d, Base: conflict.Prefer, Site: "b"}, conflict.Policy{Deletes: d, Resolver: rows})
		for _, note := range []conflict.ColumnRule{{}, {Kind: conflict.ColumnFirst}, {Kind: conflict.ColumnPrefer, Site: "b"}, {Kind: conflict.ColumnResolver, Resolver: column}} {
			out = append(out, conflict.Policy{Deletes: d, Columns: &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{
				"count": {Kind: conflict.ColumnSum}, "low": {Kind: conflict.ColumnMin}, "high": {Kind: conflict.ColumnMax}, "tags": {Kind: conflict.ColumnUnion},
			}, Other: note}})
		}
	}
	return out
}

// Any order of arrival, alone or in groups, any shortening, spilling, and any restart
// leave the row that the reference makes of all writes, at two, three and four sites.
func TestEveryPolicyMakesTheRowOfTheReferenceWhateverArrivesWhen(t *testing.T) {
	for _, p := range everyPolicy() {
		t.Run(p.String(), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				d := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(rt, what) }
				if err := play(d, p, conflict.Rules{}, false); err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

// The reference is worth something: whatever is broken in a window, some play ends otherwise.
func TestTheReferenceNoticesBrokenWindows(t *testing.T) {
	whole := conflict.DefaultRules()
	cutTooMuch, asTheyCome, dropped := whole, whole, whole
	cutTooMuch.Cut = func(writes []*conflict.Write, everyoneSaw func(*conflict.Write) bool) (n int) {
		for n < len(writes) && everyoneSaw(writes[n]) {
			n++
		}
		return n
	}
	asTheyCome.Fold = func(p conflict.Policy, base conflict.State, writes []*conflict.Write, arrived int) conflict.State {
		if arrived >= 0 {
			writes = append(slices.Delete(slices.Clone(writes), arrived, arrived+1), writes[arrived])
		}
		return conflict.Fold(p, base, writes)
	}
	dropped.Fold = func(p conflict.Policy, base conflict.State, writes []*conflict.Write, _ int) conflict.State {
		return conflict.Fold(p, base, writes[:len(writes)-1])
	}
	looksBack := func(p conflict.Policy) bool {
		return p.Base != conflict.LastWriteWins || p.Columns != nil || p.Resolver != nil
	}
	for _, c := range []struct {
		broken    string
		rules     conflict.Rules
		forgetful bool
		matters   func(conflict.Policy) bool
	}{
		{"cuts what a later write did not see", cutTooMuch, false, looksBack},
		{"folds in the order of arrival", asTheyCome, false, func(p conflict.Policy) bool { return !p.VersionsOnly() }},
		{"drops the greatest write", dropped, false, func(p conflict.Policy) bool {
			return p != conflict.Policy{Base: conflict.FirstWriteWins} && !p.VersionsOnly() // it never has the last word there
		}},
		{"forgets at a restart", whole, true, func(conflict.Policy) bool { return true }},
	} {
		for _, p := range everyPolicy() {
			if !c.matters(p) {
				continue
			}
			noticed := false
			for seed := uint64(1); seed <= 3000 && !noticed; seed++ {
				r := rand.New(rand.NewPCG(seed, 0))
				noticed = play(func(n int, _ string) int { return r.IntN(n) }, p, c.rules, c.forgetful) != nil
			}
			if !noticed {
				t.Errorf("a window that %s was not noticed under %s", c.broken, p)
			}
		}
	}
}
