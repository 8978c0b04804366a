package logical

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

func TestPairs(t *testing.T) {
	pg := func(name string, k change.Kind) Type { return col(PostgreSQL, name, k) }
	my := func(name string, k change.Kind) Type { return col(MySQL, name, k) }
	maria := func(name string, k change.Kind) Type { return col(MariaDB, name, k) }
	for _, c := range []struct {
		name     string
		from, to Type
		key      bool
		fit      Fit
		remedy   string
	}{
		{"one type of one engine", pg("numeric", change.KindDecimal), pg("numeric", change.KindDecimal), true, Same, ""},
		{"a type nobody knows at one engine", pg("hstore", change.KindNative), pg("hstore", change.KindNative), false, Same, ""},
		{"a type nobody knows across", pg("hstore", change.KindNative), my("json", change.KindJSONB), false, Refused, ""},
		{"the width that MariaDB shows", maria("int(11)", change.KindInt), my("int", change.KindInt), true, Exact, ""},
		{"labels of other lists", my("enum('a')", change.KindEnum), my("enum('b')", change.KindEnum), false, Refused, "labels"},
		{"labels of a set in another order", my("set('a','b')", change.KindNative), maria("set('b','a')", change.KindNative), false, Refused, "order"},
		{"unsigned 64 bits into bigint", my("bigint unsigned", change.KindInt), pg("bigint", change.KindInt), false, Refused, "numeric(20,0)"},
		{"unsigned 64 bits into numeric(20,0)", my("bigint unsigned", change.KindInt), pg("numeric(20,0)", change.KindDecimal), false, Exact, ""},
		{"narrower text", my("varchar(200)", change.KindText), pg("character varying(100)", change.KindText), false, Refused, "same length"},
		{"text without bound", pg("text", change.KindText), my("text", change.KindText), false, Refused, "LONGTEXT"},
		{"characters of four bytes", pg("character varying(16383)", change.KindText), my("text", change.KindText), false, Exact, ""},
		{"a key without case against one with", my("varchar(20)", change.KindFoldedText), pg("character varying(20)", change.KindText), true, Refused, "byte by byte"},
		{"the same outside of a key", my("varchar(20)", change.KindFoldedText), pg("character varying(20)", change.KindText), false, Checked, ""},
		{"keys without case, each in its way", my("varchar(20)", change.KindFoldedText), pg("citext", change.KindFoldedText), true, Refused, "byte by byte"},
		{"a moment into a DATETIME", pg("timestamp with time zone", change.KindTimestampTZ), my("datetime(6)", change.KindTimestamp), false, Checked, ""},
		{"no zone into a TIMESTAMP", pg("timestamp without time zone", change.KindTimestamp), my("timestamp(6)", change.KindTimestampTZ), false, Refused, "DATETIME"},
		{"fractions into whole seconds", pg("timestamp without time zone", change.KindTimestamp), my("datetime", change.KindTimestamp), false, Refused, "(6)"},
		{"whole seconds into fractions", my("datetime", change.KindTimestamp), pg("timestamp without time zone", change.KindTimestamp), false, Checked, ""},
		{"an array", pg("integer[]", change.KindArray), my("json", change.KindJSONB), false, Refused, "jsonb"},
		{"an array of another type", pg("integer[]", change.KindArray), pg("bigint[]", change.KindArray), false, Refused, ""},
		{"a uuid as bytes", pg("uuid", change.KindUUID), my("binary(16)", change.KindBytes), true, Exact, ""},
		{"a uuid as fewer bytes", pg("uuid", change.KindUUID), my("binary(8)", change.KindBytes), true, Refused, "BINARY(16)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Pair(c.from, c.to, c.key)
			if v.Fit != c.fit || !strings.Contains(v.Remedy, c.remedy) {
				t.Errorf("%s, want %s with a remedy about %q", v, c.fit, c.remedy)
			}
			if v.Fit == Refused && (v.Reason == "" || v.Remedy == "") || v.Fit == Checked && v.Reason == "" {
				t.Errorf("%s does not say why, or what helps", v)
			}
		})
	}
}

