package simulation

import (
	"math/big"
	"slices"
	"strings"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// outcome is what the writes so far make of a row.
type outcome struct {
	row    []change.Value
	failed bool // a rule could not decide
}

// foldEffects folds effects, in version order, into what they make of no row.
func foldEffects(p conflict.Policy, all []effect) outcome {
	return foldStates(p, all)[len(all)]
}

// foldStates are the outcomes before the first effect and after each.
func foldStates(p conflict.Policy, all []effect) []outcome {
	states := []outcome{{}}
	for i, e := range all {
		var unknown []effect
		for _, o := range all[:i] {
			if !e.tx.knew(o.tx) {
				unknown = append(unknown, o)
			}
		}
		now := states[i]
		switch {
		case len(unknown) > 0 && now.failed:
		case len(unknown) > 0 && e.op != 'D' && now.row != nil && p.Resolver != nil:
			now = ruled(p.Resolver, all, states, i)
		case len(unknown) > 0 && e.op != 'D' && now.row != nil && p.Columns != nil:
			now = mergedColumns(p.Columns, all, states, i, unknown)
		default:
			now = outcome{row: next(p, now.row, e, unknown)}
		}
		states = append(states, now)
	}
	return states
}

// shared is what the i-th effect and those it met have in common: the state at the
// last point that it and all between knew whole.
func shared(table string, all []effect, states []outcome, i int) outcome {
	for j := i; j > 0; j-- {
		common := !slices.ContainsFunc(all[j:i+1], func(later effect) bool {
			return slices.ContainsFunc(all[:j], func(o effect) bool { return !later.tx.knew(o.tx) })
		})
		if common && all[j].tx.wiped[table] {
			return outcome{} // a truncate came next: nothing tells what the row was
		}
		if common {
			return states[j]
		}
	}
	return outcome{} // there was no row at first
}

func ruled(rule *conflict.Resolver, all []effect, states []outcome, i int) outcome {
	t := policyTable
	base := shared(t.QualifiedName(), all, states, i)
	if base.failed {
		return base
	}
	row, err := rule.Row(t, states[i].row, all[i].after, base.row)
	return outcome{row, err != nil}
}

// mergedColumns is what e changed, on the row.
func mergedColumns(rules *conflict.ColumnRules, all []effect, states []outcome, i int, unknown []effect) outcome {
	e, t := all[i], policyTable
	switch len(e.after) {
	case len(stockTable.Columns):
		t = stockTable
	case len(accountTable.Columns):
		t = accountTable
	}
	base := outcome{}
	if slices.ContainsFunc(t.Columns, func(c change.Column) bool { return rules.Of(c.Name).Kind == conflict.ColumnResolver }) {
		if base = shared(t.QualifiedName(), all, states, i); base.failed {
			return base
		}
	}
	row := slices.Clone(states[i].row)
	for c := 1; c < len(row); c++ {
		if !e.wrote(c) {
			continue
		}
		v, ok := mergedColumn(t, rules.Of(t.Columns[c].Name), c, row[c], e, base.row, unknown)
		if !ok {
			return outcome{failed: true}
		}
		row[c] = v
	}
	return outcome{row: row}
}

// wrote reports whether the effect changed a column.
func (e *effect) wrote(c int) bool { return e.op == 'D' || e.old == nil || e.old[c] != e.after[c] }

func mergedColumn(t *change.Table, rule conflict.ColumnRule, c int, now change.Value, e effect, base []change.Value, unknown []effect) (change.Value, bool) {
	after, before := e.after[c], change.NullValue()
	if e.old != nil {
		before = e.old[c]
	}
	switch rule.Kind {
	case conflict.ColumnSum:
		return added(t.Columns[c].Type, now, before, after)
	case conflict.ColumnUnion:
		return united(now, before, after), true
	}
	var met, preferred bool
	for _, o := range unknown {
		if o.wrote(c) {
			met, preferred = true, preferred || o.tx.origin == rule.Site
		}
	}
	if !met {
		return after, true
	}
	switch rule.Kind {
	case conflict.ColumnFirst:
		return now, true
	case conflict.ColumnPrefer:
		if preferred && e.tx.origin != rule.Site {
			return now, true
		}
	case conflict.ColumnMin, conflict.ColumnMax:
		takesAfter := whole(after) < whole(now) == (rule.Kind == conflict.ColumnMin)
		if after.State == change.Null || now.State != change.Null && (whole(after) == whole(now) || !takesAfter) {
			return now, true
		}
	case conflict.ColumnResolver:
		shared := change.Value{}
		if base != nil {
			shared = base[c]
		}
		v, err := rule.Resolver.Column(t, c, now, after, shared)
		return v, err == nil
	}
	return after, true
}

// ranges of the types that are added up.
var ranges = map[string][2]*big.Rat{
	"smallint":     {big.NewRat(-32768, 1), big.NewRat(32767, 1)},
	"bigint":       {big.NewRat(-1<<63, 1), big.NewRat(1<<63-1, 1)},
	"numeric(6,2)": {big.NewRat(-999999, 100), big.NewRat(999999, 100)},
}

// added is now + after - before, NULL as zero, unless it does not fit the type.
func added(typ string, now, before, after change.Value) (change.Value, bool) {
	if after.State == change.Null {
		return after, true
	}
	scale := 0
	total := new(big.Rat)
	for i, v := range []change.Value{now, after, before} {
		if v.State != change.Present {
			continue
		}
		if _, decimals, ok := strings.Cut(v.Text, "."); ok {
			scale = max(scale, len(decimals))
		}
		n, _ := new(big.Rat).SetString(v.Text)
		if i == 2 {
			n.Neg(n)
		}
		total.Add(total, n)
	}
	fits := ranges[typ]
	if total.Cmp(fits[0]) < 0 || total.Cmp(fits[1]) > 0 {
		return change.Value{}, false
	}
	return change.TextValue(total.FloatString(scale)), true
}

// united is the set now with what was added and without what was taken off.
func united(now, before, after change.Value) change.Value {
	if after.State == change.Null {
		return after
	}
	had, was, is := splitTags(now), splitTags(before), splitTags(after)
	var out []string
	for _, tag := range had {
		if !slices.Contains(was, tag) || slices.Contains(is, tag) {
			out = append(out, tag)
		}
	}
	for _, tag := range is {
		if !slices.Contains(was, tag) && !slices.Contains(had, tag) {
			out = append(out, tag)
		}
	}
	return joinTags(out)
}
