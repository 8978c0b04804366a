package mysql

import (
	"fmt"
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// comparesOtherwise says which key column of a shape holds other texts equal at its origin
// than here: the sites would not agree which rows are one. "" when all compare alike.
func (t *localTable) comparesOtherwise(shape *change.Table) string {
	for i := range shape.Columns {
		c := &shape.Columns[i]
		if c.Collation == "" || !shape.IsKey(i) && !inUnique(shape, i) {
			continue
		}
		if local := t.column(c.Name); local != nil && local.comparing() != c.Collation {
			return fmt.Sprintf("compares texts of the key column %s as %s does here, and as %s does at the origin: they would not agree which rows are one; "+
				"give the column one collation at all sites: ALTER TABLE %s MODIFY %s %s COLLATE …",
				c.Name, local.collation, c.Collation, quote(shape.Schema, shape.Name), quote(c.Name), local.typeText)
		}
	}
	return ""
}

func inUnique(t *change.Table, column int) bool {
	return slices.ContainsFunc(t.Unique, func(u change.UniqueKey) bool {
		return slices.ContainsFunc(u.Parts, func(p change.UniquePart) bool { return p.Column == column })
	})
}
