package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// checkedCase is a table of one column whose types map, but for some values: what is
// written at one side, as SQL of its engine, and what the other side reads of it.
type checkedCase struct {
	name       string
	from, to   string // types
	good       string
	arrives    string   // what to reads of good, as text
	bad        []string // have no counterpart
	prepare    string   // before each write, at from
	beforeHand string   // makes the types, at to
}

// checkedFromPostgres are the lines of docs/TYPES.md that say "checked" on the way to MySQL
// and MariaDB.
func checkedFromPostgres(to testcluster.Product) []checkedCase {
	all := []checkedCase{
		{name: "unsigned", from: "numeric(20,0)", to: "bigint unsigned", good: "18446744073709551615", arrives: "18446744073709551615", bad: []string{"18446744073709551616", "-1", "'NaN'"}},
		{name: "year", from: "smallint", to: "year", good: "1901", arrives: "1901", bad: []string{"1900", "2156", "-1"}},
		{name: "price", from: "numeric(12,2)", to: "decimal(12,2)", good: "-0.01", arrives: "-0.01", bad: []string{"'NaN'"}},
		{name: "single", from: "real", to: "float", good: "1.5", arrives: "1.5", bad: []string{"'NaN'", "'Infinity'"}},
		{name: "ratio", from: "double precision", to: "double", good: "-0.25", arrives: "-0.25", bad: []string{"'NaN'", "'-Infinity'"}},
		{name: "day", from: "date", to: "date", good: "'9999-12-31'", arrives: "9999-12-31", bad: []string{"'infinity'", "'0044-03-15 BC'", "'10000-01-01'"}},
		{name: "span", from: "interval", to: "time(6)", good: "'-838:59:59'", arrives: "-838:59:59.000000", bad: []string{"'1 day'", "'1 month'", "'839:00:00'"}},
		{name: "local", from: "timestamp", to: "datetime(6)", good: "'1000-01-01 00:00:00.000001'", arrives: "1000-01-01 00:00:00.000001", bad: []string{"'infinity'", "'0044-03-15 00:00 BC'", "'10000-01-01 00:00'"}},
		{name: "moment", from: "timestamptz", to: "timestamp(6) null", good: "'2038-01-19 03:14:07+00'", arrives: "2038-01-19 03:14:07.000000", bad: []string{"'2038-01-19 03:14:08+00'", "'1970-01-01 00:00:00+00'", "'-infinity'"}},
		{name: "instant", from: "timestamptz", to: "datetime(6)", good: "'2038-01-19 03:14:08+00'", arrives: "2038-01-19 03:14:08.000000", bad: []string{"'infinity'", "'10000-01-01 00:00+00'"}},
		{name: "doc", from: "jsonb", to: "json", good: `'{"a": [1, -2.5]}'`, arrives: `{"a":[1,-2.5]}`, bad: []string{`'{"n": 1e400}'`, `'18446744073709551616'`}},
		{name: "mood", from: "mood", to: "enum('sad','glad')", good: "'glad'", arrives: "glad", bad: []string{"'new'"}},
	}
	if to == testcluster.MariaDB {
		all = append(all, checkedCase{name: "host", from: "inet", to: "inet6", good: "'2001:db8::1'", arrives: "2001:db8::1", bad: []string{"'2001:db8::/32'", "'10.0.0.1'"}})
	}
	return all
}

// checkedToPostgres are those on the way back.
func checkedToPostgres(from testcluster.Product) []checkedCase {
	const lax = "SET sql_mode = ''"
	all := []checkedCase{
		{name: "flag", from: "tinyint(1)", to: "boolean", good: "1", arrives: "t", bad: []string{"2", "-1"}},
		{name: "word", from: "varchar(40)", to: "varchar(40)", good: "'née'", arrives: "née", bad: []string{"'a\\0b'"}},
		{name: "code", from: "char(8)", to: "char(8)", good: "'ab'", arrives: "ab", bad: []string{"'a\\0b'"}},
		{name: "body", from: "longtext", to: "text", good: "'text'", arrives: "text", bad: []string{"'\\0'"}},
		{name: "day2", from: "date", to: "date", good: "'1000-01-01'", arrives: "1000-01-01", bad: []string{"'0000-00-00'", "'2024-00-10'", "'2024-02-00'"}, prepare: lax},
		{name: "clock", from: "time(6)", to: "time", good: "'24:00:00'", arrives: "24:00:00", bad: []string{"'24:00:01'", "'-00:00:01'"}},
		{name: "local2", from: "datetime(6)", to: "timestamp", good: "'9999-12-31 23:59:59.999999'", arrives: "9999-12-31 23:59:59.999999", bad: []string{"'0000-00-00 00:00:00'", "'2024-00-01 00:00:00'"}, prepare: lax},
		{name: "moment2", from: "timestamp(6) null", to: "timestamptz", good: "'1970-01-01 00:00:01'", arrives: "1970-01-01 00:00:01+00", bad: []string{"'0000-00-00 00:00:00'"}, prepare: lax},
		{name: "id36", from: "char(36)", to: "uuid", good: "'00112233-4455-6677-8899-aabbccddeeff'", arrives: "00112233-4455-6677-8899-aabbccddeeff", bad: []string{"'00112233-4455-6677-8899-AABBCCDDEEFF'", "'00112233445566778899aabbccddeeff'", "'none'"}},
		{name: "doc2", from: "json", to: "jsonb", good: `'{"a": [1, -2.5]}'`, arrives: `{"a": [1, -2.5]}`, bad: []string{`'{"n": "a\\u0000b"}'`}},
		{name: "mood2", from: "enum('sad','glad')", to: "mood2", good: "'glad'", arrives: "glad", bad: []string{"'wrong'"}, prepare: lax, beforeHand: "CREATE TYPE mood2 AS ENUM ('sad', 'glad')"},
	}
	if from == testcluster.MariaDB { // whose documents are texts
		all[9].bad = append(all[9].bad, `'{"a": 1, "a": 2}'`, `'{"n": 1e400}'`, `'18446744073709551616'`)
	}
	return all
}

