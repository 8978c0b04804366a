package conflict

import (
	"fmt"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// Base is the rule for two writes that did not know each other.
type Base uint8

// The base rules.
const (
	LastWriteWins  Base = iota // the greater version; the default
	FirstWriteWins             // the lesser version
	Prefer                     // Policy.Site's
	Park                       // nobody's: wait for a person
)

// Deletes is the rule for a delete and an update that did not know each other,
// before Base is asked.
type Deletes uint8

// The rules for deletes.
const (
	DeletesAreWrites Deletes = iota // like any other write
	DeleteWins                      // the row stays deleted
	UpdateWins                      // the row stays
)

// Policy is what a table's rule says. The zero Policy is last_write_wins. Policies are
// comparable: two that are made of the same parts are equal.
type Policy struct {
	Base    Base
	Site    change.Site // for Prefer
	Deletes Deletes
	// Columns settles columns one by one; nil: rows are settled whole. Base is
	// LastWriteWins then.
	Columns *ColumnRules
	// Resolver decides between two rows; nil: Base does. Base is LastWriteWins then.
	Resolver *Resolver
}

// String gives the policy in the words of the configuration.
func (p Policy) String() string {
	var parts []string
	switch p.Deletes {
	case DeleteWins:
		parts = append(parts, "delete_wins")
	case UpdateWins:
		parts = append(parts, "update_wins")
	}
	switch p.Base {
	case FirstWriteWins:
		parts = append(parts, "first_write_wins")
	case Prefer:
		parts = append(parts, "prefer:"+string(p.Site))
	case Park:
		parts = append(parts, "park")
	case LastWriteWins:
		switch {
		case p.Resolver != nil:
			parts = append(parts, p.Resolver.Name)
		case p.Columns != nil:
			parts = append(parts, p.Columns.String())
		case len(parts) == 0:
			parts = append(parts, "last_write_wins")
		}
	}
	return strings.Join(parts, "+")
}

// ParsePolicy reads what String writes of a policy without columns and resolver.
func ParsePolicy(s string) (Policy, error) {
	var p Policy
	for part := range strings.SplitSeq(s, "+") {
		switch site, ok := strings.CutPrefix(part, "prefer:"); {
		case ok:
			p.Base, p.Site = Prefer, change.Site(site)
		case part == "last_write_wins":
		case part == "first_write_wins":
			p.Base = FirstWriteWins
		case part == "park":
			p.Base = Park
		case part == "delete_wins":
			p.Deletes = DeleteWins
		case part == "update_wins":
			p.Deletes = UpdateWins
		default:
			return Policy{}, fmt.Errorf("unknown conflict policy %q", part)
		}
	}
	return p, nil
}

// VersionsOnly reports whether the fold is just the greatest version, so that the
// window keeps no images.
func (p Policy) VersionsOnly() bool {
	return p.Deletes == DeletesAreWrites && (p.Base == LastWriteWins || p.Base == Park) && p.Columns == nil && p.Resolver == nil
}
