package e2e

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// crossed is a column that two engines have each in its own way: the types, texts of
// values as SQL of each, and what reads the value as the same text at both.
type crossed struct {
	name             string
	postgres, other  string   // types
	values           []string // as SQL of PostgreSQL
	others           []string // the same values as SQL of the other engine; nil: the same
	reads, readOther string   // %s is the column; "": as it is
}

func crossedColumns(product testcluster.Product) []crossed {
	uuid, document := "binary(16)", "json"
	fromUUID := "lower(concat_ws('-', substr(hex(%[1]s),1,8), substr(hex(%[1]s),9,4), substr(hex(%[1]s),13,4), substr(hex(%[1]s),17,4), substr(hex(%[1]s),21)))"
	id := "x'0011223344556677889900aabbccddee'"
	if product == testcluster.MariaDB {
		uuid, fromUUID, id = "uuid", "", "'00112233-4455-6677-8899-00aabbccddee'"
	}
	moment := "date_format(%s, '%%Y-%%m-%%d %%T.%%f')"
	return []crossed{
		{name: "flag", postgres: "boolean", other: "tinyint(1)", values: []string{"true", "false"}, reads: "%s::int"},
		{name: "small", postgres: "smallint", other: "smallint", values: []string{"-32768", "32767"}},
		{name: "whole", postgres: "integer", other: "int", values: []string{"-2147483648", "7"}},
		{name: "large", postgres: "bigint", other: "bigint", values: []string{"9223372036854775807", "-1"}},
		{name: "unsigned", postgres: "numeric(20,0)", other: "bigint unsigned", values: []string{"18446744073709551615", "0"}},
		{name: "price", postgres: "numeric(12,2)", other: "decimal(12,2)", values: []string{"1.50", "-9999999999.99"}},
		{name: "ratio", postgres: "double precision", other: "double", values: []string{"0.1", "-0.0625"}},
		{name: "word", postgres: "varchar(40)", other: "varchar(40)", values: []string{"''", "'née 漢 ''x'''"}},
		{name: "padded", postgres: "char(6)", other: "char(6)", values: []string{"'ab'", "''"}, reads: "rtrim(%s::text)", readOther: "rtrim(%s)"},
		{name: "body", postgres: "text", other: "longtext", values: []string{"repeat('long ', 4000)", "'short'"}},
		{name: "raw", postgres: "bytea", other: "longblob", values: []string{`'\x00ff80'`, `'\x'`}, others: []string{"x'00ff80'", "x''"}, reads: "encode(%s, 'hex')", readOther: "lower(hex(%s))"},
		{name: "day", postgres: "date", other: "date", values: []string{"'2024-02-29'", "'1000-01-01'"}},
		{name: "clock", postgres: "time", other: "time(6)", values: []string{"'23:59:59.5'", "'00:00:00'"}, reads: "to_char('2000-01-01'::date + %s, 'HH24:MI:SS.US')"},
		{name: "local", postgres: "timestamp", other: "datetime(6)", values: []string{"'2024-02-29 10:11:12.000001'", "'1999-12-31 23:59:59'"},
			reads: "to_char(%s, 'YYYY-MM-DD HH24:MI:SS.US')", readOther: moment},
		{name: "moment", postgres: "timestamptz(6)", other: "timestamp(6) null", values: []string{"'2024-02-29 10:11:12.25+00'", "'1999-12-31 23:59:59+00'"}, others: []string{"'2024-02-29 10:11:12.25'", "'1999-12-31 23:59:59'"},
			reads: "to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')", readOther: moment},
		{name: "who", postgres: "uuid", other: uuid, values: []string{"'00112233-4455-6677-8899-00aabbccddee'"}, others: []string{id}, readOther: fromUUID},
		{name: "doc", postgres: "jsonb", other: document, values: []string{`'{"b": [1, 2.5, null, true], "a": {"é": "x\"y"}}'`, `'[]'`}, others: []string{`'{"b": [1, 2.5, null, true], "a": {"é": "x\\"y"}}'`, `'[]'`}},
		{name: "mood", postgres: "mood", other: "enum('sad','glad')", values: []string{"'sad'", "'glad'"}},
		{name: "bits", postgres: "bit(12)", other: "bit(12)", values: []string{"B'000000000101'", "B'111111111111'"}, others: []string{"b'000000000101'", "b'111111111111'"}, reads: "%s::text", readOther: "lpad(bin(%s), 12, '0')"},
	}
}

