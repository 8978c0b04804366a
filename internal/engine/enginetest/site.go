package enginetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// The two sites of most tests: what is committed at here is applied at there.
const (
	here  change.Site = "mumbai"
	there change.Site = "pune"
)

// patience bounds what should take no time.
const patience = 2 * time.Minute

// barrier is the table whose rows tell a reader how far it has come.
const barrier = "barrier"

// bench is a site under test.
type bench struct {
	t   *testing.T
	ctx context.Context
	*Site
	db  Database
	app *client

	release  func() // of the lease on the origin
	applied  apply.Checkpoint
	barriers int
}

// client is an application's session in a test.
type client struct {
	t   *testing.T
	ctx context.Context
	Session
}

func newBench(t *testing.T, f Fixture, o SiteOptions) *bench {
	t.Helper()
	if o.Name == "" {
		o.Name = here
	}
	for _, peer := range []change.Site{here, there} {
		if peer != o.Name {
			o.Peers = append(o.Peers, peer)
		}
	}
	o.Schema = append(o.Schema, "CREATE TABLE "+barrier+" (id int PRIMARY KEY)")
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	t.Cleanup(cancel)
	site := f.New(t, o)
	b := &bench{t: t, ctx: ctx, Site: site, db: site.Database}
	b.app = b.connect()
	return b
}

// pair makes the two sites with the same tables.
func pair(t *testing.T, f Fixture, o SiteOptions) (from, to *bench) {
	t.Helper()
	o.Name = here
	from = newBench(t, f, o)
	o.Name = there
	to = newBench(t, f, o)
	to.acquire()
	return from, to
}

func (b *bench) connect() *client {
	b.t.Helper()
	session, err := b.Connect(b.ctx)
	if err != nil {
		b.t.Fatalf("connecting as an application: %v", err)
	}
	b.t.Cleanup(func() { _ = session.Close(b.ctx) })
	return &client{b.t, b.ctx, session}
}

// run executes statements, each in its own transaction unless they say otherwise.
func (c *client) run(statements ...string) {
	c.t.Helper()
	for _, sql := range statements {
		if err := c.Exec(c.ctx, sql); err != nil {
			c.t.Fatalf("executing %.200s: %v", sql, err)
		}
	}
}

func (c *client) query(sql string) []string {
	c.t.Helper()
	rows, err := c.Query(c.ctx, sql)
	if err != nil {
		c.t.Fatalf("querying %.200s: %v", sql, err)
	}
	return rows
}

// holds fails unless the query returns exactly the rows.
func (c *client) holds(sql string, want ...string) {
	c.t.Helper()
	if got := strings.Join(c.query(sql), "\n"); got != strings.Join(want, "\n") {
		c.t.Errorf("%s\nreturns\n%s\nwant\n%s", sql, got, strings.Join(want, "\n"))
	}
}

// log is an open reader in a test.
type log struct {
	b *bench
	capture.Reader
	last change.Position
}

func (b *bench) open(from change.Position) *log {
	b.t.Helper()
	reader, err := b.db.Open(b.ctx, from)
	if err != nil {
		b.t.Fatalf("opening the log after %q: %v", from, err)
	}
	l := &log{b: b, Reader: reader, last: from}
	b.t.Cleanup(l.close)
	return l
}

// close may be called again.
func (l *log) close() {
	if l.Reader != nil {
		_ = l.Close(l.b.ctx)
		l.Reader = nil
	}
}

// next returns the next event and checks that positions ascend.
func (l *log) next() capture.Event {
	l.b.t.Helper()
	ctx, cancel := context.WithTimeout(l.b.ctx, patience)
	defer cancel()
	ev, err := l.Next(ctx)
	if err != nil {
		l.b.t.Fatalf("reading the log after %q: %v", l.last, err)
	}
	if l.b.db.Compare(ev.Position, l.last) < 0 {
		l.b.t.Fatalf("position %s after %s: positions must not descend", ev.Position, l.last)
	}
	l.last = ev.Position
	return ev
}

// nextChange returns the next event that is not mere progress.
func (l *log) nextChange() capture.Event {
	l.b.t.Helper()
	for {
		if ev := l.next(); ev.Kind != capture.Progress {
			return ev
		}
	}
}

// drain returns what was committed up to now, whole transactions in one event each.
func (l *log) drain() []capture.Event {
	l.b.t.Helper()
	l.b.barriers++
	end := l.b.barriers
	l.b.app.run(fmt.Sprintf("INSERT INTO %s VALUES (%d)", barrier, end))
	var events []capture.Event
	var open *capture.Event
	for {
		ev := l.nextChange()
		if ev.Kind == capture.Local && ev.Heartbeat.IsZero() && passes(ev, end) {
			return events
		}
		switch {
		case ev.Part > 0:
			if open == nil || ev.Part != open.Part+1 {
				l.b.t.Fatalf("part %d without the part before it", ev.Part)
			}
			open.Part, open.More, open.Position = ev.Part, ev.More, ev.Position
			open.Rows = append(open.Rows, ev.Rows...)
		default:
			if open != nil {
				l.b.t.Fatalf("another transaction after part %d of one", open.Part)
			}
			open = &ev
		}
		if !open.More {
			events = append(events, *open)
			open = nil
		}
	}
}

