package postgres

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// The canonical text of each kind, as this engine's capture half produces it and
// its apply half takes it. With the fixed session settings it is what the type's
// output function writes, but for two kinds:
//
//	KindBool          "true", "false"                    (server: t, f)
//	KindBytes         the raw bytes                      (server: \x and hex)
//	KindInt           -12
//	KindDecimal       12.50, NaN, Infinity, -Infinity; the scale is kept
//	KindFloat         shortest that reads back: 0.1, 1e+20, NaN, -Infinity
//	KindText          as stored
//	KindPaddedText    with its padding
//	KindFoldedText    citext, as stored
//	KindDate          2026-07-31, infinity, 0044-03-15 BC
//	KindTime          23:59:59.123456, 24:00:00
//	KindTimestamp     2026-07-31 23:59:59.123456, infinity
//	KindTimestampTZ   2026-07-31 23:59:59.123456+00
//	KindInterval      1 year 2 mons 3 days 04:05:06.789
//	KindUUID          lower case with dashes
//	KindJSON          as written
//	KindJSONB         as the server normalises it
//	KindEnum          the label
//	KindArray         {1,2,NULL}, {"a b",c}; bool elements stay t and f
//	KindNative        everything else (ranges, composites, inet, money, xml, …)
//
// A domain has the kind of its base type.

// typeFacts is what is known of one type.
type typeFacts struct {
	kind change.Kind
	// keyProblem says why a column of this type cannot be part of a replication
	// key; empty when it can: equal values then have equal canonical text, or
	// package conflict knows how to normalise it.
	keyProblem string
}

// typeRow is a row of pg_type, with what hangs on it.
type typeRow struct {
	oid     uint32
	schema  string
	name    string
	kind    string // typtype: b base, c composite, d domain, e enum, r range, m multirange, p pseudo
	base    uint32 // of a domain
	element uint32 // of a true array
	subtype uint32 // of a range or multirange
}

// builtinKinds gives the kind of the types of pg_catalog by name.
var builtinKinds = map[string]change.Kind{
	"bool": change.KindBool,
	"int2": change.KindInt, "int4": change.KindInt, "int8": change.KindInt, "oid": change.KindInt,
	"numeric": change.KindDecimal,
	"float4":  change.KindFloat, "float8": change.KindFloat,
	"text": change.KindText, "varchar": change.KindText, "name": change.KindText,
	"bpchar":    change.KindPaddedText,
	"bytea":     change.KindBytes,
	"date":      change.KindDate,
	"time":      change.KindTime,
	"timestamp": change.KindTimestamp, "timestamptz": change.KindTimestampTZ,
	"interval": change.KindInterval,
	"uuid":     change.KindUUID,
	"json":     change.KindJSON,
	"jsonb":    change.KindJSONB,
}

// nativeKeys are the types without a kind of their own whose text is equal exactly
// when the values are.
var nativeKeys = map[string]bool{
	"inet": true, "cidr": true, "macaddr": true, "macaddr8": true, "bit": true, "varbit": true,
	"money": true, "timetz": true, "char": true, "pg_lsn": true, "xid8": true,
}

// factsOf derives the facts of a type; lookup gives the row of a type it hangs on.
func factsOf(t typeRow, lookup func(oid uint32) (typeRow, bool)) typeFacts {
	for range 32 { // domains over domains
		if t.kind != "d" {
			break
		}
		base, ok := lookup(t.base)
		if !ok {
			break
		}
		t = base
	}
	part := func(oid uint32) (typeFacts, bool) {
		p, ok := lookup(oid)
		if !ok || p.oid == t.oid {
			return typeFacts{}, false
		}
		return factsOf(p, lookup), true
	}
	switch {
	case t.kind == "e":
		return typeFacts{kind: change.KindEnum}
	case t.kind == "c":
		return typeFacts{kind: change.KindNative, keyProblem: "a composite type"}
	case t.kind == "r" || t.kind == "m":
		f := typeFacts{kind: change.KindNative}
		if sub, ok := part(t.subtype); !ok || sub.keyProblem != "" || !plainText(sub.kind) {
			f.keyProblem = "a range of a type that writes equal values in several ways"
		}
		return f
	case t.element != 0:
		f := typeFacts{kind: change.KindArray}
		if el, ok := part(t.element); !ok || el.keyProblem != "" || !plainText(el.kind) {
			f.keyProblem = "an array of a type that writes equal values in several ways"
		}
		return f
	case t.name == "citext":
		return typeFacts{kind: change.KindFoldedText}
	case t.schema == "pg_catalog":
		k, known := builtinKinds[t.name]
		if !known {
			if nativeKeys[t.name] {
				return typeFacts{kind: change.KindNative}
			}
			return typeFacts{kind: change.KindNative, keyProblem: "a type that writes equal values in several ways"}
		}
		switch k {
		case change.KindFloat, change.KindInterval, change.KindJSON, change.KindJSONB:
			return typeFacts{kind: k, keyProblem: "a type that writes equal values in several ways"}
		}
		return typeFacts{kind: k}
	}
	return typeFacts{kind: change.KindNative, keyProblem: "a type of an extension"}
}

// plainText reports whether two values of the kind are equal exactly when their
// canonical texts are, without any normalising.
func plainText(k change.Kind) bool {
	switch k {
	case change.KindDecimal, change.KindPaddedText, change.KindFoldedText, change.KindFloat,
		change.KindInterval, change.KindJSON, change.KindJSONB:
		return false
	}
	return true
}

// form is how the server's text of a column becomes canonical.
type form uint8

const (
	formSame form = iota
	formBool
	formBytes
)

func formOf(k change.Kind) form {
	switch k {
	case change.KindBool:
		return formBool
	case change.KindBytes:
		return formBytes
	}
	return formSame
}

var (
	errBool  = errors.New("a boolean that is neither t nor f")
	errBytes = errors.New(`a bytea that is not \x and hexadecimal`)
)

// canonical turns the server's text into canonical text.
func (f form) canonical(s string) (string, error) {
	switch f {
	case formBool:
		switch s {
		case "t":
			return "true", nil
		case "f":
			return "false", nil
		}
		return "", errBool
	case formBytes:
		if !strings.HasPrefix(s, `\x`) || len(s)%2 != 0 {
			return "", errBytes
		}
		var b strings.Builder
		b.Grow(len(s)/2 - 1)
		for i := 2; i < len(s); i += 2 {
			hi, lo := unhex(s[i]), unhex(s[i+1])
			if hi|lo > 15 {
				return "", errBytes
			}
			b.WriteByte(hi<<4 | lo)
		}
		return b.String(), nil
	}
	return s, nil
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// nativeText is the inverse: the text that the server reads as the value.
func nativeText(k change.Kind, text string) string {
	if k == change.KindBytes {
		return `\x` + hex.EncodeToString([]byte(text))
	}
	return text
}
