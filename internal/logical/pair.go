package logical

import (
	"fmt"
	"slices"
)

// Fit says how the values of one column go into another.
type Fit string

// The fits, best first.
const (
	Same    Fit = "same"    // the text passes unchanged and unlooked at
	Exact   Fit = "exact"   // every value has its counterpart
	Checked Fit = "checked" // those that have none are refused one by one, with the reason
	Refused Fit = "refused" // the columns cannot replicate
)

// Verdict is the answer for a pair of columns. Reason says of Checked which values have
// no counterpart, and of Refused why; Remedy says of Refused what helps.
type Verdict struct {
	Fit            Fit
	Reason, Remedy string
}

func refused(reason, remedy string) Verdict { return Verdict{Refused, reason, remedy} }
func checked(reason string) Verdict         { return Verdict{Fit: Checked, Reason: reason} }

var exact = Verdict{Fit: Exact}

// Pair says how values of a column of type from go into one of type to; key says that
// the column belongs to the replication key or a unique key at either.
func Pair(from, to Type, key bool) Verdict {
	if from.sameAs(to) {
		return Verdict{Fit: Same}
	}
	if key && from.Family == Text && to.Family == Text && (from.Compared != to.Compared || from.Compared == WithoutCase && from.Engine != to.Engine) {
		return refused(fmt.Sprintf("one compares texts %s and the other %s: they would not agree which rows are one", from.describeCompared(), to.describeCompared()),
			"give the key one collation at both sites, or where they share none one that compares byte by byte: utf8mb4_0900_bin on MySQL, utf8mb4_nopad_bin on MariaDB, text or varchar on PostgreSQL")
	}
	if from.Family == to.Family {
		if within, ok := pairs[from.Family]; ok {
			return within(from, to)
		}
		return refused(fmt.Sprintf("%s has no counterpart in %s", from.Name, to.Name), "give both columns a type of this page")
	}
	if across, ok := crossings[[2]Family{from.Family, to.Family}]; ok {
		return across(from, to)
	}
	remedy := "give both columns a type of this page that maps"
	switch {
	case from.Family == Array || to.Family == Array:
		remedy = "keep the list as jsonb and JSON"
	case from.Family == Set || to.Family == Set:
		remedy = "keep the set as text at both"
	}
	return refused(fmt.Sprintf("%s does not map to %s", from.Family, to.Family), remedy)
}

func (t Type) describeCompared() string {
	if t.Compared == WithoutCase {
		return "without case in " + t.Engine + "'s way"
	}
	return string(t.Compared)
}

// pairs decides within a family.
var pairs = map[Family]func(from, to Type) Verdict{
	Bool: always, Date: dates, UUID: always, Year: always, Interval: always,
	Int: integers, Decimal: decimals, Float: floats, Text: texts, Bytes: byteStrings,
	Time: times, Timestamp: times, TimestampTZ: times, JSON: documents, Enum: enums, Set: enums,
	Bits: bitStrings, Inet: addresses, Spatial: shapes,
}

func always(Type, Type) Verdict { return exact }

func integers(from, to Type) Verdict {
	low, high := from.bounds()
	least, most := to.bounds()
	if low < least || high > most {
		remedy := "widen the narrower column"
		if from.Unsigned && from.Bits == 64 {
			remedy = "numeric(20,0) for the bigint"
		}
		return refused(fmt.Sprintf("%s holds values that %s does not", from.Name, to.Name), remedy)
	}
	return exact
}

func decimals(from, to Type) Verdict {
	switch {
	case to.Precision == 0:
	case from.Precision == 0:
		return refused("numeric without digits holds values that "+to.Name+" does not", "numeric(P,S) with the digits of "+to.Name)
	case from.Precision-from.Scale > to.Precision-to.Scale || from.Scale > to.Scale:
		return refused(fmt.Sprintf("%s has more digits than %s", from.Name, to.Name), "give both the same digits")
	}
	switch {
	case from.postgres() && !to.postgres():
		return checked("NaN and infinity" + also(to.Unsigned, ", negative values"))
	case to.Unsigned && !from.Unsigned:
		return checked("negative values")
	}
	return exact
}

func also(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}

