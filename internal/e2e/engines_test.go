package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/testcluster"
)

// engines are the servers of a mesh, site by site; "" is PostgreSQL.
type engines []testcluster.Product

func (e engines) String() string {
	var names []string
	for _, p := range e {
		names = append(names, cmp.Or(string(p), "postgres"))
	}
	return strings.Join(names, " and ")
}

// alike reports whether all sites have the same product.
func (e engines) alike() bool { return len(slices.Compact(slices.Clone(e))) <= 1 }

// enginesSchema has a table with every type that engines have in common (things), whose
// rows both sites write; counters that both raise; and a row for every transaction
// (ledger), so that one that is missing or doubled shows.
func enginesSchema(e engines, i int) string {
	postgres := e[i] == ""
	text, number, full := binaryText(postgres), "int", ""
	if postgres {
		number = "integer"
		full = "CREATE TYPE mood AS ENUM ('sad', 'glad');\n"
	}
	s := full + fmt.Sprintf("CREATE TABLE marker (id varchar(60) %[1]s PRIMARY KEY);\n"+
		"CREATE TABLE counters (id %[2]s PRIMARY KEY, n bigint NOT NULL);\n"+
		"CREATE TABLE ledger (id varchar(60) %[1]s PRIMARY KEY, counter %[2]s NOT NULL, delta %[2]s NOT NULL);\n", text, number) +
		crossedTable(e.columns(i), "things", postgres)
	for n := range 10 {
		s += fmt.Sprintf("INSERT INTO counters VALUES (%d, 0);\n", n)
	}
	if postgres {
		return s + "ALTER TABLE things REPLICA IDENTITY FULL;\nALTER TABLE counters REPLICA IDENTITY FULL;\n"
	}
	if e.alike() { // the product's own comparison
		return strings.ReplaceAll(s, binaryText(false), "")
	}
	return strings.ReplaceAll(s, "binary_of_product", byteCollations[e[i]])
}

// columns are those of things at a site: between servers of one product also types that
// no other engine has.
func (e engines) columns(i int) []crossed {
	columns := crossedColumns(e[i])
	if e.alike() {
		columns = append(columns,
			crossed{name: "flags", other: "set('a','b','c')", values: []string{"'a,c'", "''"}},
			crossed{name: "born", other: "year", values: []string{"2024", "1901"}},
			crossed{name: "wide", other: "decimal(65,30)", values: []string{"0.000000000000000000000000000001", "-12345678901234567890123456789012345.5"}},
			crossed{name: "spot", other: "point", values: []string{"point(1, 2)", "point(-0.5, 1e100)"}, readOther: "hex(%s)"},
			crossed{name: "span", other: "time(6)", values: []string{"'-838:59:59'", "'12:00:00.000001'"}})
	}
	return columns
}

const enginesRules = `[[table]]
match   = "public.counters"
%[1]s
columns = { n = "sum" }
[[table]]
match   = "public.things"
%[2]s
columns = { small = "max", "*" = "last_write_wins" }
[[table]]
match = "public.*"
%[3]s
`

func (e engines) rules() string {
	return fmt.Sprintf(enginesRules, e.names("counters"), e.names("things"), e.names("*"))
}

// names gives the table of servers that are no PostgreSQL its name.
func (e engines) names(table string) string {
	var at []string
	for i, p := range e {
		if p != "" {
			at = append(at, fmt.Sprintf("%s = \"shop.%s\"", siteNames[i], table))
		}
	}
	return "names = { " + strings.Join(at, ", ") + " }"
}

// enginesLoad writes at one site until it is told to end.
type enginesLoad struct {
	s       *site
	columns []crossed
	stop    context.CancelFunc
	group   sync.WaitGroup
	commits atomic.Int64
}

