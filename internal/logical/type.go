// Package logical says what the types of PostgreSQL, MySQL and MariaDB have in common:
// the logical type behind each, which pairs of columns can hold the same values, and how
// the canonical text of a value in one becomes that of the other. It does no I/O.
package logical

import (
	"math"
	"slices"
)

// Engine names as a data source name gives them.
const (
	PostgreSQL = "postgres"
	MySQL      = "mysql"
	MariaDB    = "mariadb"
)

// Family is what the values of a type are.
type Family string

// The families. Native is whatever no other engine has.
const (
	Native      Family = "native"
	Bool        Family = "boolean"
	Int         Family = "integer"
	Decimal     Family = "decimal"
	Float       Family = "float"
	Text        Family = "text"
	Bytes       Family = "bytes"
	Date        Family = "date"
	Time        Family = "time"
	Timestamp   Family = "timestamp without zone"
	TimestampTZ Family = "timestamp with zone"
	Interval    Family = "interval"
	UUID        Family = "uuid"
	JSON        Family = "json"
	Enum        Family = "enum"
	Set         Family = "set"
	Bits        Family = "bits"
	Array       Family = "array"
	Spatial     Family = "spatial"
	Inet        Family = "inet"
	Year        Family = "year"
)

// Compared is how an engine compares texts of a type.
type Compared string

// The ways to compare texts.
const (
	ByBytes       Compared = "byte by byte"
	WithoutSpaces Compared = "without trailing spaces"
	WithoutCase   Compared = "without case"
)

// Type is the logical type of a column at one engine. Only the fields of its family are
// set.
type Type struct {
	Engine string
	Name   string // as the engine has it, without what means nothing (a display width)
	Family Family

	Bits     int  // Int, Float: 8 to 64; Bits: how many
	Unsigned bool // Int

	Precision int // Decimal: digits, 0 without bound; Time, Timestamp: digits of a second
	Scale     int // Decimal

	Limit int64 // Text: characters; Bytes: bytes; 0 without bound
	Room  int64 // Text: bytes of UTF-8 that always fit; 0 without bound
	Fixed bool  // Text, Bytes: filled up to Limit; Bits: of exactly that many

	Compared Compared // Text
	Labels   []string // Enum, Set; nil when not known
}

// sameAs reports that a value of one is one of the other, in the same text.
func (t Type) sameAs(o Type) bool {
	labels, others := t.Labels, o.Labels
	t.Labels, o.Labels = nil, nil
	return t.equal(o) && slices.Equal(labels, others)
}

func (t Type) equal(o Type) bool {
	return t.Engine == o.Engine && t.Name == o.Name && t.Family == o.Family && t.Compared == o.Compared
}

// postgres reports whether the type is PostgreSQL's.
func (t Type) postgres() bool { return t.Engine == PostgreSQL }

// bounds are the least and the greatest value of an integer.
func (t Type) bounds() (low int64, high uint64) {
	if t.Unsigned {
		return 0, math.MaxUint64 >> (64 - t.Bits)
	}
	return math.MinInt64 >> (64 - t.Bits), math.MaxInt64 >> (64 - t.Bits)
}

// digits is how many digits the greatest value of an integer has.
func (t Type) digits() int {
	n := 0
	for _, high := t.bounds(); high > 0; high /= 10 {
		n++
	}
	return n
}