func TestValues(t *testing.T) {
	const none = "\xffnone"
	for _, c := range []struct {
		text, from, to string // engine:type
		fromKind, kind change.Kind
		want           string
	}{
		{"true", "postgres:boolean", "mysql:tinyint(1)", change.KindBool, change.KindInt, "1"},
		{"2", "mysql:tinyint(1)", "postgres:boolean", change.KindInt, change.KindBool, none},
		{"\x01", "mysql:bit(1)", "postgres:boolean", change.KindBytes, change.KindBool, "true"},
		{"18446744073709551615", "mysql:bigint unsigned", "postgres:numeric(20,0)", change.KindInt, change.KindDecimal, "18446744073709551615"},
		{"-1", "postgres:numeric(20,0)", "mysql:bigint unsigned", change.KindDecimal, change.KindInt, none},
		{"18446744073709551616", "postgres:numeric(20,0)", "mysql:bigint unsigned", change.KindDecimal, change.KindInt, none},
		{"NaN", "postgres:numeric(12,2)", "mysql:decimal(12,2)", change.KindDecimal, change.KindDecimal, none},
		{"1.5", "postgres:numeric", "mysql:decimal(12,2)", change.KindDecimal, change.KindDecimal, "1.50"},
		{"1.005", "postgres:numeric", "mysql:decimal(12,2)", change.KindDecimal, change.KindDecimal, none},
		{"-Infinity", "postgres:double precision", "mysql:double", change.KindFloat, change.KindFloat, none},
		{"0.1", "mysql:float", "postgres:double precision", change.KindFloat, change.KindFloat, "0.10000000149011612"},
		{"a\x00b", "mysql:longtext", "postgres:text", change.KindText, change.KindText, none},
		{"", "mysql:longtext", "postgres:text", change.KindText, change.KindText, ""},
		{"ab      ", "postgres:character(8)", "mysql:char(8)", change.KindPaddedText, change.KindPaddedText, "ab"},
		{"0000-00-00", "mysql:date", "postgres:date", change.KindDate, change.KindDate, none},
		{"0000-00-00", "mysql:date", "mariadb:date", change.KindDate, change.KindDate, "0000-00-00"},
		{"2026-00-00 00:00:00", "mysql:datetime", "mariadb:datetime(3)", change.KindTimestamp, change.KindTimestamp, "2026-00-00 00:00:00.000"},
		{"2026-02-00", "mysql:date", "postgres:date", change.KindDate, change.KindDate, none},
		{"infinity", "postgres:date", "mysql:date", change.KindDate, change.KindDate, none},
		{"0044-03-15 BC", "postgres:date", "mysql:date", change.KindDate, change.KindDate, none},
		{"0044-03-15 00:00:00 BC", "postgres:timestamp(6) without time zone", "mysql:datetime(6)", change.KindTimestamp, change.KindTimestamp, none},
		{"0044-03-15 00:00:00+00 BC", "postgres:timestamp(6) with time zone", "mysql:datetime(6)", change.KindTimestampTZ, change.KindTimestamp, none},
		{"10000-01-01 00:00:00", "postgres:timestamp(6) without time zone", "mysql:datetime(6)", change.KindTimestamp, change.KindTimestamp, none},
		{"0000-00-00 00:00:00", "mysql:datetime", "postgres:timestamp without time zone", change.KindTimestamp, change.KindTimestamp, none},
		{"infinity", "postgres:timestamp without time zone", "mysql:datetime(6)", change.KindTimestamp, change.KindTimestamp, none},
		{"2026-07-31 23:59:59.5", "postgres:timestamp without time zone", "mysql:datetime(6)", change.KindTimestamp, change.KindTimestamp, "2026-07-31 23:59:59.500000"},
		{"2038-01-19 03:14:07.999999+00", "postgres:timestamp with time zone", "mysql:timestamp(6)", change.KindTimestampTZ, change.KindTimestampTZ, "2038-01-19 03:14:07.999999+00"},
		{"2038-01-19 03:14:08+00", "postgres:timestamp with time zone", "mysql:timestamp(6)", change.KindTimestampTZ, change.KindTimestampTZ, none},
		{"1969-12-31 23:59:59+00", "postgres:timestamp with time zone", "mysql:datetime(6)", change.KindTimestampTZ, change.KindTimestamp, "1969-12-31 23:59:59.000000"},
		{"24:00:00", "postgres:time without time zone", "mysql:time(6)", change.KindTime, change.KindTime, "24:00:00.000000"},
		{"-00:00:01", "mysql:time", "postgres:time without time zone", change.KindTime, change.KindTime, none},
		{"24:00:01", "mysql:time", "postgres:time without time zone", change.KindTime, change.KindTime, none},
		{"-838:59:59.000000", "mysql:time(6)", "postgres:interval", change.KindTime, change.KindInterval, "-838:59:59"},
		{"1 day", "postgres:interval", "mysql:time(6)", change.KindInterval, change.KindTime, none},
		{"838:59:59.5", "postgres:interval", "mysql:time(6)", change.KindInterval, change.KindTime, none},
		{"00ff0000-0000-0000-0000-000000000001", "postgres:uuid", "mysql:binary(16)", change.KindUUID, change.KindBytes, "\x00\xff" + strings.Repeat("\x00", 13) + "\x01"},
		{"00FF0000-0000-0000-0000-000000000001", "mysql:char(36)", "postgres:uuid", change.KindText, change.KindUUID, none},
		{"1.5e+06", "postgres:real", "mysql:double", change.KindFloat, change.KindFloat, "1500000"},
		{"1e+15", "mysql:float", "postgres:double precision", change.KindFloat, change.KindFloat, "999999986991104"},
		{`{"a": 1.10}`, "postgres:jsonb", "mysql:json", change.KindJSONB, change.KindJSONB, `{"a":1.1}`},
		{`{"a": 1.5, "b": [18446744073709551615]}`, "postgres:jsonb", "mysql:json", change.KindJSONB, change.KindJSONB, `{"a":1.5,"b":[18446744073709551615]}`},
		{`{"b": [1, 1.0, 1e2, -0.0, 1e30], "a": "<\n>"}`, "mysql:json", "postgres:jsonb", change.KindJSONB, change.KindJSONB, `{"a":"<\n>","b":[1,1.0,100.0,0.0,1e+30]}`},
		{`{"a": 12345678901234567890.123}`, "postgres:jsonb", "mysql:json", change.KindJSONB, change.KindJSONB, none},
		{`1e-400`, "postgres:jsonb", "mysql:json", change.KindJSONB, change.KindJSONB, none},
		{`{"a": 1, "a": 2}`, "mariadb:longtext", "postgres:jsonb", change.KindJSON, change.KindJSONB, none},
		{`"\u0000"`, "mariadb:longtext", "postgres:jsonb", change.KindJSON, change.KindJSONB, none},
		{"", "mysql:enum('sad','glad')", "postgres:mood", change.KindEnum, change.KindEnum, none},
		{"lost", "postgres:mood", "mysql:enum('sad','glad')", change.KindEnum, change.KindEnum, none},
		{"000000000101", "postgres:bit(12)", "mysql:bit(12)", change.KindNative, change.KindBytes, "\x00\x05"},
		{"10.0.0.0/8", "postgres:inet", "mariadb:inet6", change.KindNative, change.KindNative, none},
		{"\x01\x00\x00\x00", "mysql:point", "mariadb:point", change.KindBytes, change.KindBytes, none},
	} {
		t.Run(fmt.Sprintf("%q %s %s", c.text, c.from, c.to), func(t *testing.T) {
			engine, name, _ := strings.Cut(c.from, ":")
			other, otherName, _ := strings.Cut(c.to, ":")
			got, err := Convert(c.text, col(engine, name, c.fromKind), col(other, otherName, c.kind))
			switch {
			case c.want == none && !errors.Is(err, errNone):
				t.Errorf("%q, %v, want a refusal", got, err)
			case c.want != none && (err != nil || got != c.want):
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// values draws the canonical text of a value that a type can hold.
func values(r *rapid.T, t Type) string {
	zeros := func(n, width int) string { return fmt.Sprintf("%0*d", width, n) }
	part := func(high int) string { return zeros(rapid.IntRange(0, high).Draw(r, "part"), 2) }
	second := func(precision int) string {
		digits := ""
		if precision > 0 {
			digits = "." + zeros(rapid.IntRange(0, int(math.Pow10(precision))-1).Draw(r, "fraction"), precision)
		}
		if t.postgres() {
			digits = strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
		}
		return part(59) + ":" + part(59) + digits
	}
	day := func() string {
		return zeros(rapid.IntRange(1971, 2037).Draw(r, "year"), 4) + "-" + zeros(rapid.IntRange(1, 12).Draw(r, "month"), 2) + "-" + zeros(rapid.IntRange(1, 28).Draw(r, "day"), 2)
	}
	word := func(limit int) string {
		return rapid.StringMatching(fmt.Sprintf("[a-zé漢]{0,%d}", limit)).Draw(r, "word")
	}
	limit := int(min(max(t.Limit, 1), 30))
	switch t.Family {
	case Bool:
		return strconv.FormatBool(rapid.Bool().Draw(r, "bool"))
	case Int:
		low, high := t.bounds()
		if t.Unsigned {
			return strconv.FormatUint(rapid.Uint64Range(0, high).Draw(r, "unsigned"), 10)
		}
		return strconv.FormatInt(rapid.Int64Range(low, int64(high)).Draw(r, "signed"), 10)
	case Decimal:
		text := strconv.FormatInt(rapid.Int64Range(-999999999, 999999999).Draw(r, "number"), 10)
		if t.Scale > 0 {
			text += "." + zeros(rapid.IntRange(0, int(math.Pow10(min(t.Scale, 9)))-1).Draw(r, "fraction"), min(t.Scale, 9)) + strings.Repeat("0", max(0, t.Scale-9))
		}
		return text
	case Float:
		if t.Bits == 32 {
			return strconv.FormatFloat(float64(rapid.Float32().Draw(r, "float")), 'g', -1, 32)
		}
		return strconv.FormatFloat(rapid.Float64().Draw(r, "double"), 'g', -1, 64)
	case Text:
		w := word(limit)
		if t.Fixed && t.postgres() {
			w += strings.Repeat(" ", int(t.Limit)-len([]rune(w)))
		}
		return w
	case Bytes:
		if t.Fixed {
			return string(rapid.SliceOfN(rapid.Byte(), limit, limit).Draw(r, "bytes"))
		}
		return string(rapid.SliceOfN(rapid.Byte(), 0, limit).Draw(r, "bytes"))
	case Date:
		return day()
	case Time:
		return part(23) + ":" + second(t.Precision)
	case Interval:
		return part(99) + ":" + second(6)
	case Timestamp:
		return day() + " " + part(23) + ":" + second(t.Precision)
	case TimestampTZ:
		return day() + " " + part(23) + ":" + second(t.Precision) + "+00"
	case UUID:
		text, _ := fromSixteen(string(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "uuid")))
		return text
	case JSON:
		return `{"a":[` + strconv.Itoa(rapid.Int().Draw(r, "number")) + `,"` + word(9) + `",null,0.5]}`
	case Set:
		return strings.Join(t.Labels[:rapid.IntRange(0, len(t.Labels)).Draw(r, "labels")], ",")
	case Enum:
		return rapid.SampledFrom([]string{"sad", "glad"}).Draw(r, "label")
	case Bits:
		n := rapid.Uint64Range(0, 1<<t.Bits-1).Draw(r, "bits")
		if t.postgres() {
			return fmt.Sprintf("%0*b", t.Bits, n)
		}
		var b []byte
		for i := (t.Bits+7)/8 - 1; i >= 0; i-- {
			b = append(b, byte(n>>(8*i)))
		}
		return string(b)
	case Inet:
		return fmt.Sprintf("2001:db8::%x", rapid.IntRange(1, 65535).Draw(r, "address"))
	case Year:
		return strconv.Itoa(rapid.IntRange(1901, 2155).Draw(r, "year"))
	case Spatial:
		return "\x00\x00\x00\x00" + string(rapid.SliceOf(rapid.Byte()).Draw(r, "shape"))
	}
	return word(9)
}

// everyType is each type of the page at each engine.
func everyType() (out []Type) {
	for _, c := range correspond {
		out = append(out, col(PostgreSQL, c.postgres, c.here), col(MySQL, c.mysql, c.mysqlKind), col(MariaDB, c.mariadb, c.maria))
	}
	return out
}

func TestWhatGoesBothWaysComesBackAsItWas(t *testing.T) {
	types := everyType()
	tried := map[string]bool{}
	for _, from := range types {
		for _, to := range types {
			name := from.Engine + " " + from.Name + " to " + to.Engine + " " + to.Name
			if there := Pair(from, to, false); there.Fit != Refused && !tried[name] {
				tried[name] = true
				t.Run(name, rapid.MakeCheck(func(r *rapid.T) { thereAndBack(r, from, to, there) }))
			}
		}
	}
}

func thereAndBack(r *rapid.T, from, to Type, there Verdict) {
	text := values(r, from)
	converted, err := Convert(text, from, to)
	switch {
	case err != nil && there.Fit == Checked:
		return
	case err != nil:
		r.Fatalf("it is %s, and %q: %v", there, text, err)
	case Pair(to, from, false).Fit == Refused:
		return
	}
	if again, err := Convert(converted, to, from); err != nil || again != text {
		r.Fatalf("%q is %q there and came back as %q, %v", text, converted, again, err)
	}
}

func FuzzConvertNeverPanics(f *testing.F) {
	types := everyType()
	f.Add("2026-07-31 23:59:59+00", 3, 40)
	f.Fuzz(func(_ *testing.T, text string, from, to int) {
		a, b := types[uint(from)%uint(len(types))], types[uint(to)%uint(len(types))]
		if Pair(a, b, false).Fit != Refused {
			_, _ = Convert(text, a, b)
		}
	})
}