func startEnginesLoad(t *testing.T, s *site, columns []crossed, writers int, seed uint64) *enginesLoad {
	ctx, cancel := context.WithCancel(context.Background())
	l := &enginesLoad{s: s, columns: columns, stop: cancel}
	for w := range writers {
		l.group.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for n := 0; ctx.Err() == nil; n++ {
				if l.commit(l.transaction(r, fmt.Sprintf("%s-%d-%d", s.name, w, n))) {
					l.commits.Add(1)
				}
				poll()
			}
		})
	}
	t.Cleanup(func() { cancel(); l.group.Wait() })
	return l
}

func (l *enginesLoad) end() int64 {
	l.stop()
	l.group.Wait()
	return l.commits.Load()
}

func (l *enginesLoad) transaction(r *rand.Rand, name string) []string {
	counter, delta := r.IntN(10), r.IntN(200)-100
	all := []string{
		fmt.Sprintf("INSERT INTO ledger VALUES ('%s', %d, %d)", name, counter, delta),
		fmt.Sprintf("UPDATE counters SET n = n + %d WHERE id = %d", delta, counter),
	}
	postgres := l.s.mysql == nil
	for range 1 + r.IntN(3) {
		id := fmt.Sprintf("thing %d", r.IntN(30))
		switch r.IntN(6) {
		case 0:
			all = append(all, fmt.Sprintf("DELETE FROM things WHERE id = '%s'", id))
		case 1, 2:
			all = append(all, fmt.Sprintf("DELETE FROM things WHERE id = '%s'", id),
				strings.TrimSuffix(crossedInsert(l.columns, "things", id, r.IntN(3), postgres), ";\n"))
		default:
			c := l.columns[r.IntN(len(l.columns))]
			n := r.IntN(len(c.values))
			value, column := c.values[n], c.name
			if !postgres {
				column = "`" + column + "`"
				if c.others != nil {
					value = c.others[n]
				}
			}
			all = append(all, fmt.Sprintf("UPDATE things SET %s = %s WHERE id = '%s'", column, value, id))
		}
	}
	return all
}

// commit reports whether it committed; a server that is down, a deadlock or a row that
// another application made end it.
func (l *enginesLoad) commit(statements []string) bool {
	if l.s.mysql == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, l.s.dsn)
		if err != nil {
			return false
		}
		defer c.Close(ctx)
		_, err = c.PgConn().Exec(ctx, "BEGIN;"+strings.Join(statements, ";")+";COMMIT").ReadAll()
		return err == nil
	}
	c, err := connectTo(l.s)
	if err != nil {
		return false
	}
	defer c.Close()
	for _, sql := range append(append([]string{"BEGIN"}, statements...), "COMMIT") {
		if _, err := c.Execute(sql); err != nil {
			return false
		}
	}
	return true
}