// passes reports whether the event is the barrier's.
func passes(ev capture.Event, end int) bool {
	for _, row := range ev.Rows {
		if row.Table.Name == barrier && row.New != nil && row.New[0].Text == fmt.Sprint(end) {
			return true
		}
	}
	return false
}

// changes runs statements as an application and returns the rows they logged.
func (l *log) changes(statements ...string) []change.Row {
	l.b.t.Helper()
	l.b.app.run(statements...)
	var rows []change.Row
	for _, ev := range l.drain() {
		rows = append(rows, ev.Rows...)
	}
	return rows
}

// acquire makes this test the one that applies here's changes at the site.
func (b *bench) acquire() {
	b.t.Helper()
	release, err := b.db.Acquire(b.ctx, here)
	if err != nil {
		b.t.Fatalf("acquiring the changes of %s: %v", here, err)
	}
	b.release = release
	b.t.Cleanup(func() { b.leave() })
	b.applied = b.checkpoint()
}

func (b *bench) leave() {
	if b.release != nil {
		b.release()
		b.release = nil
	}
}

func (b *bench) checkpoint() apply.Checkpoint {
	b.t.Helper()
	all, err := b.db.Checkpoints(b.ctx)
	if err != nil {
		b.t.Fatalf("reading the checkpoints: %v", err)
	}
	return all[here]
}

// nextCheckpoint is the one after what was applied last.
func (b *bench) nextCheckpoint() apply.Checkpoint {
	return apply.Checkpoint{Origin: here, Epoch: 1, Seq: b.applied.Seq + 1, HLC: (b.applied.Seq + 1) << 8, Previous: b.applied.Seq}
}

// begin opens the next target transaction.
func (b *bench) begin() apply.Tx {
	b.t.Helper()
	tx, err := b.db.Begin(b.ctx, b.nextCheckpoint())
	if err != nil {
		b.t.Fatalf("beginning a target transaction: %v", err)
	}
	b.t.Cleanup(func() { tx.Rollback(b.ctx) })
	return tx
}

func (b *bench) commit(tx apply.Tx) {
	b.t.Helper()
	if err := tx.Commit(b.ctx); err != nil {
		b.t.Fatalf("committing: %v", err)
	}
	b.applied = b.nextCheckpoint()
}

// write writes and fails on an error or a row not found.
func (b *bench) write(tx apply.Tx, writes ...apply.Write) {
	b.t.Helper()
	missing, err := tx.Write(b.ctx, writes)
	if err != nil {
		b.t.Fatalf("writing %d rows: %v", len(writes), err)
	}
	if len(missing) > 0 {
		b.t.Fatalf("writing %d rows: %d found no row", len(writes), len(missing))
	}
}

// writeAll writes rows set by set.
func (b *bench) writeAll(tx apply.Tx, rows []change.Row) {
	b.t.Helper()
	writes := make([]apply.Write, len(rows))
	for i := range rows {
		writes[i] = writeOf(&rows[i])
	}
	b.write(tx, writes...)
}

// apply applies rows in one transaction, one after the other.
func (b *bench) apply(rows ...change.Row) {
	b.t.Helper()
	tx := b.begin()
	for i := range rows {
		b.write(tx, writeOf(&rows[i]))
	}
	b.commit(tx)
}

// writeOf is the optimistic write of a row change.
func writeOf(row *change.Row) apply.Write {
	actions := map[change.Op]apply.Action{change.Insert: apply.Insert, change.Update: apply.Update, change.Delete: apply.Delete}
	return apply.Write{Action: actions[row.Op], Row: row}
}

// image makes one from texts in the order of the columns; "NULL" is null, "~" is
// unchanged.
func image(texts ...string) []change.Value {
	img := make([]change.Value, len(texts))
	for i, text := range texts {
		switch text {
		case "NULL":
			img[i] = change.NullValue()
		case "~":
		default:
			img[i] = change.TextValue(text)
		}
	}
	return img
}

// show is the inverse of image, for messages.
func show(img []change.Value) string {
	if img == nil {
		return "none"
	}
	texts := make([]string, len(img))
	for i, v := range img {
		switch v.State {
		case change.Null:
			texts[i] = "NULL"
		case change.Unchanged:
			texts[i] = "~"
		default:
			texts[i] = v.Text
			if len(v.Text) > 40 {
				texts[i] = fmt.Sprintf("%.40s… (%d bytes)", v.Text, len(v.Text))
			}
		}
	}
	return strings.Join(texts, "|")
}

// lines renders rows one by one: "update item 1|a -> 1|b".
func lines(rows []change.Row) string {
	var out strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&out, "%s %s %s -> %s\n", r.Op, r.Table.Name, show(r.Old), show(r.New))
	}
	return out.String()
}

func expectRows(t *testing.T, rows []change.Row, want ...string) {
	t.Helper()
	got := lines(rows)
	if got != strings.Join(want, "\n")+"\n" && (got != "" || len(want) > 0) {
		t.Fatalf("read\n%swant\n%s", got, strings.Join(want, "\n"))
	}
}

// is fails unless err is of the class.
func is(t *testing.T, err, class error, what string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: %v, want %v", what, err, class)
	}
}
