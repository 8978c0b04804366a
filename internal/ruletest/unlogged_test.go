package ruletest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Where a table does not log the row before, what was written ends alike in every order of
// arrival, however far lists are shortened: decided everywhere, or waiting everywhere.
func TestSitesEndAlikeWithoutTheRowBefore(t *testing.T) {
	table := (&change.Table{Schema: "public", Name: "t", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.KindInt}, {Name: "n", Type: "integer", Kind: change.KindInt}, {Name: "m", Type: "integer", Kind: change.KindInt},
	}}).Seal()
	r := rule(t, "def f(older, newer, base):\n    return newer.replace(n = 100 if base == None else base.n)\n", Options{Table: table, Columns: []Column{{NotNull: true}, {NotNull: true}, {NotNull: true}}})
	given := r.Policy.Resolver
	columns := func(kind conflict.ColumnKind, rest conflict.ColumnKind) conflict.Policy {
		of := func(k conflict.ColumnKind) conflict.ColumnRule {
			c := conflict.ColumnRule{Kind: k, Site: "b"}
			if k == conflict.ColumnResolver {
				c.Resolver = &conflict.Resolver{Name: "base", Column: func(_ *change.Table, _ int, older, _, base change.Value) (change.Value, error) {
					if base.State == change.Present {
						return base, nil
					}
					return older, nil
				}}
			}
			return c
		}
		return conflict.Policy{Columns: &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{"n": of(kind)}, Other: of(rest)}}
	}
	policies := []conflict.Policy{
		{Resolver: given}, {Resolver: given, Deletes: conflict.UpdateWins},
		{Base: conflict.FirstWriteWins}, {Base: conflict.Prefer, Site: "b"},
		{Deletes: conflict.DeleteWins}, {Deletes: conflict.UpdateWins}, {Deletes: conflict.DeleteWins, Base: conflict.FirstWriteWins},
		columns(conflict.ColumnSum, conflict.ColumnLast), columns(conflict.ColumnMax, conflict.ColumnFirst),
		columns(conflict.ColumnPrefer, conflict.ColumnSum), columns(conflict.ColumnResolver, conflict.ColumnLast),
	}
	for i, p := range policies {
		t.Run(fmt.Sprint(i, " ", p), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(500) {
				if first, other := r.outcomes(r.draw(seed), p); other != "" {
					t.Fatalf("seed %d: %s, but %s", seed, first, other)
				}
			}
		})
	}
}

// outcomes lets what a history wrote arrive in every order, and tells two that differ.
func (r *Rule) outcomes(h *history, p conflict.Policy) (first, other string) {
	var logs [][]change.Transaction
	for _, at := range r.play(h, p) {
		logs = append(logs, at.log)
	}
	sites := siteNames[:h.sites]
	for _, self := range append([]change.Site{"an observer"}, sites...) {
		for _, compact := range []bool{false, true} {
			each(self, logs, sites, func(order []*change.Transaction) bool {
				at := r.place(p, self, sites, r.begin(h))
				at.compact = compact
				for _, t := range order {
					if t.Origin == self {
						at.local(*t)
						at.err = nil
					} else {
						at.receive(t)
					}
				}
				end := rowText(r.Table, at.row)
				if at.err != nil {
					end = "it waits"
				}
				told := fmt.Sprintf("%s at %s after%s", end, self, names(order))
				if first == "" {
					first = told
				} else if !strings.HasPrefix(first, end) {
					other = told
				}
				return other == ""
			})
			if other != "" {
				return first, other
			}
		}
	}
	return first, ""
}
