package mysql

import (
	"fmt"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/change"
)

// binaryCollation is the number of the collation "binary": bytes, not text.
const binaryCollation = 63

// read takes a column's type and its metadata from a table map.
func (f *field) read(typ byte, meta uint16) {
	f.typ, f.length = typ, int(meta)
	high, low := int(meta>>8), int(meta&0xff)
	switch typ {
	case gomysql.MYSQL_TYPE_STRING:
		// Two bits of the length are kept, inverted, in the byte of the real type.
		f.length = low
		if high != 0 {
			f.typ = byte(high)
			if high&0x30 != 0x30 {
				f.length |= (high&0x30 ^ 0x30) << 4
				f.typ = byte(high | 0x30)
			}
		}
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		f.length, f.scale = high, low
	case gomysql.MYSQL_TYPE_BIT:
		f.length = high*8 + low
	case gomysql.MYSQL_TYPE_TIME2, gomysql.MYSQL_TYPE_DATETIME2, gomysql.MYSQL_TYPE_TIMESTAMP2:
		f.scale = low
	}
}

func (f *field) isString() bool {
	switch f.typ {
	case gomysql.MYSQL_TYPE_STRING, gomysql.MYSQL_TYPE_VAR_STRING, gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_BLOB:
		return true
	}
	return false
}

// take lets the catalogue say what the log does not: MariaDB's types that it has as
// bytes of a fixed length.
func (f *field) take(c *columnFacts) {
	switch c.dataType {
	case "uuid":
		f.form = formUUID
	case "inet4", "inet6":
		f.form = formInet
	}
}

// dataType is the type's name in the catalogue, as far as the log tells.
func (f *field) dataType() string {
	text := f.charset != "binary"
	switch f.typ {
	case gomysql.MYSQL_TYPE_TINY:
		return "tinyint"
	case gomysql.MYSQL_TYPE_SHORT:
		return "smallint"
	case gomysql.MYSQL_TYPE_INT24:
		return "mediumint"
	case gomysql.MYSQL_TYPE_LONG:
		return "int"
	case gomysql.MYSQL_TYPE_LONGLONG:
		return "bigint"
	case gomysql.MYSQL_TYPE_FLOAT:
		return "float"
	case gomysql.MYSQL_TYPE_DOUBLE:
		return "double"
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return "decimal"
	case gomysql.MYSQL_TYPE_YEAR:
		return "year"
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE:
		return "date"
	case gomysql.MYSQL_TYPE_TIME2:
		return "time"
	case gomysql.MYSQL_TYPE_DATETIME2:
		return "datetime"
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		return "timestamp"
	case gomysql.MYSQL_TYPE_BIT:
		return "bit"
	case gomysql.MYSQL_TYPE_ENUM:
		return "enum"
	case gomysql.MYSQL_TYPE_SET:
		return "set"
	case gomysql.MYSQL_TYPE_JSON:
		return "json"
	case gomysql.MYSQL_TYPE_VECTOR:
		return "vector"
	case gomysql.MYSQL_TYPE_GEOMETRY:
		return "geometry"
	case gomysql.MYSQL_TYPE_STRING:
		if text {
			return "char"
		}
		return "binary"
	case gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING:
		if text {
			return "varchar"
		}
		return "varbinary"
	case gomysql.MYSQL_TYPE_BLOB:
		i := min(max(f.length, 1), 4) - 1
		if text {
			return []string{"tinytext", "text", "mediumtext", "longtext"}[i]
		}
		return []string{"tinyblob", "blob", "mediumblob", "longblob"}[i]
	}
	return ""
}

