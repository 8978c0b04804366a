package mysql

import (
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// The canonical text of each kind, as this engine's capture half produces it and its
// apply half takes it. It is what the server prints in a session with Concord's
// settings, but where noted:
//
//	KindInt           -12, 18446744073709551615; a YEAR is 2026 or 0000
//	KindDecimal       12.50; the scale of the column
//	KindFloat         shortest that reads back: 0.1, 1e+20    (server: 1e20, and FLOAT rounded)
//	KindText          UTF-8, whatever the column's character set; CHAR without its padding
//	KindFoldedText    the same, of a collation that ignores case
//	KindBytes         the raw bytes: BINARY padded to its length, BIT(n) big-endian in
//	                  (n+7)/8 bytes, spatial values as stored (SRID and WKB), VECTOR
//	KindDate          2026-07-31, 0000-00-00
//	KindTime          23:59:59.123456, -838:59:59; the column's number of digits
//	KindTimestamp     DATETIME: 2026-07-31 23:59:59.123456
//	KindTimestampTZ   TIMESTAMP: 2026-07-31 23:59:59.123456+00    (server: without +00)
//	KindUUID          lower case with dashes
//	KindJSON          MariaDB: as written
//	KindJSONB         MySQL: as the server normalises it
//	KindEnum          the label; an empty text for the error value
//	KindNative        SET: labels joined by commas; INET4, INET6

// typeFacts is what a column's type means to Concord.
type typeFacts struct {
	kind change.Kind
	// keyProblem says why a column of this type cannot be part of a replication key;
	// empty when it can: equal values then have equal canonical text, or package
	// conflict knows how to normalise it.
	keyProblem string
	// unsupported says why a column of this type cannot be replicated at all.
	unsupported string
}

// dataTypeKinds gives the kind by information_schema's DATA_TYPE, but for texts.
var dataTypeKinds = map[string]change.Kind{
	"tinyint": change.KindInt, "smallint": change.KindInt, "mediumint": change.KindInt, "int": change.KindInt, "bigint": change.KindInt,
	"year":    change.KindInt,
	"decimal": change.KindDecimal,
	"float":   change.KindFloat, "double": change.KindFloat,
	"bit":    change.KindBytes,
	"binary": change.KindBytes, "varbinary": change.KindBytes,
	"tinyblob": change.KindBytes, "blob": change.KindBytes, "mediumblob": change.KindBytes, "longblob": change.KindBytes,
	"geometry": change.KindBytes, "point": change.KindBytes, "linestring": change.KindBytes, "polygon": change.KindBytes,
	"multipoint": change.KindBytes, "multilinestring": change.KindBytes, "multipolygon": change.KindBytes,
	"geometrycollection": change.KindBytes, "geomcollection": change.KindBytes,
	"vector":    change.KindBytes,
	"date":      change.KindDate,
	"time":      change.KindTime,
	"datetime":  change.KindTimestamp,
	"timestamp": change.KindTimestampTZ,
	"json":      change.KindJSONB,
	"uuid":      change.KindUUID,
	"enum":      change.KindEnum,
	"set":       change.KindNative,
	"inet4":     change.KindNative, "inet6": change.KindNative,
}

// textTypes are those that have a character set.
var textTypes = []string{"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}

// factsOf says what a type means: its DATA_TYPE in lower case, the collation of a text,
// and whether a CHECK makes it JSON (MariaDB).
func factsOf(dataType, collation string, jsonText bool) typeFacts {
	if slices.Contains(textTypes, dataType) {
		if jsonText {
			return typeFacts{kind: change.KindJSON, keyProblem: "a type that writes equal values in several ways"}
		}
		f := typeFacts{kind: collationKind(collation)}
		if !knownCharset(charsetOf(collation)) {
			f.unsupported = "the character set " + charsetOf(collation) + ", which Concord does not know"
		}
		return f
	}
	k, known := dataTypeKinds[dataType]
	if !known {
		return typeFacts{unsupported: "the type " + dataType + ", which Concord does not know"}
	}
	f := typeFacts{kind: k}
	switch {
	case k == change.KindFloat, k == change.KindJSONB:
		f.keyProblem = "a type that writes equal values in several ways"
	case (dataType == "enum" || dataType == "set") && !knownCharset(charsetOf(collation)):
		f.unsupported = "the character set " + charsetOf(collation) + ", which Concord does not know"
	}
	return f
}

// charsetOf is the character set of a collation: what stands before the first
// underscore. MariaDB's uca1400 collations do not name theirs; all columns that have
// them are of a Unicode one, which the log names.
func charsetOf(collation string) string {
	name, _, _ := strings.Cut(collation, "_")
	if name == "uca1400" {
		return "utf8mb4"
	}
	return name
}

// collationKind says how a collation compares texts: byte by byte, without trailing
// spaces, or without case.
func collationKind(collation string) change.Kind {
	switch {
	case collation == "" || collation == "binary":
		return change.KindText
	case strings.HasSuffix(collation, "_nopad_bin"), strings.HasSuffix(collation, "_0900_bin"):
		return change.KindText
	case strings.HasSuffix(collation, "_bin"):
		return change.KindPaddedText
	case strings.HasSuffix(collation, "_cs"), strings.Contains(collation, "_as_cs"):
		return change.KindText
	}
	return change.KindFoldedText
}

// nativeText is the inverse of what capture adds: the text that the server reads as
// the value, to be quoted by whoever sends it.
func nativeText(k change.Kind, text string) string {
	if k == change.KindTimestampTZ {
		return strings.TrimSuffix(text, "+00")
	}
	return text
}
