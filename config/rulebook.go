package config

import (
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// RuleBook answers which rule of a set is a table's. It is never changed.
type RuleBook struct {
	rules    change.Rules
	patterns [][]pattern // by rule
}

// NewRuleBook returns the book of rules. Patterns that this version cannot read match
// nothing.
func NewRuleBook(rules change.Rules) *RuleBook {
	b := &RuleBook{rules: rules, patterns: make([][]pattern, len(rules))}
	for i := range rules {
		for _, text := range rules[i].Match {
			if p, f := parsePattern(text); f == nil {
				b.patterns[i] = append(b.patterns[i], p)
			}
		}
	}
	return b
}

// Of returns the rule of a table, named "schema.table".
func (b *RuleBook) Of(name string) change.Rule {
	schema, table, _ := strings.Cut(name, ".")
	return b.first(func(p pattern) bool { return p.matches(schema, table) })
}

func (b *RuleBook) first(matches func(pattern) bool) change.Rule {
	for i, patterns := range b.patterns {
		if slices.ContainsFunc(patterns, matches) {
			return b.rules[i]
		}
	}
	return change.Rule{Text: notReplicated}
}

// RuleDifference is a table, or a pattern of tables, that two sites decide about
// differently.
type RuleDifference struct {
	Tables string
	Here   string
	There  string
}

// Differences lists what two sites decide differently: of the tables named, and of the
// patterns that either of them has. Here is what this book says.
func (b *RuleBook) Differences(there *RuleBook, tables ...string) []RuleDifference {
	var out []RuleDifference
	seen := map[string]bool{}
	add := func(name string, here, there change.Rule) {
		if here.Hash != there.Hash && !seen[name] {
			out = append(out, RuleDifference{name, here.Text, there.Text})
		}
		seen[name] = true
	}
	for _, patterns := range slices.Concat(b.patterns, there.patterns) {
		for _, q := range patterns {
			covers := func(p pattern) bool { return p.covers(q) }
			add(q.text, b.first(covers), there.first(covers))
		}
	}
	// Patterns that overlap in part, in another order, show only in tables.
	for _, name := range tables {
		here, that := b.Of(name), there.Of(name)
		if !slices.ContainsFunc(out, func(d RuleDifference) bool { return matchesText(d.Tables, name) }) {
			add(name, here, that)
		}
	}
	return out
}

func matchesText(text, name string) bool {
	schema, table, _ := strings.Cut(name, ".")
	p, f := parsePattern(text)
	return f == nil && p.matches(schema, table)
}
