package mysql

import "strings"

const (
	// controlSchema is the database of Concord's own tables.
	controlSchema = "concord"

	// probeName is the origin and the site of the start-up probe. No site may be
	// called so: site names begin with a letter.
	probeName = "_probe"
)

// quote returns names as an SQL identifier: `shop`.`orders`.
func quote(parts ...string) string {
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteByte('`')
		b.WriteString(strings.ReplaceAll(p, "`", "``"))
		b.WriteByte('`')
	}
	return b.String()
}

// literal returns text as an SQL string constant. Every session has NO_BACKSLASH_ESCAPES
// off.
func literal(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('\'')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0:
			b.WriteString(`\0`)
		case '\'', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// systemSchemas are the databases whose tables are never an application's.
var systemSchemas = []string{"mysql", "sys", "information_schema", "performance_schema", controlSchema}
