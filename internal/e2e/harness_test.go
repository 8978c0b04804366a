package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/testcluster"
)

// concord is the path of the program under test, built once by TestMain.
var concord string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "concord-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	concord = filepath.Join(dir, "concord")
	build := exec.Command("go", "build", "-o", concord, "github.com/concord-db/concord/cmd/concord")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building concord:", err)
		os.Exit(2)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// site is one data centre of a test: a database server and an agent process.
type site struct {
	*process // the agent of role all, for tests that have no others
	t        *testing.T
	name     string
	cluster  *testcluster.Cluster     // nil when it is no PostgreSQL
	mysql    *testcluster.MySQLServer // nil when it is one
	dsn      string                   // of a superuser
	bus      string                   // what the agent, or the operator's NATS, listens on
	proxy    *testcluster.Proxy
	config   string // the site's own file: its peer's bus is behind the proxy
}

// mesh is two sites or more, each of which replicates with every other.
type mesh struct {
	t     *testing.T
	sites []*site
}

// pair is a mesh of two sites, mumbai and pune.
type pair struct {
	mesh
	a, b *site
}

// siteNames are those of the sites of a mesh, in order.
var siteNames = []string{"mumbai", "pune", "delhi", "chennai", "kolkata"}

type pairOptions struct {
	versions []int    // of PostgreSQL, in turns; 15 by default
	products engines  // of a MySQL server instead, in turns
	faketime []string // e.g. "+10m", in turns
	rules    string   // [[table]] sections; all of public by default
	defaults string   // lines of [defaults]
	schema   string
	mysql    string            // the schema of MySQL servers, in the database shop
	schemas  []string          // instead of both: site by site
	files    map[string]string // beside the configuration: name and text
	settings map[string]string
	nats     bool   // each site's bus is a NATS server of its operator
	role     string // the agents connect as this role, made by what init --grants prints; "": a superuser
}

// turn is what the list has for the i-th site; nothing where it is empty.
func turn[T any](list []T, i int) (t T) {
	if len(list) > 0 {
		t = list[i%len(list)]
	}
	return t
}

const defaultRules = "[[table]]\nmatch = \"public.*\"\n"

// newPair is newMesh of two sites.
func newPair(t *testing.T, o pairOptions) *pair {
	t.Helper()
	m := newMesh(t, 2, o)
	return &pair{mesh: *m, a: m.sites[0], b: m.sites[1]}
}

// newMesh starts n servers, makes the schema on all and runs init. Agents are not
// started.
func newMesh(t *testing.T, n int, o pairOptions) *mesh {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, o.files)
	p := &mesh{t: t}
	var sites []*site
	for i, name := range siteNames[:n] {
		s := &site{t: t, name: name, bus: freeAddr(t), config: filepath.Join(dir, name+".toml")}
		schema := o.schema
		if turn(o.products, i) != "" {
			s.serveMySQL(o, i)
			schema = o.mysql
		} else {
			s.servePostgres(o, i)
		}
		if o.schemas != nil {
			schema = o.schemas[i]
		}
		s.process = s.agent("agent of " + name)
		if o.nats {
			serveNATS(t, s.bus, filepath.Join(dir, "nats-"+name))
		}
		s.exec(schema)
		sites = append(sites, s)
	}
	p.sites = sites
	for _, s := range sites {
		proxy, err := testcluster.NewProxy(s.bus)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { proxy.Close() })
		s.proxy = proxy
	}
	for _, s := range sites {
		file := configuration(s, sites, dir, o)
		if err := os.WriteFile(s.config, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		p.mustRun(s, "init", "--site", s.name)
		if o.role != "" {
			p.grant(s, o.role, file)
		}
	}
	return p
}