// crashServer kills the site's database server; startServer starts it again.
func (s *site) crashServer() {
	s.t.Helper()
	var err error
	if s.mysql != nil {
		err = s.mysql.Kill()
	} else {
		err = s.cluster.Kill()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) startServer() {
	s.t.Helper()
	var err error
	if s.mysql != nil {
		err = s.mysql.Start(s.t.Context())
	} else {
		err = s.cluster.Start(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Sites of every two engines, and of all three, are written everywhere, the same rows
// among others, the clock of one ten minutes ahead, while agents are killed, lines cut, a
// server killed and another one down for a while. All end with the same rows in every
// column, and each counter is what was booked: nothing lost, nothing twice.
func TestEnginesConvergeUnderFaults(t *testing.T) {
	for _, e := range []engines{
		{testcluster.MariaDB, testcluster.MariaDB}, {testcluster.MySQL, testcluster.MySQL},
		{"", testcluster.MariaDB}, {testcluster.MySQL, ""}, {testcluster.MariaDB, testcluster.MySQL},
		{"", testcluster.MariaDB, testcluster.MySQL},
	} {
		if e.alike() && scale() == 1 {
			continue // TestKillAgents and those beside it play them
		}
		t.Run(e.String(), func(t *testing.T) {
			p := newEngines(t, e, pairOptions{faketime: []string{"", "+10m"}})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var loads []*enginesLoad
			for i, s := range p.sites {
				s.start()
				loads = append(loads, startEnginesLoad(t, s, e.columns(i), 2, seed+uint64(i)))
			}
			r := rand.New(rand.NewPCG(seed, 99))
			kills, cuts := p.trouble(r, time.Duration(4*scale())*time.Second)
			last := p.sites[len(p.sites)-1]
			last.crashServer()
			last.startServer()
			k, c := p.trouble(r, time.Duration(3*scale())*time.Second)
			kills, cuts = kills+k, cuts+c
			p.sites[0].crashServer()
			<-time.After(time.Duration(2*scale()) * time.Second)
			p.sites[0].startServer()
			k, c = p.trouble(r, time.Duration(2*scale())*time.Second)
			kills, cuts = kills+k, cuts+c
			var commits int64
			for _, l := range loads {
				commits += l.end()
			}
			p.drain(90 * time.Second)
			p.requireEqualEngines(e)
			p.requireBooked(commits)
			for _, s := range p.sites {
				if commits == 0 || s.one("SELECT count(*) FROM concord.conflict") == "0" || s.one("SELECT count(*) FROM things") == "0" {
					t.Errorf("%s: %d transactions, and no conflict or no row: nothing is shown", s.name, commits)
				}
			}
			t.Logf("%d transactions, %d kills, %d cuts, %s conflicts at %s", commits, kills, cuts, p.sites[0].one("SELECT count(*) FROM concord.conflict"), p.sites[0].name)
		})
	}
}

// newEngines is newMesh of the engines, with the tables that both loads and tests of types
// write.
func newEngines(t *testing.T, e engines, o pairOptions) *mesh {
	t.Helper()
	o.products, o.rules = e, e.rules()
	for i := range e {
		o.schemas = append(o.schemas, enginesSchema(e, i))
	}
	return newMesh(t, len(e), o)
}

// requireEqualEngines compares every column of every table.
func (p *mesh) requireEqualEngines(e engines) {
	p.t.Helper()
	first := p.sites[0]
	for n, s := range p.sites[1:] {
		a, b := e.columns(0), e.columns(n+1)
		for i := range a {
			left, right := readCrossed(first, &a[i]), readCrossed(s, &b[i])
			if !reflect.DeepEqual(left, right) {
				p.t.Errorf("column %s: %d rows differ", a[i].name, diff(p.t, "things", s.name, left, right))
			}
		}
		for _, q := range []string{"SELECT id, n FROM counters ORDER BY id", "SELECT id, counter, delta FROM ledger ORDER BY id"} {
			if left, right := first.query(q), s.query(q); !reflect.DeepEqual(left, right) {
				p.t.Errorf("%s: %d rows differ", q, diff(p.t, "counters or ledger", s.name, left, right))
			}
		}
	}
}

// requireBooked checks that all transactions are there, that each counter is the sum of
// what they booked, and that nothing is parked.
func (p *mesh) requireBooked(commits int64) {
	p.t.Helper()
	for _, s := range p.sites {
		var n int64
		if _, err := fmt.Sscan(s.one("SELECT count(*) FROM ledger"), &n); err != nil || n < commits {
			p.t.Errorf("%s has %d rows of %d transactions: %v", s.name, n, commits, err)
		}
		if wrong := s.query("SELECT c.id, c.n, b.total FROM counters c JOIN (SELECT counter, sum(delta) AS total FROM ledger GROUP BY counter) b ON b.counter = c.id WHERE c.n <> b.total"); len(wrong) > 0 {
			p.t.Errorf("%s: counter, value, booked: %v", s.name, wrong)
		}
		if parked := s.query("SELECT reason, message FROM concord.parked LIMIT 3"); len(parked) > 0 {
			p.t.Errorf("%s: parked: %s", s.name, strings.Join(parked, "; "))
		}
	}
}
