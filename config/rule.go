package config

import (
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// Rule is one [[table]]: which tables, and what is done with them.
type Rule struct {
	// Index is the rule's number in the file, from 1.
	Index int
	// Line is where its [[table]] stands.
	Line int
	// Patterns are its globs on schema.table.
	Patterns []string
	// Match is the pattern that matched. Set in what Config.Rule returns, else "".
	Match string
	// Excluded is set when the tables are not replicated.
	Excluded bool
	// From is the only site whose writes are replicated; "" for all sites.
	From change.Site
	// Policy settles conflicts; not set when Excluded.
	Policy Policy
	// Inherited tells that Policy is that of [defaults].
	Inherited bool

	patterns []*pattern
	naming   *naming
}

// Rule returns the rule that decides about a table, named "schema.table": the
// first that matches. The name is split at its first dot. It returns false when no
// rule matches, or the schema is reserved; such a table is not replicated, and
// neither is one whose rule is Excluded.
func (c *Config) Rule(name string) (Rule, bool) {
	schema, table, ok := strings.Cut(name, ".")
	if !ok || table == "" || Reserved(schema) {
		return Rule{}, false
	}
	for _, rule := range c.Rules {
		for _, p := range rule.patterns {
			if p.matches(schema, table) {
				rule.Match = p.text
				return rule, true
			}
		}
	}
	return Rule{}, false
}

// Replicated reports whether writes of a table at a site go to the other sites.
func (c *Config) Replicated(name string, at change.Site) bool {
	rule, ok := c.Rule(name)
	return ok && !rule.Excluded && (rule.From == "" || rule.From == at)
}

const tableSample = `add [[table]] and below it match = "public.*"`

func (r *reader) readTables(e *entry, sites []string) {
	switch {
	case e == nil:
		r.missing(span{len(r.doc.data), len(r.doc.data)}, tableSample, "there is no [[table]]: no table would be replicated")
		return
	case e.value.kind == kindTable:
		r.fail(e.key, "write [[table]], with two brackets, for each rule", `"table" must be written [[table]]`)
		return
	case e.value.kind != kindArray:
		r.fail(e.key, tableSample, `"table" must be sections [[table]]`)
		return
	}
	for i, t := range e.value.items {
		if t.kind != kindTable {
			r.fail(t.at, tableSample, `"table" must be sections [[table]]`)
			continue
		}
		r.cfg.Rules = append(r.cfg.Rules, r.readRule(i+1, t, sites))
	}
}

func (r *reader) readRule(index int, t *value, sites []string) Rule {
	rule := Rule{Index: index, Line: r.doc.line(t.at)}
	var match, exclude, conflict, columns, from, names, columnNames *entry
	keep := func(to **entry) func(*entry) { return func(e *entry) { *to = e } }
	r.section(t, "[[table]]", []field{
		{"match", keep(&match)},
		{"exclude", keep(&exclude)},
		{"conflict", keep(&conflict)},
		{"columns", keep(&columns)},
		{"from", keep(&from)},
		{"names", keep(&names)},
		{"column_names", keep(&columnNames)},
	})
	if match == nil {
		r.missing(t.at, `add match = "public.*"`, `"match" is missing in [[table]]`)
	} else {
		r.readMatch(match, &rule)
	}
	if exclude != nil {
		rule.Excluded = r.boolean(exclude)
	}
	if rule.Excluded {
		for _, e := range []*entry{conflict, columns, from, names, columnNames} {
			if e != nil {
				r.fail(e.key, "remove this line or the line with exclude", "%q means nothing for tables that are excluded", e.name)
			}
		}
		return rule
	}
	rule.Policy, rule.Inherited = r.cfg.Defaults.Conflict, conflict == nil
	if conflict != nil {
		r.policy(conflict, sites, &rule.Policy)
	}
	if columns != nil {
		r.readColumns(columns, conflict, sites, &rule)
	}
	if from != nil {
		r.readFrom(from, sites, &rule)
	}
	if names != nil {
		r.readNames(names, sites, &rule)
	}
	if columnNames != nil {
		r.readColumnNames(columnNames, sites, &rule)
	}
	return rule
}

func (r *reader) readFrom(e *entry, sites []string, rule *Rule) {
	s, ok := r.text(e, `"mumbai"`)
	if !ok {
		return
	}
	rule.From = change.Site(s)
	if sites == nil {
		return
	}
	for _, known := range sites {
		if s == known {
			return
		}
	}
	r.fail(e.value.at, siteRemedy(sites), "there is no site %q%s", s, didYouMean(s, sites))
}

// readMatch reads the patterns, and warns of those that an earlier one leaves
// nothing: the first match decides.
func (r *reader) readMatch(e *entry, rule *Rule) {
	for _, v := range r.texts(e, `"public.*"`) {
		p, f := parsePattern(v.text)
		if f != nil {
			r.fail(v.at, f.remedy, "%s", f.message)
			continue
		}
		r.checkShadow(v, p, rule)
		rule.Patterns = append(rule.Patterns, p.text)
		rule.patterns = append(rule.patterns, &p)
	}
}

// coverer returns the first pattern of the rule that matches all that q matches.
func (rule *Rule) coverer(q pattern) (pattern, bool) {
	for _, p := range rule.patterns {
		if p.covers(q) {
			return *p, true
		}
	}
	return pattern{}, false
}

// checkShadow warns when every table of p already belongs to an earlier pattern, of
// this rule or of one before it.
func (r *reader) checkShadow(v *value, p pattern, rule *Rule) {
	for i := range r.cfg.Rules {
		if wider, ok := r.cfg.Rules[i].coverer(p); ok {
			r.warn(v.at, "put its [[table]] before that one, or remove it",
				"%q never decides: %q in the [[table]] on line %d matches the same tables first", p.text, wider.text, r.cfg.Rules[i].Line)
			return
		}
	}
	if wider, ok := rule.coverer(p); ok {
		r.warn(v.at, "remove it", "%q never decides: %q before it matches the same tables", p.text, wider.text)
	}
}
