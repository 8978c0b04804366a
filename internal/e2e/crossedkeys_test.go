package e2e

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// keyCase is a replication key that engines have each in its own way. Its columns are of
// the types; values are the columns of four keys as SQL of PostgreSQL, others of MySQL and
// MariaDB where that differs.
type keyCase struct {
	name           string
	types          map[testcluster.Product]string // "k1 type, k2 type"; of PostgreSQL under ""
	values, others [4]string
	reads          map[testcluster.Product]string // gives the key as the same text everywhere
}

func keyCases() []keyCase {
	const my, maria = testcluster.MySQL, testcluster.MariaDB
	id := func(n int) string { return fmt.Sprintf("'00112233-4455-6677-8899-00aabbccdd%02d'", n) }
	raw := func(n int) string {
		return strings.NewReplacer("'0", "x'0", "-", "").Replace(id(n))
	}
	ids := [4]string{id(1), id(2), id(3), id(4)}
	text := "varchar(40) CHARACTER SET utf8mb4 COLLATE "
	texts := func(columns string) map[testcluster.Product]string {
		return map[testcluster.Product]string{
			"": strings.ReplaceAll(columns, "TEXT", "varchar(40)"),
			my: strings.ReplaceAll(columns, "TEXT", text+byteCollations[my]), maria: strings.ReplaceAll(columns, "TEXT", text+byteCollations[maria]),
		}
	}
	same := func(postgres, other string) map[testcluster.Product]string {
		return map[testcluster.Product]string{"": postgres, my: other, maria: other}
	}
	return []keyCase{
		{name: "uuids", types: map[testcluster.Product]string{"": "k1 uuid", my: "k1 binary(16)", maria: "k1 binary(16)"}, values: ids, others: [4]string{raw(1), raw(2), raw(3), raw(4)},
			reads: map[testcluster.Product]string{"": "upper(replace(k1::text, '-', ''))", my: "hex(k1)", maria: "hex(k1)"}},
		{name: "spelled_uuids", types: map[testcluster.Product]string{"": "k1 uuid", my: "k1 char(36) CHARACTER SET ascii COLLATE ascii_bin", maria: "k1 uuid"}, values: ids},
		{name: "amounts", types: same("k1 numeric(12,2)", "k1 decimal(12,2)"), values: [4]string{"1.50", "-0.01", "0", "9999999999.99"}},
		{name: "unsigned_numbers", types: same("k1 numeric(20,0)", "k1 bigint unsigned"), values: [4]string{"18446744073709551615", "0", "9223372036854775808", "1"}},
		{name: "words", types: texts("k1 TEXT"), values: [4]string{"'word'", "'word '", "'WORD'", "''"}, reads: same("'<' || k1 || '>'", "concat('<', k1, '>')")},
		{name: "accents", types: texts("k1 TEXT"), values: [4]string{"'é'", "'e'", "'É'", "'漢字'"}},
		{name: "several", types: texts("k1 TEXT, k2 int, k3 date"), values: [4]string{"'a', 1, '2024-02-29'", "'a', 1, '2024-03-01'", "'', -1, '1000-01-01'", "'b|''x', 2147483647, '9999-12-31'"}},
		{name: "local_times", types: same("k1 timestamp", "k1 datetime(6)"), values: [4]string{"'2024-02-29 10:11:12'", "'2024-02-29 10:11:12.000001'", "'1999-12-31 23:59:59.5'", "'2024-02-29 00:00:00'"},
			reads: same("to_char(k1, 'YYYY-MM-DD HH24:MI:SS.US')", "date_format(k1, '%Y-%m-%d %T.%f')")},
		{name: "moods", types: same("k1 mood", "k1 enum('sad','glad','new','old')"), values: [4]string{"'sad'", "'glad'", "'new'", "'old'"}},
		{name: "switches", types: same("k1 boolean, k2 int", "k1 tinyint(1), k2 int"), values: [4]string{"true, 1", "false, 1", "true, 2", "false, 2"}, reads: same("k1::int || '/' || k2", "concat(k1, '/', k2)")},
	}
}

// value is the n-th key as SQL of a site.
func (c *keyCase) value(s *site, n int) string {
	if s.mysql != nil && c.others[n] != "" {
		return c.others[n]
	}
	return c.values[n]
}

// is the condition for the n-th key.
func (c *keyCase) is(s *site, n int) string { return "(" + c.columns() + ") = (" + c.value(s, n) + ")" }