// servePostgres starts the site's server, with an empty database shop.
func (s *site) servePostgres(o pairOptions, i int) {
	s.t.Helper()
	version := turn(o.versions, i)
	if version == 0 {
		version = 15
	}
	s.cluster = testcluster.Own(s.t, testcluster.Options{Version: version, Settings: o.settings, Faketime: turn(o.faketime, i)})
	if err := s.cluster.CreateDatabase(s.t.Context(), "shop"); err != nil {
		s.t.Fatal(err)
	}
	s.dsn = s.cluster.DSN("shop")
}

// configuration is a site's own file.
func configuration(s *site, sites []*site, dir string, o pairOptions) string {
	rules := o.rules
	if rules == "" {
		rules = defaultRules
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cluster = \"shop\"\n\n[defaults]\n%s\n", o.defaults)
	for _, other := range sites {
		bus := other.bus
		if other != s {
			bus = other.proxy.Addr()
		}
		fmt.Fprintf(&b, "[site.%s]\ndsn = %q\nhttp = %q\n", other.name, other.dsn, other.http)
		if o.nats {
			fmt.Fprintf(&b, "bus = \"nats://%s\"\nbus_sync_interval = \"always\"\n\n", bus)
		} else {
			fmt.Fprintf(&b, "bus = %q\ndata = %q\n\n", bus, filepath.Join(dir, "data-"+other.name))
		}
	}
	return b.String() + rules
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := testcluster.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// run executes concord once and returns its output and exit code.
func (p *mesh) run(s *site, args ...string) (string, int) {
	p.t.Helper()
	cmd := exec.Command(concord, append(args, "-c", s.config)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		p.t.Fatalf("concord %s: %v", strings.Join(args, " "), err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (p *mesh) mustRun(s *site, args ...string) string {
	p.t.Helper()
	out, code := p.run(s, args...)
	if code != 0 {
		p.t.Fatalf("concord %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (s *site) exec(sql string, args ...any) {
	s.t.Helper()
	if sql == "" {
		return
	}
	if s.mysql != nil {
		s.execMySQL(sql)
		return
	}
	c, err := pgx.Connect(context.Background(), s.dsn)
	if err != nil {
		s.t.Fatalf("connecting to %s: %v", s.name, err)
	}
	defer c.Close(context.Background())
	if len(args) == 0 {
		_, err = c.PgConn().Exec(context.Background(), sql).ReadAll()
	} else {
		_, err = c.Exec(context.Background(), sql, args...)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

// query returns the rows of a query as text, columns joined by |.
func (s *site) query(sql string) []string {
	s.t.Helper()
	if s.mysql != nil {
		return s.queryMySQL(sql)
	}
	c, err := pgx.Connect(context.Background(), s.dsn)
	if err != nil {
		s.t.Fatalf("connecting to %s: %v", s.name, err)
	}
	defer c.Close(context.Background())
	results, err := c.PgConn().Exec(context.Background(), sql).ReadAll()
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.name, sql, err)
	}
	var out []string
	for _, r := range results {
		for _, row := range r.Rows {
			out = append(out, string(bytes.Join(row, []byte("|"))))
		}
	}
	return out
}

func (s *site) one(sql string) string {
	s.t.Helper()
	rows := s.query(sql)
	if len(rows) != 1 {
		s.t.Fatalf("%s: %s: %d rows", s.name, sql, len(rows))
	}
	return rows[0]
}

// eventually polls until ok or the deadline.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if t.Failed() { // such as by an agent that ended: more time brings nothing
			t.Fatalf("given up: %s", what)
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		poll()
	}
}

// poll waits a moment between two looks.
func poll() { <-time.After(20 * time.Millisecond) }

// quiesce waits until everything committed at any site before the call has been
// applied at the others: a marker row written at each arrives at all, and streams are
// in order.
func (p *mesh) quiesce(within time.Duration) {
	p.t.Helper()
	arrived := p.mark()
	eventually(p.t, within, "all sites have everything", arrived)
}

// drain is quiesce after a load that has left much behind: it goes on as long as
// something is applied anywhere, and fails when for stall nothing is.
func (p *mesh) drain(stall time.Duration) {
	p.t.Helper()
	arrived := p.mark()
	began, moved, printed := time.Now(), time.Now(), time.Now()
	var last string
	for !arrived() {
		now, behind := p.progress()
		if now != last {
			last, moved = now, time.Now()
		}
		if time.Since(printed) > 10*time.Second {
			printed = time.Now()
			p.t.Logf("%s after the load: %d transactions behind, at all sites together", time.Since(began).Round(time.Second), behind)
		}
		if p.t.Failed() {
			p.t.FailNow()
		}
		if time.Since(moved) > stall {
			p.t.Fatalf("for %s nothing was applied at any site, %d transactions behind", stall, behind)
		}
		poll()
	}
	p.t.Logf("all sites have everything, %s after the load", time.Since(began).Round(time.Second))
}

// progress is a text that changes when a site applies something, and how many
// transactions have not been applied everywhere.
func (p *mesh) progress() (applied string, behind int64) {
	for _, s := range p.sites {
		applied += strings.Join(s.query("SELECT origin, seq FROM concord.checkpoint ORDER BY origin"), ",") + ";"
		for _, l := range s.status().Links {
			behind += l.Transactions
		}
	}
	return applied, behind
}

// mark writes a marker row at each site, and returns what tells whether all are
// everywhere.
func (p *mesh) mark() (arrived func() bool) {
	p.t.Helper()
	mark := fmt.Sprint(time.Now().UnixNano())
	for _, s := range p.sites {
		s.exec("INSERT INTO marker VALUES ('" + mark + "-" + s.name + "')")
	}
	return func() bool {
		for _, s := range p.sites {
			if s.one("SELECT count(*) FROM marker WHERE id LIKE '"+mark+"-%'") != fmt.Sprint(len(p.sites)) {
				return false
			}
		}
		return true
	}
}

// requireEqual compares all tables of public row by row.
func (p *mesh) requireEqual() {
	p.t.Helper()
	first := p.sites[0]
	if (first.mysql == nil) != (p.sites[1].mysql == nil) {
		p.requireEqualTexts()
		return
	}
	if first.mysql != nil {
		p.requireEqualMySQL()
		return
	}
	tables := first.query("SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1")
	for _, table := range tables {
		q := "SELECT t::text FROM public." + table + " t ORDER BY t::text COLLATE \"C\""
		a := first.query(q)
		for _, s := range p.sites[1:] {
			b := s.query(q)
			if n := diff(p.t, table, s.name, a, b); n > 0 {
				p.t.Errorf("table %s: %d rows differ (%d at %s, %d at %s)", table, n, len(a), first.name, len(b), s.name)
			}
		}
	}
}

// diff counts rows that are on one side only and logs the first few.
func diff(t *testing.T, table, other string, a, b []string) int {
	count := map[string]int{}
	for _, r := range a {
		count[r]++
	}
	for _, r := range b {
		count[r]--
	}
	n := 0
	for r, c := range count {
		if c == 0 {
			continue
		}
		if n++; n <= 10 {
			side := siteNames[0]
			if c < 0 {
				side = other
			}
			t.Logf("%s: only at %s: %.200s", table, side, r)
		}
	}
	return n
}

// grant makes the role that the agents of s connect as, by the statements that
// concord init --grants prints, and lets the configuration name it.
func (p *mesh) grant(s *site, role, file string) {
	p.t.Helper()
	s.exec(p.mustRun(s, "init", "--grants", "--role", role, "--site", s.name))
	var as string
	if s.cluster != nil {
		as = s.cluster.DSNFor(role, "shop")
	} else { // the account was made locked
		s.exec("ALTER USER '" + role + "'@'%' IDENTIFIED BY 'secret' ACCOUNT UNLOCK")
		as = strings.Replace(s.dsn, "root@", role+":secret@", 1)
	}
	file = strings.ReplaceAll(file, s.dsn, as)
	if err := os.WriteFile(s.config, []byte(file), 0o600); err != nil {
		p.t.Fatal(err)
	}
}
