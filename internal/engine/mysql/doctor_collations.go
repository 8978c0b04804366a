package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
	folding "github.com/concord-db/concord/internal/collation"
	"github.com/concord-db/concord/internal/engine/site"
)

// keyCollations finds keys of which only the server knows which texts are equal: two
// rows with such a key are parked, not decided.
func (e *examination) keyCollations(context.Context) error {
	found := false
	for _, t := range e.sorted() {
		names := slices.Clone(t.key)
		for _, u := range t.unique {
			names = append(names, u.columns...)
		}
		slices.Sort(names)
		for _, n := range slices.Compact(names) {
			c := t.column(n)
			if c == nil || c.generated || !ownWay(c) {
				continue
			}
			found = true
			e.add("table "+t.qualified(), site.Warning,
				fmt.Sprintf("the key column %s of %s has the collation %s, which holds more texts equal than those that differ in case: where two sites write two of them at the same time, the later change is parked", n, t.qualified(), c.collation),
				"give it one of the collations that Concord knows (utf8mb4_0900_ai_ci, …general_ci, …unicode_ci, …unicode_520_ci, …uca1400_ai_ci, latin1_swedish_ci), or one that compares byte by byte")
		}
	}
	if !found {
		e.fine("collations of keys", "which keys are equal is known of all")
	}
	return nil
}

// ownWay reports whether a text column holds texts equal that Concord takes for different.
func ownWay(c *columnFacts) bool {
	switch c.types.kind {
	case change.KindFoldedText:
		return !folding.Known(c.comparing())
	case change.KindText:
		return strings.HasSuffix(c.collation, "_cs")
	}
	return false
}
