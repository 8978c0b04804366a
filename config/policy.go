package config

import (
	"fmt"
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
)

// The rules for deletes of a Policy.
const (
	DeleteWins = "delete_wins"
	UpdateWins = "update_wins"
)

// Policy says how two writes of one row that did not know each other are settled.
type Policy struct {
	// Base is LastWriteWins, FirstWriteWins, Prefer or ParkConflict.
	Base string
	// Prefer is the preferred site when Base is Prefer, otherwise "".
	Prefer change.Site
	// Deletes is DeleteWins, UpdateWins or "": a delete is a write like any other.
	Deletes string
}

// String gives the policy in the words of the configuration, the same for equal
// policies: "last_write_wins", "delete_wins", "update_wins+prefer:mumbai".
func (p Policy) String() string {
	base := p.Base
	switch {
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
var policyWords = []string{LastWriteWins, FirstWriteWins, Prefer + ":SITE", DeleteWins, UpdateWins, ParkConflict}

// policyFault is what is wrong with a policy, and which bytes of its text.
type policyFault struct {
	fault
	at span
}

// parsePolicy reads a policy. The site of prefer:SITE must be one of the sites,
// unless sites is nil.
func parsePolicy(s string, sites []string) (Policy, *policyFault) {
	whole := span{0, len(s)}
	if strings.Contains(s, ".star") {
		return Policy{}, &policyFault{fault{"resolvers in Starlark are not built yet", policyRemedy()}, whole}
	}
	var p Policy
	var first map[string]string
	at := 0
	for word := range strings.SplitSeq(s, "+") {
		here := span{at, at + len(word)}
		at = here.to + 1
		name, site, hasSite := strings.Cut(word, ":")
		family := "base"
		switch {
		case name == Prefer && !hasSite, name == Prefer && site == "":
			return Policy{}, &policyFault{fault{"prefer needs a site", `write prefer:SITE, for example ` + example(sites)}, here}
		case name == Prefer:
			if sites != nil && !slices.Contains(sites, site) {
				return Policy{}, &policyFault{fault{
					fmt.Sprintf("there is no site %q%s", site, didYouMean(site, sites)), siteRemedy(sites),
				}, span{here.from + len(Prefer) + 1, here.to}}
			}
			p.Base, p.Prefer = Prefer, change.Site(site)
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
