package logical

import (
	"fmt"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// col is the logical type of a name with a kind.
func col(engine, name string, k change.Kind) Type {
	return Of(engine, change.Column{Type: name, Kind: k})
}

// correspond are the types that go together, each with the kind it has at PostgreSQL and
// at the other two.
var correspond = []struct {
	postgres, mysql, mariadb string
	here, mysqlKind, maria   change.Kind
}{
	{"boolean", "tinyint(1)", "tinyint(1)", change.KindBool, change.KindInt, change.KindInt},
	{"boolean", "bit(1)", "bit(1)", change.KindBool, change.KindBytes, change.KindBytes},
	{"smallint", "smallint", "smallint", change.KindInt, change.KindInt, change.KindInt},
	{"integer", "int", "int", change.KindInt, change.KindInt, change.KindInt},
	{"bigint", "bigint", "bigint", change.KindInt, change.KindInt, change.KindInt},
	{"smallint", "tinyint unsigned", "tinyint unsigned", change.KindInt, change.KindInt, change.KindInt},
	{"bigint", "int unsigned", "int unsigned", change.KindInt, change.KindInt, change.KindInt},
	{"bigint", "bigint unsigned", "bigint unsigned", change.KindInt, change.KindInt, change.KindInt},
	{"numeric(20,0)", "bigint unsigned", "bigint unsigned", change.KindDecimal, change.KindInt, change.KindInt},
	{"smallint", "year", "year", change.KindInt, change.KindInt, change.KindInt},
	{"numeric(12,2)", "decimal(12,2)", "decimal(12,2)", change.KindDecimal, change.KindDecimal, change.KindDecimal},
	{"numeric", "decimal(65,30)", "decimal(65,30)", change.KindDecimal, change.KindDecimal, change.KindDecimal},
	{"real", "float", "float", change.KindFloat, change.KindFloat, change.KindFloat},
	{"double precision", "double", "double", change.KindFloat, change.KindFloat, change.KindFloat},
	{"character varying(200)", "varchar(200)", "varchar(200)", change.KindText, change.KindText, change.KindText},
	{"character(8)", "char(8)", "char(8)", change.KindPaddedText, change.KindPaddedText, change.KindPaddedText},
	{"text", "longtext", "longtext", change.KindText, change.KindText, change.KindText},
	{"text", "text", "text", change.KindText, change.KindText, change.KindText},
	{"citext", "longtext", "longtext", change.KindFoldedText, change.KindFoldedText, change.KindFoldedText},
	{"bytea", "longblob", "longblob", change.KindBytes, change.KindBytes, change.KindBytes},
	{"bytea", "varbinary(200)", "varbinary(200)", change.KindBytes, change.KindBytes, change.KindBytes},
	{"date", "date", "date", change.KindDate, change.KindDate, change.KindDate},
	{"time(6) without time zone", "time(6)", "time(6)", change.KindTime, change.KindTime, change.KindTime},
	{"interval", "time(6)", "time(6)", change.KindInterval, change.KindTime, change.KindTime},
	{"timestamp(6) without time zone", "datetime(6)", "datetime(6)", change.KindTimestamp, change.KindTimestamp, change.KindTimestamp},
	{"timestamp(6) without time zone", "datetime", "datetime", change.KindTimestamp, change.KindTimestamp, change.KindTimestamp},
	{"timestamp(6) without time zone", "timestamp(6)", "timestamp(6)", change.KindTimestamp, change.KindTimestampTZ, change.KindTimestampTZ},
	{"timestamp(6) with time zone", "timestamp(6)", "timestamp(6)", change.KindTimestampTZ, change.KindTimestampTZ, change.KindTimestampTZ},
	{"timestamp(6) with time zone", "datetime(6)", "datetime(6)", change.KindTimestampTZ, change.KindTimestamp, change.KindTimestamp},
	{"uuid", "binary(16)", "uuid", change.KindUUID, change.KindBytes, change.KindUUID},
	{"uuid", "char(36)", "char(36)", change.KindUUID, change.KindText, change.KindText},
	{"jsonb", "json", "longtext", change.KindJSONB, change.KindJSONB, change.KindJSON},
	{"mood", "enum('sad','glad')", "enum('sad','glad')", change.KindEnum, change.KindEnum, change.KindEnum},
	{"text", "set('a','b')", "set('a','b')", change.KindText, change.KindNative, change.KindNative},
	{"bit(12)", "bit(12)", "bit(12)", change.KindNative, change.KindBytes, change.KindBytes},
	{"inet", "varchar(43)", "inet6", change.KindNative, change.KindText, change.KindNative},
	{"integer[]", "json", "longtext", change.KindArray, change.KindJSONB, change.KindJSON},
	{"point", "point", "point", change.KindNative, change.KindBytes, change.KindBytes},
	{"money", "decimal(19,2)", "decimal(19,2)", change.KindNative, change.KindDecimal, change.KindDecimal},
}

// Page is docs/TYPES.md.
func Page() string {
	var b strings.Builder
	b.WriteString(`# Types across engines

Written from the code (package internal/logical); a test keeps it true. Between two sites
of one engine and one type nothing is converted or looked at: this page is about columns
that differ. An agent converts values as they arrive from a site of another engine.

- **exact**: every value has its counterpart, and comes back as it was.
- **checked**: the values named have none; such a value is refused, never rounded, cut or replaced.
- **refused**: columns of these types do not go together; the reason and what helps are given.

`)
	section := func(title string, from, to func(i int) Type) {
		fmt.Fprintf(&b, "## %s\n\n| from | to | there | and back |\n|---|---|---|---|\n", title)
		said := map[string]bool{}
		for i := range correspond {
			f, t := from(i), to(i)
			row := fmt.Sprintf("| `%s` | `%s` | %s | %s |\n", f.Name, t.Name, Pair(f, t, false), Pair(t, f, false))
			if !said[row] {
				said[row] = true
				b.WriteString(row)
			}
		}
		b.WriteString("\n")
	}
	pg := func(i int) Type { return col(PostgreSQL, correspond[i].postgres, correspond[i].here) }
	my := func(i int) Type { return col(MySQL, correspond[i].mysql, correspond[i].mysqlKind) }
	maria := func(i int) Type { return col(MariaDB, correspond[i].mariadb, correspond[i].maria) }
	section("PostgreSQL and MySQL", pg, my)
	section("PostgreSQL and MariaDB", pg, maria)
	section("MySQL and MariaDB", my, maria)
	b.WriteString(`## Decided for all

- **NULL and the empty text** are two values everywhere.
- **Keys** of texts must be compared in one way at both: byte by byte, without trailing spaces, or by a collation that both have (general_ci, unicode_ci, unicode_520_ci, latin1_swedish_ci). Other collations without case differ between engines in what they hold equal, so such a key is refused.
- **Labels**: an enumeration with a label that the other lacks holds its table back until both have it; where the labels of the origin are not known, as PostgreSQL's, the row that has the label is parked.
- **Moments**: ` + "`timestamp with time zone`" + ` goes with MySQL's TIMESTAMP, or with a DATETIME that is read and written in UTC. ` + "`timestamp`" + ` goes with DATETIME and never with TIMESTAMP.
- **Character sets**: a character that a column's character set does not have is refused by its server.
- **A UUID in BINARY(16)** has its bytes in the order in which they are written.
- **char(n)**: spaces at its end are no part of the value.
- **A float in a double** is the number it stands for, not its shortest text.
- **Arrays, ranges, composites, money, hstore** and types of extensions have no counterpart.
`)
	return b.String()
}

// String is the verdict in a cell of the page.
func (v Verdict) String() string {
	switch v.Fit {
	case Checked:
		return "checked: " + v.Reason
	case Refused:
		return "refused: " + v.Reason + "; " + v.Remedy
	}
	return string(v.Fit)
}
