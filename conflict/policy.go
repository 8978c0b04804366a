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

// Policy is what a table's rule says. The zero Policy is last_write_wins.
type Policy struct {
	Base    Base
	Site    change.Site // for Prefer
	Deletes Deletes
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
		if len(parts) == 0 {
			parts = append(parts, "last_write_wins")
		}
	}
	return strings.Join(parts, "+")
}

// ParsePolicy reads what String writes.
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
	return p.Deletes == DeletesAreWrites && (p.Base == LastWriteWins || p.Base == Park)
}

// Step is one step of the fold: the state after w, given the state so far (nil: no
// row) and the writes of the list before w, in version order. A write that
// knew all of them takes effect whatever the policy: so the outcome does not depend on
// what of the past the list still holds.
func (p Policy) Step(state []change.Value, w *Write, prior []*Write) []change.Value {
	after := w.Image
	if w.Op == change.Update {
		after = Overlay(state, after)
	}
	if !anyUnknown(w, prior, func(*Write) bool { return true }) {
		return after
	}
	revives := w.Op == change.Update && state == nil
	kills := w.Op == change.Delete && anyUnknown(w, prior, func(o *Write) bool { return o.Op != change.Delete })
	switch p.Deletes {
	case DeleteWins:
		if revives {
			return nil
		}
		if kills {
			return nil
		}
	case UpdateWins:
		if kills {
			return state
		}
		if revives {
			return after
		}
	}
	switch p.Base {
	case FirstWriteWins:
		return state
	case Prefer:
		if w.Tx.Origin != p.Site && anyUnknown(w, prior, func(o *Write) bool { return o.Tx.Origin == p.Site }) {
			return state
		}
	}
	return after
}

// anyUnknown reports whether w did not know some earlier write that counts.
func anyUnknown(w *Write, prior []*Write, counts func(*Write) bool) bool {
	for _, o := range prior {
		if counts(o) && !w.Tx.Saw(o.Tx) {
			return true
		}
	}
	return false
}

// Fold returns the row that writes, in version order, make of base.
func Fold(p Policy, base []change.Value, writes []*Write) []change.Value {
	state := base
	for i, w := range writes {
		state = p.Step(state, w, writes[:i])
	}
	return state
}