// agrees reports whether a column of the catalogue can be the one that the log
// describes.
func agrees(f *field, typ byte, c *columnFacts) bool {
	name := f.dataType()
	switch {
	case f.typ == gomysql.MYSQL_TYPE_GEOMETRY:
		return c.types.kind == change.KindBytes
	case name == "binary" && slices.Contains([]string{"uuid", "inet4", "inet6"}, c.dataType):
		return true
	case name != c.dataType:
		return false
	}
	args := arguments(c.typeText)
	switch f.typ {
	case gomysql.MYSQL_TYPE_TINY, gomysql.MYSQL_TYPE_SHORT, gomysql.MYSQL_TYPE_INT24, gomysql.MYSQL_TYPE_LONG, gomysql.MYSQL_TYPE_LONGLONG:
		return f.unsigned == c.unsigned()
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return args == fmt.Sprintf("%d,%d", f.length, f.scale)
	case gomysql.MYSQL_TYPE_TIME2, gomysql.MYSQL_TYPE_DATETIME2, gomysql.MYSQL_TYPE_TIMESTAMP2:
		return args == "" && f.scale == 0 || args == fmt.Sprint(f.scale)
	case gomysql.MYSQL_TYPE_BIT:
		return args == fmt.Sprint(f.length)
	case gomysql.MYSQL_TYPE_ENUM, gomysql.MYSQL_TYPE_SET:
		return c.typeText == f.listText(name)
	case gomysql.MYSQL_TYPE_STRING, gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_BLOB:
		if f.charset == "binary" {
			return typ == gomysql.MYSQL_TYPE_BLOB || args == fmt.Sprint(f.length)
		}
		return sameCharset(f.charset, c.charset)
	}
	return true
}

func sameCharset(a, b string) bool {
	return a == b || strings.TrimSuffix(a, "mb3") == strings.TrimSuffix(b, "mb3")
}

// arguments is what stands in the parentheses of a type.
func arguments(typeText string) string {
	_, rest, _ := strings.Cut(typeText, "(")
	args, _, _ := strings.Cut(rest, ")")
	return args
}

// listText is an enum or a set as the catalogue writes it.
func (f *field) listText(name string) string {
	quoted := make([]string, len(f.labels))
	for i, l := range f.labels {
		quoted[i] = "'" + strings.ReplaceAll(l, "'", "''") + "'"
	}
	return name + "(" + strings.Join(quoted, ",") + ")"
}

// describe makes a column of what the log alone says, for one that the catalogue no
// longer has as it was.
func describe(f *field, typ byte) change.Column {
	name := f.dataType()
	c := change.Column{Type: name, Kind: collationKind(f.collation)}
	if k, ok := dataTypeKinds[name]; ok {
		c.Kind = k
	}
	switch f.typ {
	case gomysql.MYSQL_TYPE_TINY, gomysql.MYSQL_TYPE_SHORT, gomysql.MYSQL_TYPE_INT24, gomysql.MYSQL_TYPE_LONG, gomysql.MYSQL_TYPE_LONGLONG:
		if f.unsigned {
			c.Type += " unsigned"
		}
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		c.Type = fmt.Sprintf("decimal(%d,%d)", f.length, f.scale)
	case gomysql.MYSQL_TYPE_TIME2, gomysql.MYSQL_TYPE_DATETIME2, gomysql.MYSQL_TYPE_TIMESTAMP2:
		if f.scale > 0 {
			c.Type = fmt.Sprintf("%s(%d)", name, f.scale)
		}
	case gomysql.MYSQL_TYPE_ENUM, gomysql.MYSQL_TYPE_SET:
		c.Type = f.listText(name)
	case gomysql.MYSQL_TYPE_BIT:
		c.Type = fmt.Sprintf("bit(%d)", f.length)
	case gomysql.MYSQL_TYPE_STRING, gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING:
		n := f.length
		if f.charset != "binary" {
			n /= widthOf(f.charset)
		}
		c.Type = fmt.Sprintf("%s(%d)", name, n)
	}
	return c
}

// widthOf is the most bytes that a character of a character set takes.
func widthOf(charset string) int {
	switch charset {
	case "utf8mb4", "utf16", "utf16le", "utf32", "gb18030":
		return 4
	case "utf8mb3", "utf8", "ujis", "eucjpms":
		return 3
	case "ucs2", "gbk", "gb2312", "big5", "sjis", "cp932", "euckr":
		return 2
	}
	return 1
}