// crossedTable is the table t of those columns at a site.
func crossedTable(columns []crossed, name string, postgres bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (id varchar(60) %s PRIMARY KEY", name, binaryText(postgres))
	for _, c := range columns {
		if postgres {
			fmt.Fprintf(&b, ", %s %s", c.name, c.postgres)
		} else {
			fmt.Fprintf(&b, ", `%s` %s", c.name, c.other)
		}
	}
	return b.String() + ");\n"
}

// byteCollations compare texts byte by byte, spaces at their end too.
var byteCollations = map[testcluster.Product]string{testcluster.MariaDB: "utf8mb4_nopad_bin", testcluster.MySQL: "utf8mb4_0900_bin"}

// binaryText gives a key of texts the comparison that all engines have: byte by byte.
func binaryText(postgres bool) string {
	if postgres {
		return ""
	}
	return "CHARACTER SET utf8mb4 COLLATE binary_of_product"
}

// crossedInsert writes the n-th value of every column; beyond the last: NULL.
func crossedInsert(columns []crossed, table, id string, n int, postgres bool) string {
	names, values := "id", "'"+id+"'"
	for _, c := range columns {
		v := "NULL"
		if n < len(c.values) {
			v = c.values[n]
			if !postgres && c.others != nil {
				v = c.others[n]
			}
		}
		if postgres {
			names += ", " + c.name
		} else {
			names += ", `" + c.name + "`"
		}
		values += ", " + v
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s);\n", table, names, values)
}

// crossedRead reads a column, with its rows in order.
func crossedRead(c *crossed, table string, postgres bool) string {
	name, how := c.name, c.reads
	if !postgres {
		name, how = "`"+c.name+"`", c.readOther
	}
	if how == "" {
		how = "%s"
	}
	if !strings.Contains(how, "[1]") {
		how = strings.ReplaceAll(how, "%s", "%[1]s")
	}
	return fmt.Sprintf("SELECT id, "+how+" FROM %[2]s ORDER BY id", name, table)
}

// Sites of different engines write rows of every type that they have in common, under
// names of their own: all have the same values at the end, whoever wrote them. The test
// prints what it compared.
func TestEveryTypeCrossesBetweenEngines(t *testing.T) {
	for _, e := range []engines{{"", testcluster.MariaDB}, {"", testcluster.MySQL}, {testcluster.MySQL, testcluster.MariaDB, ""}} {
		t.Run(e.String(), func(t *testing.T) {
			p := newEngines(t, e, pairOptions{})
			for n := range 3 {
				for i, s := range p.sites {
					s.exec(crossedInsert(e.columns(i), "things", fmt.Sprintf("%s-%d", s.name, n), n, e[i] == ""))
					s.exec(crossedInsert(e.columns(i), "things", fmt.Sprintf("both-%d", n), n, e[i] == ""))
				}
			}
			for _, s := range p.sites {
				s.start()
			}
			p.quiesce(60 * time.Second)
			// What came from there goes back changed.
			for i, s := range p.sites {
				s.exec(fmt.Sprintf("UPDATE things SET whole = %d WHERE id LIKE '%s%%';\n", i, siteNames[(i+1)%len(e)]))
			}
			p.quiesce(60 * time.Second)
			p.requireCrossed(e)
			// A value that was written here and one that came have the same text: who made
			// the same row at all sites finds no difference.
			for _, s := range p.sites {
				records := s.query("SELECT kind, older_row, newer_row FROM concord.conflict ORDER BY id")
				if len(records) != 3*len(e)*(len(e)-1)/2 {
					t.Errorf("%s recorded %q, want one for each of the three rows and each two sites that made it", s.name, records)
				}
				for _, r := range records {
					if images := strings.SplitN(r, "|", 3); images[1] != images[2] {
						t.Errorf("%s: the same row was\n%s here and\n%s there", s.name, images[1], images[2])
					}
				}
			}
		})
	}
}

// readCrossed reads a column of things as text that every engine gives alike.
func readCrossed(s *site, c *crossed) []string {
	s.t.Helper()
	rows := s.query(crossedRead(c, "things", s.mysql == nil))
	if c.name == "doc" {
		rows = documents(s.t, rows)
	}
	return rows
}

// requireCrossed compares every column of things and prints a table of it.
func (p *mesh) requireCrossed(e engines) {
	p.t.Helper()
	line := func(name string, cells []string, verdict string) string {
		text := fmt.Sprintf("%-10s", name)
		for _, c := range cells {
			text += fmt.Sprintf("%-20s", c)
		}
		return text + verdict + "\n"
	}
	table := line("column", siteNames[:len(e)], "values of all sites, at all sites")
	for c, column := range e.columns(0) {
		verdict := ""
		var types []string
		var first []string
		for i, s := range p.sites {
			here := e.columns(i)[c]
			types = append(types, here.typeAt(e[i]))
			rows := readCrossed(s, &here)
			if i == 0 {
				first = rows
				verdict = fmt.Sprintf("%d equal", len(rows))
			}
			if len(rows) != 3*len(e)+3 || !reflect.DeepEqual(rows, first) {
				verdict = "DIFFERENT"
				p.t.Errorf("column %s:\n%q at %s\n%q at %s", column.name, first, p.sites[0].name, rows, s.name)
			}
		}
		table += line(column.name, types, verdict)
	}
	p.t.Logf("%s\n%s", e, table)
	for _, s := range p.sites {
		if parked := s.query("SELECT reason, message FROM concord.parked"); len(parked) > 0 {
			p.t.Errorf("%s: parked: %s", s.name, strings.Join(parked, "; "))
		}
	}
}

// typeAt is the column's type at a server.
func (c *crossed) typeAt(p testcluster.Product) string {
	if p == "" {
		return c.postgres
	}
	return c.other
}

// documents writes the documents of rows in one spelling.
func documents(t *testing.T, rows []string) []string {
	t.Helper()
	for i, row := range rows {
		id, text, _ := strings.Cut(row, "|")
		if text == "" {
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		rows[i] = id + "|" + string(out)
	}
	return rows
}

// crossing is a pair of a PostgreSQL site and a MariaDB site with one table under two names.
func crossing(t *testing.T, postgres, mariadb, rules string) *pair {
	t.Helper()
	return newPair(t, pairOptions{
		products: engines{"", testcluster.MariaDB},
		schema:   "CREATE TABLE marker (id varchar(60) PRIMARY KEY);\n" + postgres,
		mysql:    "CREATE TABLE marker (id varchar(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PRIMARY KEY);\n" + mariadb,
		rules:    rules + "[[table]]\nmatch = \"public.marker\"\nnames = { pune = \"shop.marker\" }\n",
	})
}

// Names of tables and columns differ, conflicts are decided alike and recorded under the
// cluster's names at both, a value without counterpart is parked with its reason and can
// be settled, and a truncate finds its table.
func TestTablesHaveOtherNamesAtTheOtherEngine(t *testing.T) {
	p := crossing(t,
		"CREATE TABLE orders (id int PRIMARY KEY, total numeric(12,2), hits int, due timestamp, code varchar(20) UNIQUE);\nALTER TABLE orders REPLICA IDENTITY FULL;\n",
		"CREATE DATABASE sales;\nCREATE TABLE sales.purchases (number int PRIMARY KEY, total_amount decimal(12,2), hits int, due datetime(6), code varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin UNIQUE);\n",
		"[[table]]\nmatch = \"public.orders\"\nnames = { pune = \"sales.purchases\" }\ncolumn_names = { pune = { id = \"number\", total = \"total_amount\" } }\ncolumns = { hits = \"sum\", total = \"max\" }\n",
	)
	for _, s := range p.sites {
		s.start()
	}
	p.a.exec("INSERT INTO orders VALUES (1, 10.50, 5, '2024-01-02 03:04:05.5', 'a'), (2, 1, 0, NULL, NULL)")
	p.quiesce(60 * time.Second)
	p.b.proxy.Cut()
	p.a.proxy.Cut()
	p.a.exec("UPDATE orders SET hits = hits + 2, total = 11.25 WHERE id = 1")
	p.a.exec("INSERT INTO orders VALUES (3, 0, 0, NULL, 'same')")
	p.b.exec("UPDATE sales.purchases SET hits = hits + 40, total_amount = 11.30 WHERE number = 1;\n")
	p.b.exec("INSERT INTO sales.purchases VALUES (4, 0, 0, NULL, 'same');\n")
	p.a.proxy.Heal()
	p.b.proxy.Heal()
	p.quiesce(60 * time.Second)
	a := p.a.query("SELECT id, total, hits, code FROM orders ORDER BY id")
	b := p.b.query("SELECT number, total_amount, hits, code FROM sales.purchases ORDER BY number")
	if !reflect.DeepEqual(a, b) || len(a) != 3 && len(a) != 4 || a[0] != "1|11.30|47|a" {
		t.Errorf("%q at %s, %q at %s", a, p.a.name, b, p.b.name)
	}
	for _, s := range p.sites {
		out := p.mustRun(s, "conflicts", "list", "--site", s.name)
		if !strings.Contains(out, "public.orders") || strings.Contains(out, "purchases") {
			t.Errorf("conflicts at %s:\n%s", s.name, out)
		}
	}

	p.a.exec("UPDATE orders SET due = 'infinity' WHERE id = 2")
	p.quiesce(60 * time.Second)
	out, code := p.run(p.b, "parked", "list", "--site", "pune")
	if code != 1 || !strings.Contains(out, "column due of table public.orders") || !strings.Contains(out, "no counterpart") {
		t.Fatalf("parked list: exit %d\n%s", code, out)
	}
	if out, code := p.run(p.b, "parked", "apply", "1", "--site", "pune", "--yes"); code == 0 || !strings.Contains(out, "no counterpart") {
		t.Errorf("parked apply: exit %d\n%s", code, out)
	}
	p.mustRun(p.b, "parked", "discard", "1", "--site", "pune", "--yes")
	p.quiesce(60 * time.Second)
	if due := p.a.one("SELECT coalesce(due::text, 'none') FROM orders WHERE id = 2"); due != "none" {
		t.Errorf("after the change was discarded at pune, due is %s at mumbai", due)
	}

	p.b.exec("TRUNCATE sales.purchases;\n")
	p.quiesce(60 * time.Second)
	if n := p.a.one("SELECT count(*) FROM orders"); n != "0" {
		t.Errorf("%s rows at mumbai after a truncate at pune", n)
	}
}

// A column that cannot map holds its table back at the site that would have to write it,
// with the reason and the remedy in status and doctor; when the column is altered, what
// waited comes.
func TestAColumnThatCannotMapHoldsItsTableBack(t *testing.T) {
	p := crossing(t,
		"CREATE TABLE items (id int PRIMARY KEY, amount bigint);\n",
		"CREATE TABLE items (id int PRIMARY KEY, amount int);\n",
		"[[table]]\nmatch = \"public.items\"\nnames = { pune = \"shop.items\" }\n",
	)
	for _, s := range p.sites {
		s.start()
	}
	p.a.exec("INSERT INTO items VALUES (1, 5000000000)")
	p.b.exec("INSERT INTO items VALUES (2, 7);\n")
	p.quiesce(60 * time.Second)
	const reason = "bigint holds values that int does not"
	eventually(t, 30*time.Second, "status says why the table waits", func() bool {
		out, _ := p.run(p.b, "status")
		return strings.Contains(out, reason)
	})
	if out, code := p.run(p.b, "doctor"); code == 0 || !strings.Contains(out, reason) || !strings.Contains(out, "widen the narrower column") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}
	if n := p.a.one("SELECT count(*) FROM items"); n != "2" {
		t.Errorf("%s rows at mumbai: an int fits in a bigint", n)
	}
	p.b.exec("ALTER TABLE items MODIFY amount bigint;\n")
	eventually(t, 60*time.Second, "what waited came", func() bool {
		return p.b.one("SELECT count(*) FROM items WHERE amount = 5000000000") == "1"
	})
	p.quiesce(60 * time.Second)
	if out, code := p.run(p.b, "doctor"); code != 0 {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}

	// A new column is asked for in the words of the site that lacks it.
	p.a.exec("ALTER TABLE items ADD COLUMN due timestamptz(3)")
	p.a.exec("INSERT INTO items VALUES (3, 1, '2024-01-02 03:04:05.678+00')")
	const remedy = "ALTER TABLE `shop`.`items` ADD COLUMN `due` timestamp(3) NULL"
	eventually(t, 30*time.Second, "status proposes the column", func() bool {
		out, _ := p.run(p.b, "status")
		return strings.Contains(out, remedy)
	})
	p.b.exec(remedy + ";\n")
	eventually(t, 60*time.Second, "what waited came", func() bool {
		return p.b.one("SELECT count(*) FROM items WHERE due = '2024-01-02 03:04:05.678'") == "1"
	})
}
