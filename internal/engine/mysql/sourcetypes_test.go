package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

// logged is a column type, SQL expressions of values, and the canonical texts that the
// log must give for them.
type logged struct {
	sql    string
	kind   change.Kind
	values []string
	want   []string
	only   flavor // empty: both
}

var loggedTypes = []logged{
	{sql: "tinyint", kind: change.KindInt, values: []string{"-128", "0", "127"}, want: []string{"-128", "0", "127"}},
	{sql: "tinyint unsigned", kind: change.KindInt, values: []string{"255"}, want: []string{"255"}},
	{sql: "boolean", kind: change.KindInt, values: []string{"true", "false", "7"}, want: []string{"1", "0", "7"}},
	{sql: "smallint", kind: change.KindInt, values: []string{"-32768", "32767"}, want: []string{"-32768", "32767"}},
	{sql: "smallint unsigned", kind: change.KindInt, values: []string{"65535"}, want: []string{"65535"}},
	{sql: "mediumint", kind: change.KindInt, values: []string{"-8388608", "8388607", "-1"}, want: []string{"-8388608", "8388607", "-1"}},
	{sql: "mediumint unsigned", kind: change.KindInt, values: []string{"16777215"}, want: []string{"16777215"}},
	{sql: "int", kind: change.KindInt, values: []string{"-2147483648", "2147483647"}, want: []string{"-2147483648", "2147483647"}},
	{sql: "int unsigned zerofill", kind: change.KindInt, values: []string{"4294967295", "7"}, want: []string{"4294967295", "7"}},
	{sql: "bigint", kind: change.KindInt, values: []string{"-9223372036854775808", "9007199254740993"}, want: []string{"-9223372036854775808", "9007199254740993"}},
	{sql: "bigint unsigned", kind: change.KindInt, values: []string{"18446744073709551615"}, want: []string{"18446744073709551615"}},
	{sql: "year", kind: change.KindInt, values: []string{"1901", "2155", "'0000'"}, want: []string{"1901", "2155", "0000"}},
	{sql: "decimal(65,30)", kind: change.KindDecimal, values: []string{"0", "-0.1", "99999999999999999999999999999999999.999999999999999999999999999999", "-12345678901234567890123456789012345.000000000000000000000000000001"},
		want: []string{"0." + strings.Repeat("0", 30), "-0.1" + strings.Repeat("0", 29), "99999999999999999999999999999999999.999999999999999999999999999999", "-12345678901234567890123456789012345.000000000000000000000000000001"}},
	{sql: "decimal(9)", kind: change.KindDecimal, values: []string{"-999999999", "0", "10"}, want: []string{"-999999999", "0", "10"}},
	{sql: "decimal(4,4)", kind: change.KindDecimal, values: []string{"0.0001", "-0.9999"}, want: []string{"0.0001", "-0.9999"}},
	{sql: "decimal(20,10)", kind: change.KindDecimal, values: []string{"1000000000.0000000001"}, want: []string{"1000000000.0000000001"}},
	{sql: "float", kind: change.KindFloat, values: []string{"0.1", "16777216", "1e20", "-1e-20", "0"}, want: []string{"0.1", "1.6777216e+07", "1e+20", "-1e-20", "0"}},
	{sql: "double", kind: change.KindFloat, values: []string{"0.1", "0.30000000000000004e0", "1.7976931348623157e308", "5e-324", "123456789012345e0"}, want: []string{"0.1", "0.30000000000000004", "1.7976931348623157e+308", "5e-324", "123456789012345"}},
	{sql: "bit(1)", kind: change.KindBytes, values: []string{"b'1'", "b'0'"}, want: []string{"\x01", "\x00"}},
	{sql: "bit(12)", kind: change.KindBytes, values: []string{"b'101010101010'"}, want: []string{"\x0a\xaa"}},
	{sql: "bit(64)", kind: change.KindBytes, values: []string{"~0"}, want: []string{"\xff\xff\xff\xff\xff\xff\xff\xff"}},
	{sql: "char(4)", kind: change.KindFoldedText, values: []string{"'ab  '", "''", "'🙂🙂🙂🙂'"}, want: []string{"ab", "", "🙂🙂🙂🙂"}},
	{sql: "char(255)", kind: change.KindFoldedText, values: []string{"repeat('ü', 255)"}, want: []string{strings.Repeat("ü", 255)}},
	{sql: "varchar(10)", kind: change.KindFoldedText, values: []string{"'ab  '", "''", "'\\n\\'\\\\'"}, want: []string{"ab  ", "", "\n'\\"}},
	{sql: "varchar(300)", kind: change.KindFoldedText, values: []string{"'é'", "repeat('x', 300)"}, want: []string{"é", strings.Repeat("x", 300)}},
	{sql: "varchar(10) collate utf8mb4_bin", kind: change.KindPaddedText, values: []string{"'A'"}, want: []string{"A"}},
	{sql: "varchar(10) collate utf8mb4_0900_bin", kind: change.KindText, values: []string{"'A '"}, want: []string{"A "}, only: mySQL},
	{sql: "varchar(10) character set latin1", kind: change.KindFoldedText, values: []string{"'é€'", "''"}, want: []string{"é€", ""}},
	{sql: "varchar(10) character set utf16", kind: change.KindFoldedText, values: []string{"'é🙂'"}, want: []string{"é🙂"}},
	{sql: "varchar(10) character set ucs2", kind: change.KindFoldedText, values: []string{"'é漢'"}, want: []string{"é漢"}},
	{sql: "varchar(10) character set utf32", kind: change.KindFoldedText, values: []string{"'é🙂'"}, want: []string{"é🙂"}},
	{sql: "varchar(10) character set gbk", kind: change.KindFoldedText, values: []string{"'漢字'"}, want: []string{"漢字"}},
	{sql: "varchar(10) character set sjis", kind: change.KindFoldedText, values: []string{"'漢字'"}, want: []string{"漢字"}},
	{sql: "varchar(10) character set koi8r", kind: change.KindFoldedText, values: []string{"'привет'"}, want: []string{"привет"}},
	{sql: "text character set cp1251", kind: change.KindFoldedText, values: []string{"'привет'"}, want: []string{"привет"}},
	{sql: "tinytext", kind: change.KindFoldedText, values: []string{"repeat('x', 255)"}, want: []string{strings.Repeat("x", 255)}},
	{sql: "longtext", kind: change.KindFoldedText, values: []string{"repeat('é', 100000)", "''"}, want: []string{strings.Repeat("é", 100000), ""}},
	{sql: "binary(5)", kind: change.KindBytes, values: []string{"'a\\0b'", "''", "x'0000000000'"}, want: []string{"a\x00b\x00\x00", "\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00"}},
	{sql: "varbinary(5)", kind: change.KindBytes, values: []string{"'a\\0'", "''", "x'ff'"}, want: []string{"a\x00", "", "\xff"}},
	{sql: "blob", kind: change.KindBytes, values: []string{"x'00ff27'", "''"}, want: []string{"\x00\xff'", ""}},
	{sql: "mediumblob", kind: change.KindBytes, values: []string{"repeat(x'00ff', 50000)"}, want: []string{strings.Repeat("\x00\xff", 50000)}},
	{sql: "enum('glad', 'so so', 'it''s ü')", kind: change.KindEnum, values: []string{"'glad'", "'it''s ü'"}, want: []string{"glad", "it's ü"}},
	{sql: "enum('é') character set latin1", kind: change.KindEnum, values: []string{"'é'"}, want: []string{"é"}},
	{sql: "set('a', 'b', 'c')", kind: change.KindNative, values: []string{"''", "'c,a'", "7"}, want: []string{"", "a,c", "a,b,c"}},
	{sql: "date", kind: change.KindDate, values: []string{"'2026-07-31'", "'0000-00-00'", "'2026-02-31'", "'9999-12-31'"}, want: []string{"2026-07-31", "0000-00-00", "2026-02-31", "9999-12-31"}},
	{sql: "time", kind: change.KindTime, values: []string{"'23:59:59'", "'-838:59:59'", "0"}, want: []string{"23:59:59", "-838:59:59", "00:00:00"}},
	{sql: "time(2)", kind: change.KindTime, values: []string{"'-00:00:00.01'", "'-01:02:03.45'", "'00:00'"}, want: []string{"-00:00:00.01", "-01:02:03.45", "00:00:00.00"}},
	{sql: "time(3)", kind: change.KindTime, values: []string{"'-00:00:00.001'", "'12:00:00.120'"}, want: []string{"-00:00:00.001", "12:00:00.120"}},
	{sql: "time(6)", kind: change.KindTime, values: []string{"'838:59:58.999999'", "'-838:59:58.000001'"}, want: []string{"838:59:58.999999", "-838:59:58.000001"}},
	{sql: "datetime", kind: change.KindTimestamp, values: []string{"'2026-07-31 23:59:59'", "'0000-00-00'", "'2026-00-00 00:00:00'", "'9999-12-31 23:59:59'"}, want: []string{"2026-07-31 23:59:59", "0000-00-00 00:00:00", "2026-00-00 00:00:00", "9999-12-31 23:59:59"}},
	{sql: "datetime(1)", kind: change.KindTimestamp, values: []string{"'2026-07-31 23:59:59.1'"}, want: []string{"2026-07-31 23:59:59.1"}},
	{sql: "datetime(6)", kind: change.KindTimestamp, values: []string{"'2026-07-31 23:59:59.123456'", "0"}, want: []string{"2026-07-31 23:59:59.123456", "0000-00-00 00:00:00.000000"}},
	{sql: "timestamp null", kind: change.KindTimestampTZ, values: []string{"'2026-07-31 23:59:59'", "0", "'1970-01-01 00:00:01'"}, want: []string{"2026-07-31 23:59:59+00", "0000-00-00 00:00:00+00", "1970-01-01 00:00:01+00"}},
	{sql: "timestamp(6) null", kind: change.KindTimestampTZ, values: []string{"'2026-07-31 23:59:59.000001'"}, want: []string{"2026-07-31 23:59:59.000001+00"}},
	{sql: "point", kind: change.KindBytes, values: []string{"point(1, 2)"}, want: []string{"\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@"}},
	{sql: "json", kind: change.KindJSONB, only: mySQL,
		values: []string{
			`'{"b": [1, -1, 1.5, 1e20, 1e-7, true, false, null], "a": {"é": "\\u0001\\n\\"\\\\"}}'`, `'[]'`, `'"text"'`, `'null'`, `'18446744073709551615'`, `'-9223372036854775808'`, `'1.0'`,
			`CAST('[65535, -32768, 2147483648, 4294967296]' AS JSON)`, `JSON_ARRAY(CAST(1.50 AS DECIMAL(5,2)), DATE '2026-07-31', TIMESTAMP '2026-07-31 01:02:03.5', TIME '-01:02:03')`,
			`JSON_OBJECT('big', repeat('x', 70000), 'n', 1)`, `JSON_ARRAY(x'00ff')`,
		},
		want: []string{
			`{"a": {"é": "\u0001\n\"\\"}, "b": [1, -1, 1.5, 1e20, 0.0000001, true, false, null]}`, `[]`, `"text"`, `null`, `18446744073709551615`, `-9223372036854775808`, `1.0`,
			`[65535, -32768, 2147483648, 4294967296]`, `[1.50, "2026-07-31", "2026-07-31 01:02:03.500000", "-01:02:03.000000"]`,
			`{"n": 1, "big": "` + strings.Repeat("x", 70000) + `"}`, `["base64:type15:AP8="]`,
		}},
	{sql: "json", kind: change.KindJSON, only: mariaDB, values: []string{`'{"b": 1,  "a": [null]}'`}, want: []string{`{"b": 1,  "a": [null]}`}},
	{sql: "uuid", kind: change.KindUUID, only: mariaDB,
		values: []string{"'F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6'", "'f81d4fae-7dec-71d0-a765-00a0c91e6b00'", "'00000000-0000-0000-0000-000000000000'"},
		want:   []string{"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-71d0-a765-00a0c91e6b00", "00000000-0000-0000-0000-000000000000"}},
	{sql: "inet4", kind: change.KindNative, only: mariaDB, values: []string{"'10.0.0.0'"}, want: []string{"10.0.0.0"}},
	{sql: "inet6", kind: change.KindNative, only: mariaDB, values: []string{"'2001:db8::ff00:42:8329'", "'::'", "'::ffff:10.0.0.1'"}, want: []string{"2001:db8::ff00:42:8329", "::", "::ffff:10.0.0.1"}},
	{sql: "vector(2)", kind: change.KindBytes, only: mySQL, values: []string{"to_vector('[1,2]')"}, want: []string{"\x00\x00\x80?\x00\x00\x00@"}},
}

