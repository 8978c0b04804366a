package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/site"
)

// fitChecks compares what the configuration says of tables with what the databases that
// answered have: whether the log says enough for the policy, whether columns with a rule
// exist and are of a type that the rule can settle. One check says that all is well.
func fitChecks(cfg *config.Config, schemas map[change.Site][]enginesite.Table) []siteCheck {
	f := &fit{has: map[int]map[string]bool{}}
	tables := 0
	for _, n := range cfg.Names() {
		for _, t := range schemas[n] {
			// Where one site writes there is nothing to settle.
			rule, ok := cfg.Rule(t.Name)
			if !ok || rule.Excluded || rule.From != "" {
				continue
			}
			p, err := site.Policy(cfg, rule.Policy)
			if err != nil {
				f.add(n, "table "+t.Name, enginesite.Critical, err.Error(), "concord config check")
				continue
			}
			tables++
			f.look(n, &t, rule, p)
		}
	}
	f.unknownColumns(cfg)
	if len(f.found) == 0 && tables > 0 {
		f.add("", "conflict rules", enginesite.OK, fmt.Sprintf("the tables of %s have what their rules need", join(slices.Sorted(maps.Keys(schemas)))), "")
	}
	return f.found
}

// fit gathers what does not.
type fit struct {
	found []siteCheck
	has   map[int]map[string]bool // by rule: the columns of its tables
}

func (f *fit) add(at change.Site, name string, status enginesite.Status, detail, remedy string) {
	f.found = append(f.found, siteCheck{Site: at, Check: enginesite.Check{Name: name, Status: status, Detail: detail, Remedy: remedy}})
}

// look examines a table of a site.
func (f *fit) look(n change.Site, t *enginesite.Table, rule config.Rule, p conflict.Policy) {
	if why := p.NeedsOldRow(); why != "" && !t.Full {
		f.add(n, "table "+t.Name, enginesite.Critical,
			fmt.Sprintf("%s is settled by %s and its log at %s lacks the row before a change: %s. Until then every conflict on it is parked", t.Name, rule.Policy, n, why),
			fmt.Sprintf("at %s: ALTER TABLE %s REPLICA IDENTITY FULL", n, quoted(t.Name)))
	}
	if p.Columns == nil {
		return
	}
	if f.has[rule.Index] == nil {
		f.has[rule.Index] = map[string]bool{}
	}
	for _, c := range t.Columns {
		f.has[rule.Index][c.Name] = true
		r, named := p.Columns.ByName[c.Name]
		if slices.Contains(t.Key, c.Name) {
			if named {
				f.add(n, "table "+t.Name, enginesite.Warning,
					fmt.Sprintf("column %s has the rule %s, but it belongs to the key of %s: rows with other keys are other rows, so the rule is never asked", c.Name, r, t.Name),
					fmt.Sprintf("take %s out of columns of the [[table]] at line %d", c.Name, rule.Line))
			}
			continue
		}
		if !named {
			r = p.Columns.Other
		}
		if err := r.Suits(&change.Column{Name: c.Name, Type: c.Type, Kind: c.Kind}); err != nil {
			f.add(n, "table "+t.Name, enginesite.Critical,
				fmt.Sprintf("column %s of %s cannot be settled by %s: %s. A conflict on it is parked", c.Name, t.Name, ruleWords(r, named), err),
				remedyOf(r, t.Name, c.Name))
		}
	}
}

func ruleWords(r conflict.ColumnRule, named bool) string {
	if named {
		return r.String()
	}
	return r.String() + ` of "*"`
}

// remedyOf says what to do about a column whose type its rule cannot settle.
func remedyOf(r conflict.ColumnRule, table, column string) string {
	if r.Kind == conflict.ColumnSum {
		return fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE numeric at every site, or give the column another rule", quoted(table), quotedOne(column))
	}
	return fmt.Sprintf("give %s another rule: last_write_wins, or a function of your own, FILE.star:FUNCTION", column)
}

// unknownColumns finds columns with a rule that no table of the rule has.
func (f *fit) unknownColumns(cfg *config.Config) {
	for _, rule := range cfg.Rules {
		has := f.has[rule.Index]
		if has == nil || rule.Policy.Columns == nil {
			continue
		}
		known := slices.Sorted(maps.Keys(has))
		for _, c := range rule.Policy.Columns.Named {
			if !has[c.Name] {
				f.add("", "conflict rules", enginesite.Critical,
					fmt.Sprintf("%s:%d: no table that matches %s has the column %q%s", cfg.Path, rule.Line, strings.Join(rule.Patterns, ", "), c.Name, config.DidYouMean(c.Name, known)),
					"name a column that is there: "+strings.Join(known, ", "))
			}
		}
	}
}
