package conflict

import (
	"errors"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// NeedsOldRow says why a table under the policy must log the whole row before each
// change; "" when it need not. Policies that choose between whole rows need not: what a
// write left and whom it knew is all they look at. (A large value that an update left
// alone is missing from such a log; that concerns every policy alike.)
func (p Policy) NeedsOldRow() string {
	switch {
	case p.Columns != nil:
		return "what a write changed is the difference between the row before and after it"
	case p.Resolver != nil:
		return "the rule is told the row that both writes knew"
	}
	return ""
}

// Suits says why a column cannot be settled by the rule; nil when it can.
func (r ColumnRule) Suits(c *change.Column) error {
	switch r.Kind {
	case ColumnSum:
		switch {
		case c.Kind == change.KindFloat:
			return fmt.Errorf("sum counts exactly, and %s is rounded: sums in another order would differ", c.Type)
		case c.Kind != change.KindInt && c.Kind != change.KindDecimal:
			return fmt.Errorf("sum counts integers and numeric, not %s", c.Type)
		}
	case ColumnUnion:
		if c.Kind != change.KindArray && c.Kind != change.KindJSON && c.Kind != change.KindJSONB {
			return fmt.Errorf("union is for arrays and JSON arrays, not %s", c.Type)
		}
	case ColumnMin, ColumnMax:
		if !ordered(c.Kind) {
			return fmt.Errorf("%s compares values, and those of %s have no order here", r, c.Type)
		}
	case ColumnResolver:
		if r.Resolver.Column == nil {
			return errors.New("the rule is one for rows")
		}
	}
	return nil
}

// ordered reports whether Compare knows an order of the values.
func ordered(k change.Kind) bool {
	_, err := Compare(&change.Column{Kind: k}, "0", "0")
	return err == nil
}