// What the log says of each type, and that the server prints the same.
func TestValuesInTheLog(t *testing.T) {
	onEach(t, func(a *admins) {
		var schema []string
		var types []logged
		for _, typ := range loggedTypes {
			if typ.only == "" || a.is(typ.only) {
				types = append(types, typ)
				schema = append(schema, fmt.Sprintf("CREATE TABLE t%d (id int PRIMARY KEY, v %s, g int AS (id + 1) VIRTUAL, s int AS (id + 1) STORED)", len(types)-1, typ.sql))
			}
		}
		l := a.tail(Options{}, schema...)
		for i, typ := range types {
			var statements []string
			for n, v := range typ.values {
				statements = append(statements, fmt.Sprintf("INSERT INTO t%d (id, v) VALUES (%d, %s)", i, n, v))
			}
			events, err := l.read(append(statements, fmt.Sprintf("INSERT INTO t%d (id) VALUES (1000)", i))...)
			if err != nil {
				t.Fatalf("%s: %v", typ.sql, err)
			}
			var got []string
			for _, ev := range events {
				for _, r := range ev.Rows {
					if names := len(r.Table.Columns); names != 2 || len(r.New) != 2 {
						t.Fatalf("%s: %d columns, and %d in the image", typ.sql, names, len(r.New))
					}
					if k := r.Table.Columns[1].Kind; k != typ.kind {
						t.Errorf("%s: kind %d, want %d", typ.sql, k, typ.kind)
					}
					if r.New[1].State == change.Present {
						got = append(got, r.New[1].Text)
					} else if r.New[0].Text != "1000" {
						t.Errorf("%s: value %s is not there", typ.sql, r.New[0].Text)
					}
				}
			}
			if !slices.Equal(got, typ.want) {
				t.Errorf("%s: the log has\n%.300q\nwant\n%.300q", typ.sql, got, typ.want)
			}
			if typ.kind == change.KindBytes || typ.kind == change.KindFloat || typ.sql == "year" || strings.Contains(typ.sql, "zerofill") {
				continue // printed otherwise
			}
			for n, want := range typ.want {
				printed := l.app.text(fmt.Sprintf("SELECT v FROM t%d WHERE id = %d", i, n))
				if printed != nativeText(typ.kind, want) {
					t.Errorf("%s: the server prints %.200q, the log has %.200q", typ.sql, printed, want)
				}
			}
		}
	})
}
