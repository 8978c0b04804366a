package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// The base rules of a Policy.
const (
	LastWriteWins  = "last_write_wins"
	FirstWriteWins = "first_write_wins"
	Prefer         = "prefer"
	ParkConflict   = "park"
	Custom         = "resolver"
)

// The further rules of a column.
const (
	Sum   = "sum"
	Min   = "min"
	Max   = "max"
	Union = "union"
)

// The rules for deletes of a Policy.
const (
	DeleteWins = "delete_wins"
	UpdateWins = "update_wins"
)

// Policy says how two writes of one row that did not know each other are settled.
type Policy struct {
	// Base is LastWriteWins, FirstWriteWins, Prefer, ParkConflict or Custom.
	Base string
	// Prefer is the preferred site when Base is Prefer, otherwise "".
	Prefer change.Site
	// Deletes is DeleteWins, UpdateWins or "": a delete is a write like any other.
	Deletes string
	// Resolver is the rule, FILE.star:FUNCTION as it is written, when Base is Custom.
	Resolver string
	// Columns settles the columns one by one; nil: rows are settled whole. Base is
	// LastWriteWins then.
	Columns *Columns
}

// Columns are the rules of a table's columns.
type Columns struct {
	Named []Column   // in the order of the file
	Other ColumnRule // of all that are not named: "*"
}

// Column is a column with its rule.
type Column struct {
	Name string
	ColumnRule
}

// ColumnRule says how a column that both sites changed is settled.
type ColumnRule struct {
	// Kind is LastWriteWins, FirstWriteWins, Prefer, Sum, Min, Max, Union or Custom.
	Kind     string
	Prefer   change.Site // when Kind is Prefer
	Resolver string      // FILE.star:FUNCTION, when Kind is Custom
}

// String gives the rule in the words of the configuration.
func (c ColumnRule) String() string {
	switch c.Kind {
	case Prefer:
		return Prefer + ":" + string(c.Prefer)
	case Custom:
		return c.Resolver
	}
	return c.Kind
}

// String gives the rules in the words of the configuration.
func (c *Columns) String() string {
	var parts []string
	for _, column := range c.Named {
		parts = append(parts, column.Name+" = "+column.String())
	}
	return "columns{" + strings.Join(append(parts, "* = "+c.Other.String()), ", ") + "}"
}

// Resolvers lists the rules in Starlark that the policy needs.
func (p Policy) Resolvers() []string {
	var refs []string
	if p.Resolver != "" {
		refs = append(refs, p.Resolver)
	}
	if p.Columns != nil {
		for _, c := range p.Columns.Named {
			refs = append(refs, c.Resolver)
		}
		refs = append(refs, p.Columns.Other.Resolver)
	}
	return slices.DeleteFunc(refs, func(s string) bool { return s == "" })
}

// String gives the policy in the words of the configuration, the same for equal
// policies: "last_write_wins", "delete_wins", "update_wins+prefer:mumbai".
func (p Policy) String() string {
	base := p.Base
	switch {
	case p.Columns != nil:
		base = p.Columns.String()
	case p.Base == Custom:
		base = p.Resolver
	case p.Base == Prefer:
		base += ":" + string(p.Prefer)
	case p.Base == LastWriteWins && p.Deletes != "":
		return p.Deletes
	}
	if p.Deletes != "" {
		return p.Deletes + "+" + base
	}
	return base
}

// policyWords are what a policy may be made of.
var policyWords = []string{LastWriteWins, FirstWriteWins, Prefer + ":SITE", DeleteWins, UpdateWins, ParkConflict, "FILE.star:FUNCTION"}

// columnWords are the rules that a column may have.
var columnWords = []string{LastWriteWins, FirstWriteWins, Prefer + ":SITE", Sum, Min, Max, Union, "FILE.star:FUNCTION"}

// policyFault is what is wrong with a policy, and which bytes of its text.
type policyFault struct {
	fault
	at span
}