// checkedOfMySQL are those between MySQL and MariaDB, on the way to there.
func checkedOfMySQL(from testcluster.Product) []checkedCase {
	all := []checkedCase{
		{name: "spot", from: "geometry", to: "geometry", good: "ST_GeomFromText('POINT(1 2)')", bad: []string{"ST_GeomFromText('POINT(1 2)', 4326)"}},
		{name: "mood", from: "enum('sad','glad')", to: "enum('sad','glad')", good: "'glad'", arrives: "glad", bad: []string{"'wrong'"}, prepare: "SET sql_mode = ''"},
	}
	if from == testcluster.MariaDB {
		all = append(all, checkedCase{name: "doc", from: "json", to: "json", good: `'{"a": 1}'`, arrives: `{"a": 1}`, bad: []string{`'{"a": 1, "a": 2}'`, `'{"n": 1e400}'`}})
	}
	return all
}

// A value that has no counterpart at the other engine is parked there, with the column and
// the reason, for each kind of value that docs/TYPES.md names; one that just has one
// arrives, from the same table. The test prints what it wrote.
func TestAValueWithoutCounterpartIsParked(t *testing.T) {
	for _, e := range []engines{{"", testcluster.MariaDB}, {"", testcluster.MySQL}, {testcluster.MySQL, testcluster.MariaDB}} {
		t.Run(e.String(), func(t *testing.T) {
			var ways [2][]checkedCase // from each site
			for i := range ways {
				switch {
				case e[i] == "":
					ways[i] = checkedFromPostgres(e[1-i])
				case e[1-i] == "":
					ways[i] = checkedToPostgres(e[i])
				default:
					ways[i] = checkedOfMySQL(e[i])
				}
			}
			p := newPair(t, pairOptions{products: e, rules: e.rules(), schemas: []string{checkedSchema(e, ways, 0), checkedSchema(e, ways, 1)}})
			for _, s := range p.sites {
				s.start()
			}
			for i, cases := range ways {
				for _, c := range cases {
					write := func(id int, value string) {
						sql := fmt.Sprintf("INSERT INTO %s_%d VALUES (%d, %s);\n", c.name, i, id, value)
						if c.prepare != "" {
							sql = c.prepare + ";\n" + sql
						}
						p.sites[i].exec(sql)
					}
					write(0, c.good)
					for n, value := range c.bad {
						write(n+1, value)
					}
				}
			}
			p.quiesce(60 * time.Second)
			for i, cases := range ways {
				to := p.sites[1-i]
				parked := to.query("SELECT message FROM concord.parked ORDER BY id")
				report := ""
				for _, c := range cases {
					table := fmt.Sprintf("%s_%d", c.name, i)
					rows := to.query("SELECT v FROM " + table)
					if c.arrives != "" && (len(rows) != 1 || spelled(rows[0]) != spelled(c.arrives)) || len(rows) != 1 {
						t.Errorf("%s: %s (%s to %s) brought %q, want %q", to.name, table, c.from, c.to, rows, c.arrives)
					}
					var reasons []string
					for _, message := range parked {
						if strings.Contains(message, "column v of table public."+table+":") && strings.Contains(message, "counterpart") {
							reasons = append(reasons, message)
						}
					}
					if len(reasons) != len(c.bad) {
						t.Errorf("%s: %s (%s to %s): %s were written, parked: %q", to.name, table, c.from, c.to, c.bad, reasons)
					}
					report += fmt.Sprintf("%-24s %-24s %-40s %s\n", c.from, c.to, c.good, strings.Join(c.bad, ", "))
				}
				t.Logf("from %s to %s: arrives, and is parked\n%s", p.sites[i].name, to.name, report)
			}
			for _, s := range p.sites {
				if out, code := p.run(s, "parked", "list", "--site", s.name); code != 1 || !strings.Contains(out, "counterpart") {
					t.Errorf("parked list at %s: exit %d\n%s", s.name, code, out)
				}
			}
		})
	}
}

// spelled leaves out the spaces, in which documents and char(n) differ.
func spelled(text string) string { return strings.ReplaceAll(text, " ", "") }

// checkedSchema has a table for every case of both ways at a site.
func checkedSchema(e engines, ways [2][]checkedCase, site int) string {
	id := "varchar(60) PRIMARY KEY"
	s := ""
	if e[site] == "" {
		s = "CREATE TYPE mood AS ENUM ('sad', 'glad', 'new');\n"
	} else {
		id = "varchar(60) CHARACTER SET utf8mb4 COLLATE " + byteCollations[e[site]] + " PRIMARY KEY"
	}
	s += "CREATE TABLE marker (id " + id + ");\n"
	for i, cases := range ways {
		for _, c := range cases {
			column := c.from
			if i != site {
				column = c.to
				if c.beforeHand != "" {
					s += c.beforeHand + ";\n"
				}
			}
			s += fmt.Sprintf("CREATE TABLE %s_%d (id int PRIMARY KEY, v %s);\n", c.name, i, column)
		}
	}
	return s
}