func floats(from, to Type) Verdict {
	if from.Bits > to.Bits {
		return refused(fmt.Sprintf("%s holds values that %s rounds", from.Name, to.Name), "double precision or DOUBLE at both")
	}
	if from.postgres() && !to.postgres() {
		return checked("NaN and infinity")
	}
	return exact
}

func texts(from, to Type) Verdict {
	switch {
	case to.Fixed && !from.Fixed:
		return refused("spaces at the end are lost in "+to.Name, "varchar at both")
	case to.Limit > 0 && (from.Limit == 0 || from.Limit > to.Limit) && (from.Room == 0 || from.Room > to.Limit):
		return refused(fmt.Sprintf("%s holds longer texts than %s", from.Name, to.Name), "give both the same length")
	case to.Room > 0 && (from.Room == 0 || from.Room > to.Room) && (from.Limit == 0 || from.Limit*4 > to.Room):
		return refused(fmt.Sprintf("%s holds longer texts than %s", from.Name, to.Name), "LONGTEXT, or a varchar of the same length")
	case !from.postgres() && to.postgres():
		return checked("texts with a NUL character")
	}
	return exact
}

func byteStrings(from, to Type) Verdict {
	switch {
	case to.Fixed && (!from.Fixed || from.Limit != to.Limit):
		return refused(to.Name+" fills shorter values up", "VARBINARY, a BLOB or bytea at both, or BINARY of the same length")
	case to.Limit > 0 && (from.Limit == 0 || from.Limit > to.Limit):
		return refused(fmt.Sprintf("%s holds longer values than %s", from.Name, to.Name), "LONGBLOB, or the same length")
	}
	return exact
}

func dates(from, to Type) Verdict {
	switch {
	case from.postgres() == to.postgres():
		return exact
	case from.postgres():
		return checked("infinity, BC and years above 9999")
	}
	return checked("zero dates and zero months or days")
}

func times(from, to Type) Verdict {
	if from.Precision > to.Precision {
		return refused(fmt.Sprintf("%s has more digits of a second than %s", from.Name, to.Name), "give both the same: (6) has all")
	}
	switch {
	case from.postgres() == to.postgres() && from.Engine == to.Engine:
		return exact
	case from.Family == Time && from.postgres(), from.Family == Time && !to.postgres():
		return exact
	case from.Family == Time:
		return checked("times below 0 and above 24:00:00")
	case from.postgres() && to.Family == TimestampTZ:
		return checked("infinity and what is outside of 1970-01-01 00:00:01 to 2038-01-19 03:14:07")
	case from.postgres():
		return checked("infinity, BC and years above 9999")
	case to.postgres():
		return checked("zero dates and zero months or days")
	case to.Family == TimestampTZ:
		return checked("what is outside of 1970-01-01 00:00:01 to 2038-01-19 03:14:07")
	}
	return exact
}

func documents(Type, Type) Verdict {
	return checked("numbers that a 64-bit integer or double does not hold, a key twice in one object, NUL characters; the document is kept, not its spelling")
}

func enums(from, to Type) Verdict {
	if from.Labels == nil || to.Labels == nil {
		return checked("labels that the other does not have")
	}
	if from.Family == Set && !slices.Equal(from.Labels, to.Labels[:min(len(from.Labels), len(to.Labels))]) {
		return refused("their labels, or the order of them, differ", "give both the same labels in one order")
	}
	for _, l := range from.Labels {
		if !slices.Contains(to.Labels, l) {
			return refused(fmt.Sprintf("the label %q is only in one", l), "give both the same labels")
		}
	}
	if from.Family == Enum && !from.postgres() {
		return checked("the empty text that stands for an error")
	}
	return exact
}

func bitStrings(from, to Type) Verdict {
	if from.Bits != to.Bits {
		return refused("they differ in their number of bits", "give both the same number of bits")
	}
	return exact
}

func addresses(_, to Type) Verdict {
	if to.postgres() {
		return exact
	}
	return checked("networks, and addresses of the other version")
}

func shapes(from, to Type) Verdict {
	if from.Engine == to.Engine {
		return refused("the kinds of shapes differ", "give both the same type")
	}
	return checked("shapes with an SRID: the engines differ in the order of their axes")
}

