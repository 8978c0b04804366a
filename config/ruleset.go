package config

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// semantics is written into every fingerprint. It grows when a rule comes to mean
// something else than the same words meant in a version before.
const semantics = 1

// RuleSet is what the configuration says about tables, in the form that other sites are
// told. The configuration was read by Load.
func (c *Config) RuleSet() change.Rules {
	rules := make(change.Rules, len(c.Rules))
	for i, r := range c.Rules {
		rules[i] = change.Rule{Match: r.Patterns, Text: notReplicated}
		if !r.Excluded {
			rules[i].Hash, rules[i].Text = c.fingerprint(&r), c.describe(&r)
		}
	}
	return rules
}

// notReplicated is what sites say of tables that are excluded or match no rule.
const notReplicated = "not replicated"

// fingerprint is equal for rules that decide alike.
func (c *Config) fingerprint(r *Rule) uint64 {
	p := &r.Policy
	words := []string{fmt.Sprint(semantics), string(r.From), p.Deletes, p.Base, string(p.Prefer), c.function(p.Resolver)}
	if p.Columns != nil {
		rule := func(name string, r ColumnRule) {
			words = append(words, name, r.Kind, string(r.Prefer), c.function(r.Resolver))
		}
		for _, column := range sortedColumns(p.Columns) {
			if column.ColumnRule != p.Columns.Other { // named or not is the same
				rule(column.Name, column.ColumnRule)
			}
		}
		rule("*", p.Columns.Other)
	}
	// Lengths before texts: no two lists of words look the same.
	h := sha256.New()
	for _, w := range words {
		fmt.Fprintf(h, "%d:%s", len(w), w)
	}
	return max(1, binary.BigEndian.Uint64(h.Sum(nil)))
}

// function is a rule in Starlark by what it does: where its file lies is each site's own
// affair.
func (c *Config) function(ref string) string {
	if ref == "" {
		return ""
	}
	_, name, _ := strings.Cut(ref, ":")
	var hash uint64
	if r, ok := c.resolvers[ref]; ok {
		hash = r.Hash
	}
	return fmt.Sprintf("%s:%016x", name, hash)
}

func sortedColumns(c *Columns) []Column {
	columns := slices.Clone(c.Named)
	slices.SortFunc(columns, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	return columns
}

// describe says what a rule does. Scripts that differ look different.
func (c *Config) describe(r *Rule) string {
	text := r.Policy.String()
	var scripts []string
	for _, ref := range r.Policy.Resolvers() {
		file, _, _ := strings.Cut(ref, ":")
		if s, ok := c.resolvers[ref]; ok {
			scripts = append(scripts, fmt.Sprintf("%s %08x", file, s.Hash>>32))
		}
	}
	slices.Sort(scripts)
	if scripts = slices.Compact(scripts); len(scripts) > 0 {
		text += " (" + strings.Join(scripts, ", ") + ")"
	}
	if r.From != "" {
		text += ", from " + string(r.From) + " only"
	}
	return text
}
