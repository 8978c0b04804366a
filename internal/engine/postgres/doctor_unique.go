package postgres

import (
	"fmt"

	"github.com/concord-db/concord/internal/engine/site"
)

// unreadUnique warns of unique indexes whose values cannot be told from a row.
func (e *examination) unreadUnique(t *tableFacts) {
	for i := range t.unique {
		u := &t.unique[i]
		if u.unread == "" {
			continue
		}
		detail := fmt.Sprintf("the unique index %s of %s has %s: two sites that give one value to two rows are not settled, the later change is parked", u.name, t.qualified(), u.unread)
		remedy := "index columns, or lower() or upper() of one, with conditions that compare columns and are joined by AND; or let only one site give out these values"
		if u.deferrable {
			detail = fmt.Sprintf("the deferrable unique constraint %s of %s has %s: it is not checked for what is applied", u.name, t.qualified(), u.unread)
			remedy = fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s, ADD UNIQUE (…) NOT DEFERRABLE", quote(t.schema, t.name), quote(u.name))
		}
		e.add("unique index "+u.name, site.Warning, detail, remedy)
	}
}