// crossings decides between families.
var crossings = map[[2]Family]func(from, to Type) Verdict{
	{Bool, Int}: always,
	{Int, Bool}: func(from, _ Type) Verdict {
		if from.Name != "tinyint(1)" {
			return refused(from.Name+" holds more than true and false", "TINYINT(1), or an integer at both")
		}
		return checked("values but 0 and 1")
	},
	{Bool, Bits}: oneBit,
	{Bits, Bool}: func(from, to Type) Verdict { return oneBit(to, from) },
	{Int, Decimal}: func(from, to Type) Verdict {
		switch {
		case to.Precision > 0 && to.Precision-to.Scale < from.digits():
			return refused(fmt.Sprintf("%s has more digits than %s", from.Name, to.Name), fmt.Sprintf("numeric(%d,0)", from.digits()))
		case to.Unsigned && !from.Unsigned:
			return checked("negative values")
		}
		return exact
	},
	{Decimal, Int}: func(from, to Type) Verdict {
		if from.Precision == 0 || from.Scale != 0 || from.Precision > to.digits() {
			return refused(fmt.Sprintf("%s holds values that %s does not", from.Name, to.Name), fmt.Sprintf("numeric(%d,0), or the integer", to.digits()))
		}
		return checked("what is outside of " + to.Name)
	},
	{Year, Int}: func(_, to Type) Verdict {
		if _, high := to.bounds(); high < 2155 {
			return refused("years do not fit in "+to.Name, "smallint")
		}
		return exact
	},
	{Int, Year}:              func(Type, Type) Verdict { return checked("values but 0 and 1901 to 2155") },
	{UUID, Bytes}:            sixteen,
	{Bytes, UUID}:            func(from, to Type) Verdict { return sixteen(to, from) },
	{UUID, Text}:             spelled(36),
	{Text, UUID}:             func(Type, Type) Verdict { return checked("what is not a UUID in lower case with dashes") },
	{Inet, Text}:             spelled(43),
	{Time, Interval}:         always,
	{Interval, Time}:         intervals,
	{Timestamp, TimestampTZ}: zones,
	{TimestampTZ, Timestamp}: zones,
	{Enum, Text}:             labelled,
	{Set, Text}:              labelled,
}

func oneBit(_, bits Type) Verdict {
	if bits.Bits != 1 || bits.postgres() {
		return refused(bits.Name+" is not a boolean", "BIT(1) or TINYINT(1)")
	}
	return exact
}

func sixteen(_, b Type) Verdict {
	if b.Limit != 16 || !b.Fixed {
		return refused(b.Name+" is not as long as a UUID", "BINARY(16)")
	}
	return exact
}

// spelled decides for values whose longest text is n characters.
func spelled(n int64) func(from, to Type) Verdict {
	return func(_, to Type) Verdict {
		if to.Limit > 0 && to.Limit < n {
			return refused(to.Name+" is too short", fmt.Sprintf("varchar(%d)", n))
		}
		return exact
	}
}

func intervals(_, to Type) Verdict {
	if to.Precision < 6 {
		return refused("an interval has more digits of a second than "+to.Name, "TIME(6)")
	}
	return checked("intervals with days or months, and beyond 838:59:59")
}

// zones decides between a moment and a date with a time: PostgreSQL's timestamptz and
// MySQL's DATETIME in UTC, the only type there with its range.
func zones(from, to Type) Verdict {
	stamp, moment := from, to
	if from.Family == TimestampTZ {
		stamp, moment = to, from
	}
	if stamp.postgres() || !moment.postgres() {
		return refused("one has a zone and the other has none", "timestamp with time zone and TIMESTAMP, or DATETIME in UTC; timestamp and DATETIME")
	}
	return times(Type{Engine: from.Engine, Name: from.Name, Family: Timestamp, Precision: from.Precision},
		Type{Engine: to.Engine, Name: to.Name, Family: Timestamp, Precision: to.Precision})
}

func labelled(from, to Type) Verdict {
	if to.Limit > 0 || to.Fixed {
		return refused("nobody knows how long labels become", "text or LONGTEXT")
	}
	if !from.postgres() && to.postgres() {
		return checked("texts with a NUL character")
	}
	return exact
}