// parsePolicy reads a policy. The site of prefer:SITE must be one of the sites,
// unless sites is nil.
func parsePolicy(s string, sites []string) (Policy, *policyFault) {
	var p Policy
	var first map[string]string
	at := 0
	for word := range strings.SplitSeq(s, "+") {
		here := span{at, at + len(word)}
		at = here.to + 1
		name, site, hasSite := strings.Cut(word, ":")
		family := "base"
		switch {
		case name == Prefer:
			if f := preferred(site, hasSite, sites, here); f != nil {
				return Policy{}, f
			}
			p.Base, p.Prefer = Prefer, change.Site(site)
		case strings.HasSuffix(name, scriptSuffix):
			if f := function(word, here); f != nil {
				return Policy{}, f
			}
			p.Base, p.Resolver = Custom, word
		case word == LastWriteWins, word == FirstWriteWins, word == ParkConflict:
			p.Base = word
		case word == DeleteWins, word == UpdateWins:
			p.Deletes, family = word, "deletes"
		default:
			message := fmt.Sprintf("unknown conflict policy %q%s", word, didYouMean(word, policyWords))
			return Policy{}, &policyFault{fault{message, policyRemedy()}, here}
		}
		if other, ok := first[family]; ok {
			return Policy{}, &policyFault{fault{
				fmt.Sprintf("%q and %q cannot be combined", other, word),
				"combine delete_wins or update_wins with at most one of the others",
			}, here}
		}
		if first == nil {
			first = map[string]string{}
		}
		first[family] = word
	}
	if p.Base == "" {
		p.Base = LastWriteWins
	}
	return p, nil
}

// preferred checks the site of prefer:SITE.
func preferred(site string, hasSite bool, sites []string, here span) *policyFault {
	switch {
	case !hasSite || site == "":
		return &policyFault{fault{"prefer needs a site", `write prefer:SITE, for example ` + example(sites)}, here}
	case sites != nil && !slices.Contains(sites, site):
		return &policyFault{fault{
			fmt.Sprintf("there is no site %q%s", site, didYouMean(site, sites)), siteRemedy(sites),
		}, span{here.from + len(Prefer) + 1, here.to}}
	}
	return nil
}

// scriptSuffix is how the files of resolvers end.
const scriptSuffix = ".star"

// functionRule is a name in Starlark.
var functionRule = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// function checks FILE.star:FUNCTION.
func function(ref string, here span) *policyFault {
	if _, name, ok := strings.Cut(ref, ":"); !ok || !functionRule.MatchString(name) {
		return &policyFault{fault{"a rule in Starlark is a file and a function of it", `write it as "orders.star:order_status"`}, here}
	}
	return nil
}

// parseColumnRule reads the rule of a column.
func parseColumnRule(s string, sites []string) (ColumnRule, *policyFault) {
	here := span{0, len(s)}
	name, site, hasSite := strings.Cut(s, ":")
	switch {
	case name == Prefer:
		if f := preferred(site, hasSite, sites, here); f != nil {
			return ColumnRule{}, f
		}
		return ColumnRule{Kind: Prefer, Prefer: change.Site(site)}, nil
	case strings.HasSuffix(name, scriptSuffix):
		if f := function(s, here); f != nil {
			return ColumnRule{}, f
		}
		return ColumnRule{Kind: Custom, Resolver: s}, nil
	case slices.Contains(columnWords, s):
		return ColumnRule{Kind: s}, nil
	}
	return ColumnRule{}, &policyFault{fault{
		fmt.Sprintf("unknown rule for a column %q%s", s, didYouMean(s, columnWords)), "one of " + strings.Join(columnWords, ", "),
	}, here}
}

func policyRemedy() string {
	return "one of " + strings.Join(policyWords, ", ") + `, or two as "delete_wins+first_write_wins"`
}

func siteRemedy(sites []string) string {
	if len(sites) == 0 {
		return "add its [site.NAME] section"
	}
	return "the sites are " + strings.Join(sites, ", ")
}

func example(sites []string) string {
	if len(sites) == 0 {
		return `"prefer:mumbai"`
	}
	return fmt.Sprintf("%q", "prefer:"+sites[0])
}
