package config

import (
	"fmt"
	"strings"
)

const columnsSample = `write columns = { on_hand = "sum", "*" = "last_write_wins" }`

// readColumns reads the rules of a table's columns. What conflict says besides deletes
// is the rule of the columns that are not named.
func (r *reader) readColumns(e, conflict *entry, sites []string, rule *Rule) {
	if e.value.kind != kindTable {
		r.fail(e.value.at, columnsSample, "%q must be a table of columns with their rules, not %s", e.name, e.value.kind)
		return
	}
	policy := &rule.Policy
	other, from := ColumnRule{Kind: policy.Base, Prefer: policy.Prefer}, "[defaults]"
	at := e.key
	if conflict != nil {
		from, at = "conflict", conflict.value.at
	}
	columns := &Columns{Other: other}
	named := false
	for _, c := range e.value.entries {
		s, ok := r.text(c, `"last_write_wins"`)
		if !ok {
			continue
		}
		one, f := parseColumnRule(s, sites)
		if f != nil {
			r.fail(r.within(c.value, f.at), f.remedy, "%s", f.message)
			continue
		}
		if one.Resolver != "" {
			r.script(one.Resolver, c.value)
		}
		if c.name == "*" {
			columns.Other, named = one, true
			continue
		}
		columns.Named = append(columns.Named, Column{Name: c.name, ColumnRule: one})
	}
	switch {
	case other.Kind == Custom || other.Kind == ParkConflict:
		if conflict != nil || !named {
			r.fail(at, `with columns, conflict may be last_write_wins, first_write_wins or prefer:SITE, and delete_wins or update_wins; the other columns are "*"`,
				"columns cannot be combined with %s of %s", fmt.Sprintf("%q", rule.Policy.baseText()), from)
			return
		}
	case len(e.value.entries) == 0:
		r.fail(e.value.at, columnsSample, "%q names no column", e.name)
		return
	}
	*policy = Policy{Base: LastWriteWins, Deletes: policy.Deletes, Columns: columns}
	rule.Inherited = false
}

// baseText is the policy without its rule for deletes.
func (p Policy) baseText() string {
	p.Deletes = ""
	return strings.TrimPrefix(p.String(), "+")
}
