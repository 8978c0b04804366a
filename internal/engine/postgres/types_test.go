package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// Every built-in type, and what is made of them: the SQL value, its kind and the
// canonical text, which the server must read back as the same value.
var typeCases = []struct {
	typ, value string
	kind       change.Kind
	text       string
}{
	{"boolean", "true", change.KindBool, "true"},
	{"boolean", "false", change.KindBool, "false"},
	{"smallint", "'-32768'", change.KindInt, "-32768"},
	{"integer", "2147483647", change.KindInt, "2147483647"},
	{"bigint", "'-9223372036854775808'", change.KindInt, "-9223372036854775808"},
	{"oid", "4294967295", change.KindInt, "4294967295"},
	{"numeric", "'12345678901234567890.1234567890'", change.KindDecimal, "12345678901234567890.1234567890"},
	{"numeric", "'NaN'", change.KindDecimal, "NaN"},
	{"numeric", "'-Infinity'", change.KindDecimal, "-Infinity"},
	{"numeric(6,2)", "1.5", change.KindDecimal, "1.50"},
	{"real", "0.1", change.KindFloat, "0.1"},
	{"double precision", "1e300", change.KindFloat, "1e+300"},
	{"double precision", "0.30000000000000004", change.KindFloat, "0.30000000000000004"},
	{"double precision", "'-0'", change.KindFloat, "-0"},
	{"double precision", "'NaN'", change.KindFloat, "NaN"},
	{"text", `E'a\n\t''"\\ é 漢'`, change.KindText, "a\n\t'\"\\ é 漢"},
	{"text", "''", change.KindText, ""},
	{"varchar(10)", "'v'", change.KindText, "v"},
	{"name", "'n'", change.KindText, "n"},
	{"character(4)", "'ab'", change.KindPaddedText, "ab  "},
	{`"char"`, "'c'", change.KindNative, "c"},
	{"bytea", `'\x00ff5c'`, change.KindBytes, "\x00\xff\\"},
	{"bytea", `''`, change.KindBytes, ""},
	{"date", "'2026-07-31'", change.KindDate, "2026-07-31"},
	{"date", "'-infinity'", change.KindDate, "-infinity"},
	{"date", "'0044-03-15 BC'", change.KindDate, "0044-03-15 BC"},
	{"time", "'24:00:00'", change.KindTime, "24:00:00"},
	{"time(3)", "'01:02:03.4567'", change.KindTime, "01:02:03.457"},
	{"timetz", "'01:02:03+05:30'", change.KindNative, "01:02:03+05:30"},
	{"timestamp", "'2026-07-31 23:59:59.123456'", change.KindTimestamp, "2026-07-31 23:59:59.123456"},
	{"timestamptz", "'2026-07-31 23:59:59.5+05:30'", change.KindTimestampTZ, "2026-07-31 18:29:59.5+00"},
	{"timestamptz", "'infinity'", change.KindTimestampTZ, "infinity"},
	{"interval", "'1 year 2 mons -3 days 04:05:06.789'", change.KindInterval, "1 year 2 mons -3 days +04:05:06.789"},
	{"uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", change.KindUUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{"json", `'{"b": 1,  "a": [null]}'`, change.KindJSON, `{"b": 1,  "a": [null]}`},
	{"jsonb", `'{"b": 1,  "a": [null]}'`, change.KindJSONB, `{"a": [null], "b": 1}`},
	{"jsonpath", `'$.a[*]'`, change.KindNative, `$."a"[*]`},
	{"mood", "'so so'", change.KindEnum, "so so"},
	{"email", "'a@b'", change.KindText, "a@b"},
	{"small_email", "'a@b'", change.KindText, "a@b"},
	{"flag", "true", change.KindBool, "true"},
	{"digest", `'\x01'`, change.KindBytes, "\x01"},
	{"integer[]", "'{1,NULL,3}'", change.KindArray, "{1,NULL,3}"},
	{"integer[]", "'[0:1]={1,2}'", change.KindArray, "[0:1]={1,2}"},
	{"text[]", `ARRAY['a,b', 'c"d', NULL, 'NULL', '']`, change.KindArray, `{"a,b","c\"d",NULL,"NULL",""}`},
	{"mood[]", "'{glad}'", change.KindArray, "{glad}"},
	{"boolean[]", "'{t,f}'", change.KindArray, "{t,f}"},
	{"bytea[]", `ARRAY['\x00'::bytea]`, change.KindArray, `{"\\x00"}`},
	{"integer[][]", "'{{1,2},{3,4}}'", change.KindArray, "{{1,2},{3,4}}"},
	{"pair", `ROW(1, 'a "b"')`, change.KindNative, `(1,"a ""b""")`},
	{"pair[]", `ARRAY[ROW(1,'x')::public.pair]`, change.KindArray, `{"(1,x)"}`},
	{"int4range", "'[1,10]'", change.KindNative, "[1,11)"},
	{"numrange", "'(1.0,2]'", change.KindNative, "(1.0,2]"},
	{"tstzrange", "'[2026-01-01 00:00+01,)'", change.KindNative, `["2025-12-31 23:00:00+00",)`},
	{"int8multirange", "'{[1,2),[5,6]}'", change.KindNative, "{[1,2),[5,7)}"},
	{"inet", "'10.0.0.1/32'", change.KindNative, "10.0.0.1"},
	{"cidr", "'2001:db8::/32'", change.KindNative, "2001:db8::/32"},
	{"macaddr", "'08:00:2b:01:02:03'", change.KindNative, "08:00:2b:01:02:03"},
	{"macaddr8", "'08:00:2b:01:02:03:04:05'", change.KindNative, "08:00:2b:01:02:03:04:05"},
	{"bit(3)", "B'101'", change.KindNative, "101"},
	{"bit varying", "B'1'", change.KindNative, "1"},
	{"money", "12.34", change.KindNative, "$12.34"},
	{"point", "'(1.5,2)'", change.KindNative, "(1.5,2)"},
	{"line", "'{1,2,3}'", change.KindNative, "{1,2,3}"},
	{"lseg", "'[(1,2),(3,4)]'", change.KindNative, "[(1,2),(3,4)]"},
	{"box", "'(3,4),(1,2)'", change.KindNative, "(3,4),(1,2)"},
	{"path", "'[(1,2),(3,4)]'", change.KindNative, "[(1,2),(3,4)]"},
	{"polygon", "'((1,2),(3,4))'", change.KindNative, "((1,2),(3,4))"},
	{"circle", "'<(1,2),3>'", change.KindNative, "<(1,2),3>"},
	{"tsvector", "'fat:2 cat:3A'", change.KindNative, "'cat':3A 'fat':2"},
	{"tsquery", "'fat & !cat'", change.KindNative, "'fat' & !'cat'"},
	{"xml", "'<a>&lt;</a>'", change.KindNative, "<a>&lt;</a>"},
	{"pg_lsn", "'16/B374D848'", change.KindNative, "16/B374D848"},
	{"xid8", "'42'", change.KindNative, "42"},
	{"txid_snapshot", "'10:20:10,14'", change.KindNative, "10:20:10,14"},
	{"pg_snapshot", "'10:20:10,14'", change.KindNative, "10:20:10,14"},
	{"regclass", "'public.types'", change.KindNative, "public.types"},
	{"int2vector", "'1 2'", change.KindNative, "1 2"},
	{"citext", "'MiXed'", change.KindFoldedText, "MiXed"},
}

func TestEveryTypeHasItsCanonicalText(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		var columns, values []string
		for i, tc := range typeCases {
			columns = append(columns, fmt.Sprintf("c%d %s", i, tc.typ))
			values = append(values, fmt.Sprintf("%s::%s", tc.value, tc.typ))
		}
		f := prepared(t, c, Options{}, `CREATE EXTENSION citext`,
			`CREATE TYPE mood AS ENUM ('glad', 'so so')`, `CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')`,
			`CREATE DOMAIN small_email AS email CHECK (length(VALUE) < 20)`, `CREATE DOMAIN flag AS boolean`, `CREATE DOMAIN digest AS bytea`,
			`CREATE TYPE pair AS (n int, s text)`,
			`CREATE TABLE types (id int PRIMARY KEY, `+strings.Join(columns, ", ")+`)`,
			// What a role or a database sets must not change the text.
			`ALTER DATABASE `+c.Database()+` SET datestyle = 'SQL, DMY'`, `ALTER DATABASE `+c.Database()+` SET timezone = 'Asia/Kolkata'`,
			`ALTER DATABASE `+c.Database()+` SET bytea_output = 'escape'`, `ALTER DATABASE `+c.Database()+` SET extra_float_digits = -5`,
			`ALTER DATABASE `+c.Database()+` SET intervalstyle = 'iso_8601'`, `ALTER DATABASE `+c.Database()+` SET search_path = 'public'`)
		f.app.run(`INSERT INTO types VALUES (1, ` + strings.Join(values, ", ") + `)`)
		row := f.open("").until()[0].Rows[0]

		conn, err := f.connect(f.ctx, roleApply)
		if err != nil {
			t.Fatal(err)
		}
		defer closeConn(f.ctx, conn)
		for i, tc := range typeCases {
			col, v := row.Table.Columns[i+1], row.New[i+1]
			if col.Kind != tc.kind || v.State != change.Present || v.Text != tc.text {
				t.Errorf("%s %s: read %q of kind %d, want %q of kind %d", tc.typ, tc.value, v.Text, col.Kind, tc.text, tc.kind)
			}
			// There and back: the canonical text, as the apply half writes it.
			var same string
			sql := fmt.Sprintf(`SELECT coalesce(($1::text::%s)::text = c%d::text, false)::text FROM public.types`, col.Type, i)
			if err := conn.QueryRow(f.ctx, sql, nativeText(col.Kind, v.Text)).Scan(&same); err != nil || same != "true" {
				t.Errorf("%s: %q does not read back (%s %v)", col.Type, v.Text, same, err)
			}
		}
	})
}

