package conflict

import (
	"fmt"
	"slices"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

// pairWrites makes writes in version order; a3 is the third of site a.
func pairWrites(list ...pairWrite) []*Write {
	var out []*Write
	for i, p := range list {
		seen := change.Seen{}
		for o, n := range p.seen {
			seen[change.Site(o)] = n
		}
		w := &Write{Tx: &Tx{Origin: change.Site(p.name[:1]), Seq: uint64(p.name[1] - '0'), HLC: uint64(i + 1), Seen: seen}, Op: change.Update, Table: testTable}
		if p.op != 0 {
			w.Op = p.op
		}
		w.Wiped = p.truncate
		out = append(out, w)
	}
	return out
}

type pairWrite struct {
	name     string
	seen     map[string]uint64
	op       change.Op
	truncate bool
}

func TestAConflictIsTheLastWritesThatDidNotKnowEachOther(t *testing.T) {
	type seen = map[string]uint64
	for name, tc := range map[string]struct {
		list []pairWrite
		want []string
	}{
		"nobody met":                      {[]pairWrite{{name: "a1"}, {name: "b1", seen: seen{"a": 1}}, {name: "a2", seen: seen{"b": 1}}}, nil},
		"two writes":                      {[]pairWrite{{name: "a1"}, {name: "b1"}}, []string{"a1 b1"}},
		"a burst at both is one":          {[]pairWrite{{name: "a1"}, {name: "b1"}, {name: "a2"}, {name: "b2"}, {name: "a3"}}, []string{"b2 a3"}},
		"one after the other":             {[]pairWrite{{name: "a1"}, {name: "b1"}, {name: "a2", seen: seen{"b": 1}}, {name: "b2", seen: seen{"a": 1}}}, []string{"a1 b1", "a2 b2"}},
		"settled in between":              {[]pairWrite{{name: "a1"}, {name: "b1"}, {name: "a2", seen: seen{"b": 1}}, {name: "b2", seen: seen{"a": 2}}}, []string{"a1 b1"}},
		"three sites meet":                {[]pairWrite{{name: "a1"}, {name: "b1"}, {name: "c1"}}, []string{"a1 b1", "a1 c1", "b1 c1"}},
		"who followed stands for both":    {[]pairWrite{{name: "a1"}, {name: "b1", seen: seen{"a": 1}}, {name: "c1"}}, []string{"b1 c1"}},
		"a truncate meets rows":           {[]pairWrite{{name: "a1"}, {name: "b1", op: change.Delete, truncate: true}}, []string{"a1 b1"}},
		"but no row that was deleted":     {[]pairWrite{{name: "a1", op: change.Delete}, {name: "b1", op: change.Delete, truncate: true}}, nil},
		"and stands for none of its site": {[]pairWrite{{name: "a1"}, {name: "b1"}, {name: "b2", op: change.Delete, truncate: true}}, []string{"a1 b1", "a1 b2"}},
	} {
		t.Run(name, func(t *testing.T) {
			writes := pairWrites(tc.list...)
			var got []string
			for _, p := range pairs(writes, change.Version{}) {
				got = append(got, fmt.Sprintf("%s%d %s%d", p.Older.Tx.Origin, p.Older.Tx.Seq, p.Newer.Tx.Origin, p.Newer.Tx.Seq))
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("recorded %q, want %q", got, tc.want)
			}
			for i := range writes { // those from a version on are those whose newer write is
				from := writes[i].Tx.Version()
				n := 0
				for _, p := range pairs(writes, change.Version{}) {
					if !p.Newer.Tx.Version().Less(from) {
						n++
					}
				}
				if got := len(pairs(writes, from)); got != n {
					t.Errorf("from %s: %d, want %d", from, got, n)
				}
			}
		})
	}
}
