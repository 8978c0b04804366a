package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testcluster.Main(m)) }

// patience bounds every wait of a test; a good run waits for nothing near it.
const patience = 60 * time.Second

// onEachVersion runs a test on a fresh database of every version.
func onEachVersion(t *testing.T, test func(t *testing.T, c *testcluster.Cluster)) {
	for _, v := range testcluster.Versions(t) {
		t.Run(fmt.Sprint("postgres", v), func(t *testing.T) {
			test(t, testcluster.ForTest(t, testcluster.Options{Version: v}))
		})
	}
}

// session is an application's connection.
type session struct {
	*pgx.Conn
	t   *testing.T
	ctx context.Context
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

func application(t *testing.T, dsn string) *session {
	t.Helper()
	ctx := testContext(t)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { closeConn(ctx, conn) })
	return &session{conn, t, ctx}
}

// run executes statements, each in a transaction of its own.
func (s *session) run(statements ...string) {
	s.t.Helper()
	for _, sql := range statements {
		if _, err := s.Exec(s.ctx, sql); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// text returns the single value of a query, as text.
func (s *session) text(sql string, args ...any) string {
	s.t.Helper()
	var v string
	if err := s.QueryRow(s.ctx, sql, args...).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// fixture is a prepared site.
type fixture struct {
	*DB
	t   *testing.T
	ctx context.Context
	app *session
	dsn string
}

// prepared runs the statements in the database and prepares it as site mumbai.
func prepared(t *testing.T, c *testcluster.Cluster, opts Options, statements ...string) *fixture {
	t.Helper()
	app := application(t, c.DSN(""))
	app.run(statements...)
	if opts.Site == "" {
		opts.Site = "mumbai"
	}
	if opts.Cluster == "" {
		opts.Cluster = c.Database() // slots belong to the whole server
	}
	if opts.Peers == nil {
		opts.Peers = []change.Site{"pune"}
	}
	opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	f := &fixture{DB: New(c.DSN(""), opts), t: t, ctx: testContext(t), app: app, dsn: c.DSN("")}
	t.Cleanup(func() {
		f.Close(f.ctx)
		// Origins outlive the test's database.
		conn, err := pgx.Connect(f.ctx, f.dsn)
		if err == nil {
			_, err = conn.Exec(f.ctx, `SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname LIKE `+literal(f.slot()+"%"))
			closeConn(f.ctx, conn)
		}
		if err != nil {
			t.Errorf("removing replication origins: %v", err)
		}
	})
	if _, err := f.Init(f.ctx, InitOptions{}); err != nil {
		t.Fatalf("preparing the site: %v", err)
	}
	return f
}

// open starts reading after from.
func (f *fixture) open(from change.Position) *log {
	f.t.Helper()
	r, err := f.Open(f.ctx, from)
	if err != nil {
		f.t.Fatalf("opening the log after %q: %v", from, err)
	}
	l := &log{f: f, Reader: r}
	f.t.Cleanup(l.close)
	return l
}

// log reads events in a test.
type log struct {
	capture.Reader
	f *fixture
}

func (l *log) close() { _ = l.Close(l.f.ctx) }

// next returns the next event, of any kind.
func (l *log) next() capture.Event {
	l.f.t.Helper()
	ctx, cancel := context.WithTimeout(l.f.ctx, patience)
	defer cancel()
	ev, err := l.Next(ctx)
	if err != nil {
		l.f.t.Fatalf("reading the log: %v", err)
	}
	return ev
}

// nextChange returns the next event that is not mere progress.
func (l *log) nextChange() capture.Event {
	l.f.t.Helper()
	for {
		if ev := l.next(); ev.Kind != capture.Progress {
			return ev
		}
	}
}

// nextLocal returns the next local event and fails on a replicated one.
func (l *log) nextLocal() capture.Event {
	l.f.t.Helper()
	ev := l.nextChange()
	if ev.Kind != capture.Local {
		l.f.t.Fatalf("read %+v, want a local transaction", ev)
	}
	return ev
}

// until reads events up to the one that passes what was committed before the call
// and returns those that are not mere progress.
func (l *log) until() []capture.Event {
	l.f.t.Helper()
	l.f.app.run(`BEGIN; SELECT pg_logical_emit_message(true, 'test', ''); COMMIT`)
	end := change.Position(l.f.app.text(`SELECT pg_current_wal_insert_lsn()::text`))
	var evs []capture.Event
	for {
		ev := l.next()
		if ev.Kind != capture.Progress {
			evs = append(evs, ev)
		}
		if l.f.Compare(ev.Position, end) >= 0 {
			return evs
		}
	}
}

// show renders an image compactly: text, NULL or ~ for unchanged.
func show(img []change.Value) string {
	if img == nil {
		return "-"
	}
	s := ""
	for i, v := range img {
		if i > 0 {
			s += "|"
		}
		switch v.State {
		case change.Null:
			s += "NULL"
		case change.Unchanged:
			s += "~"
		default:
			s += v.Text
		}
	}
	return s
}

// lines renders rows as "op table old -> new".
func lines(rows []change.Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s %s %s -> %s", r.Op, r.Table.QualifiedName(), show(r.Old), show(r.New)))
	}
	return out
}

// all renders the rows of events.
func all(evs []capture.Event) []string {
	var out []string
	for _, ev := range evs {
		out = append(out, lines(ev.Rows)...)
	}
	return out
}
