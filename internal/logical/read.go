package logical

import (
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/collation"
)

// Of gives the logical type of a column: its type as its engine writes it, with
// modifiers, and its kind. A type that no other engine has is Native.
func Of(engine string, c change.Column) Type {
	t := Type{Engine: engine, Name: c.Type, Family: Native}
	if engine != PostgreSQL {
		t.Name = plain(c.Type)
	}
	switch c.Kind {
	case change.KindPaddedText:
		t.Compared = WithoutSpaces
	case change.KindFoldedText:
		switch {
		case collation.Known(c.Collation):
			t.Compared = Compared("as " + c.Collation + " does")
		case c.Collation != "": // an engine's own
			t.Compared = Compared("as " + engine + "'s " + c.Collation + " does")
		default:
			t.Compared = WithoutCase
		}
	default:
		t.Compared = ByBytes
	}
	if engine == PostgreSQL {
		t.fromPostgres(c.Kind)
	} else {
		t.fromMySQL(c.Kind)
	}
	if t.Family != Text {
		t.Compared = ""
	}
	return t
}

// plain is a type of MySQL. It leaves the names of labels as they are, all else in lower case, and drops the
// width that MariaDB shows of an integer, but for tinyint(1).
func plain(name string) string {
	if head, _, listed := strings.Cut(name, "("); listed {
		switch head = strings.ToLower(head); head {
		case "enum", "set":
			return head + name[len(head):]
		}
	}
	name = strings.TrimSuffix(strings.ToLower(name), " zerofill")
	head, rest, ok := strings.Cut(name, "(")
	if _, isInt := integerBits[head]; ok && isInt && name != "tinyint(1)" || head == "year" {
		_, after, _ := strings.Cut(rest, ")")
		return head + after
	}
	return name
}

// split takes a type apart: "timestamp(3) with time zone" is "timestamp with time
// zone" and 3.
func split(name string) (base string, arguments []int) {
	base, rest, ok := strings.Cut(name, "(")
	if !ok {
		return name, nil
	}
	inside, after, _ := strings.Cut(rest, ")")
	for a := range strings.SplitSeq(inside, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(a))
		if err != nil {
			return base + after, nil
		}
		arguments = append(arguments, n)
	}
	return base + after, arguments
}

func first(arguments []int, otherwise int) int {
	if len(arguments) == 0 {
		return otherwise
	}
	return arguments[0]
}

// postgresFamilies are the types of PostgreSQL that have no modifiers of interest.
var postgresFamilies = map[string]Type{
	"boolean":          {Family: Bool},
	"smallint":         {Family: Int, Bits: 16},
	"integer":          {Family: Int, Bits: 32},
	"bigint":           {Family: Int, Bits: 64},
	"oid":              {Family: Int, Bits: 32, Unsigned: true},
	"real":             {Family: Float, Bits: 32},
	"double precision": {Family: Float, Bits: 64},
	"text":             {Family: Text},
	"citext":           {Family: Text},
	"name":             {Family: Text, Limit: 63, Room: 63},
	"bytea":            {Family: Bytes},
	"date":             {Family: Date},
	"interval":         {Family: Interval},
	"uuid":             {Family: UUID},
	"json":             {Family: JSON},
	"jsonb":            {Family: JSON},
	"inet":             {Family: Inet},
}

func (t *Type) fromPostgres(k change.Kind) {
	switch k {
	case change.KindEnum:
		t.Family = Enum
		return
	case change.KindArray:
		t.Family = Array
		return
	}
	base, args := split(t.Name)
	if known, ok := postgresFamilies[base]; ok {
		t.become(known)
		return
	}
	switch base {
	case "numeric":
		t.Family, t.Precision = Decimal, first(args, 0)
		if len(args) > 1 {
			t.Scale = args[1]
		}
	case "character varying":
		t.Family, t.Limit = Text, int64(first(args, 0))
	case "character":
		t.Family, t.Limit, t.Fixed = Text, int64(first(args, 1)), true
	case "bit":
		t.Family, t.Bits, t.Fixed = Bits, first(args, 1), true
	case "time without time zone", "time":
		t.Family, t.Precision = Time, first(args, 6)
	case "timestamp without time zone", "timestamp":
		t.Family, t.Precision = Timestamp, first(args, 6)
	case "timestamp with time zone":
		t.Family, t.Precision = TimestampTZ, first(args, 6)
	}
}

var integerBits = map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

// rooms are the bytes that a text or a blob of MySQL holds.
var rooms = map[string]int64{"tiny": 1<<8 - 1, "": 1<<16 - 1, "medium": 1<<24 - 1, "long": 0}

func (t *Type) fromMySQL(k change.Kind) {
	if k == change.KindJSON || k == change.KindJSONB {
		t.Family = JSON
		return
	}
	if head, list, ok := strings.Cut(t.Name, "("); ok && (head == "enum" || head == "set") {
		t.Family = Family(head)
		t.Labels = labels(strings.TrimSuffix(list, ")"))
		return
	}
	base, args := split(t.Name)
	number, unsigned := strings.CutSuffix(base, " unsigned")
	if bits, ok := integerBits[number]; ok {
		t.Family, t.Bits, t.Unsigned = Int, bits, unsigned
		return
	}
	if size, ok := strings.CutSuffix(base, "text"); ok {
		t.Family, t.Room = Text, rooms[size]
		return
	}
	if size, ok := strings.CutSuffix(base, "blob"); ok {
		t.Family, t.Limit = Bytes, rooms[size]
		return
	}
	switch number {
	case "decimal":
		t.Family, t.Precision, t.Unsigned = Decimal, first(args, 10), unsigned
		if len(args) > 1 {
			t.Scale = args[1]
		}
	case "float":
		t.Family, t.Bits = Float, 32
	case "double":
		t.Family, t.Bits = Float, 64
	case "char":
		t.Family, t.Limit, t.Fixed = Text, int64(first(args, 1)), true
	case "varchar":
		t.Family, t.Limit = Text, int64(first(args, 1))
	case "binary":
		t.Family, t.Limit, t.Fixed = Bytes, int64(first(args, 1)), true
	case "varbinary":
		t.Family, t.Limit = Bytes, int64(first(args, 1))
	case "bit":
		t.Family, t.Bits, t.Fixed = Bits, first(args, 1), true
	case "date":
		t.Family = Date
	case "time":
		t.Family, t.Precision = Time, first(args, 0)
	case "datetime":
		t.Family, t.Precision = Timestamp, first(args, 0)
	case "timestamp":
		t.Family, t.Precision = TimestampTZ, first(args, 0)
	case "year":
		t.Family = Year
	case "uuid":
		t.Family = UUID
	case "inet4", "inet6":
		t.Family = Inet
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		t.Family = Spatial
	}
}

// become takes what another type is, but for its names and how texts are compared.
func (t *Type) become(o Type) {
	o.Engine, o.Name, o.Compared = t.Engine, t.Name, t.Compared
	*t = o
}

// labels reads 'a','it”s' as MySQL writes a list of them.
func labels(list string) []string {
	out := []string{}
	for len(list) > 0 && list[0] == '\'' {
		var b strings.Builder
		i := 1
		for ; i < len(list); i++ {
			if list[i] == '\'' {
				if i+1 >= len(list) || list[i+1] != '\'' {
					break
				}
				i++
			}
			b.WriteByte(list[i])
		}
		out = append(out, b.String())
		list = strings.TrimPrefix(list[min(i+1, len(list)):], ",")
	}
	return out
}