func TestKeysWhoseTextDoesNotTellEqualityAreRefused(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		app := application(t, c.DSN(""))
		app.run(`CREATE EXTENSION citext`, `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
			`CREATE DOMAIN ratio AS float8`, `CREATE TYPE pair AS (n int)`, `CREATE TYPE mood AS ENUM ('a')`)
		good := []string{"int", "numeric", "text", "varchar(3)", "char(3)", "bytea", "date", "time", "timetz", "timestamp", "timestamptz", "uuid", "mood",
			"boolean", "inet", "cidr", "macaddr", "bit(2)", "money", "citext", "int[]", "uuid[]", "int4range", "tstzrange", `"char"`, "pg_lsn"}
		bad := []string{"real", "double precision", "ratio", "interval", "jsonb", "pair", "text COLLATE folded", "float8[]", "numeric[]", "numrange", "citext[]"}
		for i, typ := range append(good, bad...) {
			app.run(fmt.Sprintf(`CREATE TABLE k%d (id %s PRIMARY KEY)`, i, typ))
		}
		db := New(c.DSN(""), Options{Site: "mumbai", Cluster: "x"})
		conn, err := db.connect(app.ctx, roleAdmin)
		if err != nil {
			t.Fatal(err)
		}
		defer closeConn(app.ctx, conn)
		cat, err := loadCatalog(app.ctx, conn, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused := map[string]bool{}
		for _, p := range cat.allProblems() {
			refused[p.table] = true
		}
		for i, typ := range append(good, bad...) {
			if got, want := refused[fmt.Sprintf("public.k%d", i)], i >= len(good); got != want {
				t.Errorf("a key of type %s is refused: %v, want %v", typ, got, want)
			}
		}
	})
}
