package logical

import (
	"fmt"
	"strings"
)

// Counterpart returns the type of another engine that holds every value of t, as a
// statement that adds a column names it; "" when there is none, or more would have to be
// made than a column.
func Counterpart(t Type, engine string) string {
	switch {
	case t.Engine == engine:
		return t.Name
	case engine == PostgreSQL:
		return t.inPostgres()
	}
	return t.inMySQL(engine)
}

func (t Type) inPostgres() string {
	switch t.Family {
	case Bool:
		return "boolean"
	case Int:
		bits := t.Bits
		if t.Unsigned {
			bits++
		}
		switch {
		case bits <= 16:
			return "smallint"
		case bits <= 32:
			return "integer"
		case bits <= 64:
			return "bigint"
		}
		return "numeric(20,0)"
	case Year:
		return "smallint"
	case Decimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case Float:
		return map[int]string{32: "real", 64: "double precision"}[t.Bits]
	case Text:
		switch {
		case t.Fixed:
			return fmt.Sprintf("character(%d)", t.Limit)
		case t.Limit > 0:
			return fmt.Sprintf("character varying(%d)", t.Limit)
		}
		return "text"
	case Bytes:
		return "bytea"
	case Date, UUID, Inet:
		return string(t.Family)
	case Time:
		return fmt.Sprintf("time(%d)", t.Precision)
	case Timestamp:
		return fmt.Sprintf("timestamp(%d)", t.Precision)
	case TimestampTZ:
		return fmt.Sprintf("timestamp(%d) with time zone", t.Precision)
	case JSON:
		return "jsonb"
	case Bits:
		return fmt.Sprintf("bit(%d)", t.Bits)
	case Native, Interval, Enum, Set, Array, Spatial:
	}
	return ""
}

func (t Type) inMySQL(engine string) string {
	switch t.Family {
	case Bool:
		return "tinyint(1)"
	case Int:
		name := map[int]string{8: "tinyint", 16: "smallint", 24: "mediumint", 32: "int", 64: "bigint"}[t.Bits]
		if t.Unsigned {
			name += " unsigned"
		}
		return name
	case Decimal:
		if t.Precision == 0 || t.Precision > 65 || t.Scale < 0 || t.Scale > 30 {
			return ""
		}
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case Float:
		return map[int]string{32: "float", 64: "double"}[t.Bits]
	case Text:
		switch {
		case t.Fixed && t.Limit <= 255:
			return fmt.Sprintf("char(%d)", t.Limit)
		case t.Limit > 0 && t.Limit <= 1000:
			return fmt.Sprintf("varchar(%d)", t.Limit)
		}
		return "longtext"
	case Bytes:
		switch {
		case t.Fixed:
			return fmt.Sprintf("binary(%d)", t.Limit)
		case t.Limit > 0 && t.Limit <= 1000:
			return fmt.Sprintf("varbinary(%d)", t.Limit)
		}
		return "longblob"
	case Date, Year, JSON:
		return string(t.Family)
	case Time:
		return fmt.Sprintf("time(%d)", t.Precision)
	case Timestamp:
		return fmt.Sprintf("datetime(%d)", t.Precision)
	case TimestampTZ:
		return fmt.Sprintf("timestamp(%d) NULL", t.Precision)
	case UUID:
		return map[string]string{MySQL: "binary(16)", MariaDB: "uuid"}[engine]
	case Inet:
		return map[string]string{MySQL: "varchar(43)", MariaDB: "inet6"}[engine]
	case Enum, Set:
		if t.Labels == nil {
			return ""
		}
		quoted := make([]string, len(t.Labels))
		for i, l := range t.Labels {
			quoted[i] = "'" + strings.ReplaceAll(l, "'", "''") + "'"
		}
		return string(t.Family) + "(" + strings.Join(quoted, ",") + ")"
	case Bits:
		return fmt.Sprintf("bit(%d)", t.Bits)
	case Spatial:
		return t.Name
	case Native, Interval, Array:
	}
	return ""
}