func (c *keyCase) columns() string {
	var names []string
	for column := range strings.SplitSeq(c.types[""], ", ") {
		name, _, _ := strings.Cut(column, " ")
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// move gives a row the n-th key.
func (c *keyCase) move(s *site, n int) string {
	if s.mysql == nil {
		return "(" + c.columns() + ") = ROW(" + c.value(s, n) + ")"
	}
	var set []string
	values := strings.Split(c.value(s, n), ", ")
	for i, name := range strings.Split(c.columns(), ", ") {
		set = append(set, name+" = "+values[i])
	}
	return strings.Join(set, ", ")
}

func (c *keyCase) rows(s *site, p testcluster.Product) []string {
	key := c.reads[p]
	if key == "" {
		key = c.columns()
	}
	rows := s.query("SELECT " + key + ", n, said FROM " + c.name)
	return rows
}

// The rows of two engines are one when their keys are, however each engine writes them:
// what one made the other changes, moves and deletes, and what both made in one moment is
// one row with one conflict. Keys that differ in capitals, accents or spaces at their end
// are two.
func TestKeysAreOneBetweenEngines(t *testing.T) {
	for _, e := range []engines{{"", testcluster.MariaDB}, {"", testcluster.MySQL}, {testcluster.MariaDB, testcluster.MySQL}} {
		t.Run(e.String(), func(t *testing.T) {
			cases := keyCases()
			o := pairOptions{products: e, rules: "[[table]]\nmatch = \"public.marker\"\n" + e.names("marker") +
				"\n[[table]]\nmatch = \"public.*\"\ncolumns = { n = \"sum\" }\n" + e.names("*") + "\n"}
			for i := range e {
				id := "varchar(60) PRIMARY KEY"
				schema := "CREATE TYPE mood AS ENUM ('sad', 'glad', 'new', 'old');\n"
				if e[i] != "" {
					id, schema = "varchar(60) CHARACTER SET utf8mb4 COLLATE "+byteCollations[e[i]]+" PRIMARY KEY", ""
				}
				schema += "CREATE TABLE marker (id " + id + ");\n"
				for _, c := range cases {
					said := "longtext"
					if e[i] == "" {
						said = "text"
					}
					schema += fmt.Sprintf("CREATE TABLE %s (%s, n int NOT NULL, said %s, PRIMARY KEY (%s));\n", c.name, c.types[e[i]], said, c.columns())
					if e[i] == "" {
						schema += fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL;\n", c.name)
					}
				}
				o.schemas = append(o.schemas, schema)
			}
			p := newPair(t, o)
			all := func(s *site, sql func(c *keyCase) string) {
				text := ""
				for i := range cases {
					text += sql(&cases[i]) + ";\n"
				}
				s.exec(text)
			}
			insert := func(s *site, n int) {
				all(s, func(c *keyCase) string {
					return fmt.Sprintf("INSERT INTO %s VALUES (%s, 1, '%s')", c.name, c.value(s, n), s.name)
				})
			}
			raise := func(s *site, n, by int) {
				all(s, func(c *keyCase) string {
					return fmt.Sprintf("UPDATE %s SET n = n + %d WHERE %s", c.name, by, c.is(s, n))
				})
			}
			for _, s := range p.sites {
				s.start()
			}
			insert(p.a, 0)
			insert(p.b, 1)
			p.quiesce(60 * time.Second)
			p.a.proxy.Cut()
			p.b.proxy.Cut()
			insert(p.a, 2)
			insert(p.b, 2)
			for i, s := range p.sites {
				raise(s, 0, 10+i)
				raise(s, 1, 100+i)
			}
			p.a.proxy.Heal()
			p.b.proxy.Heal()
			p.quiesce(60 * time.Second)
			all(p.a, func(c *keyCase) string {
				return fmt.Sprintf("UPDATE %s SET %s WHERE %s", c.name, c.move(p.a, 3), c.is(p.a, 1))
			})
			all(p.b, func(c *keyCase) string { return fmt.Sprintf("DELETE FROM %s WHERE %s", c.name, c.is(p.b, 0)) })
			p.quiesce(60 * time.Second)
			raise(p.b, 3, 1000)
			p.quiesce(60 * time.Second)

			for i := range cases {
				c := &cases[i]
				a, b := c.rows(p.a, e[0]), c.rows(p.b, e[1])
				if diff(t, c.name, p.b.name, a, b) != 0 || len(a) != 2 || !strings.Contains(strings.Join(a, "\n"), "|1202|"+p.b.name) {
					t.Errorf("%s: %q at %s, %q at %s, want the third key and the fourth, raised to 1202", c.name, a, p.a.name, b, p.b.name)
				}
				for _, s := range p.sites {
					kinds := s.query("SELECT kind FROM concord.conflict WHERE table_name IN ('public." + c.name + "', 'shop." + c.name + "') ORDER BY kind")
					if want := []string{"insert_exists", "update_origin_differs", "update_origin_differs"}; !reflect.DeepEqual(kinds, want) {
						t.Errorf("%s at %s: the conflicts are %q, want %q", c.name, s.name, kinds, want)
					}
				}
			}
			for _, s := range p.sites {
				if parked := s.query("SELECT message FROM concord.parked"); len(parked) > 0 {
					t.Errorf("%s: parked: %s", s.name, strings.Join(parked, "; "))
				}
			}
		})
	}
}
