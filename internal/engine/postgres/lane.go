package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/change"
)

// lane is one connection that target transactions run on, one at a time. One
// goroutine uses it at a time.
type lane struct {
	number   int
	conn     *pgx.Conn
	prepared map[string]string // SQL to the name of its prepared statement
	names    int               // given to prepared statements so far
	buf      []byte            // of parameters, used again
	stale    bool              // a prepared statement no longer fits its table
}

// maxPrepared bounds the statements that a session keeps; tables with many different
// column sets would otherwise fill the server's memory.
const maxPrepared = 1000

// laneSettings are those of every session that writes, beside sessionSettings.
//
// synchronous_commit is off because a checkpoint and its rows are one transaction: a
// crash of the server loses both or neither, and what it loses is read again from the
// local copy of the stream, which keeps it. Positions of the fence flush explicitly.
//
// The planner must find rows by the key's index whatever the statistics say: a plan
// may be older than the table's size. So everything else is switched off; and plans
// are made once, since no value in them would change one.
//
// In a deadlock and in a lock wait apply gives way, not the application.
var laneSettings = map[string]string{
	"synchronous_commit": "off",
	"lock_timeout":       "200ms",
	"enable_seqscan":     "off",
	"enable_bitmapscan":  "off",
	"enable_hashjoin":    "off",
	"enable_mergejoin":   "off",
	"enable_memoize":     "off",
	"enable_material":    "off",
	"jit":                "off",
	"plan_cache_mode":    "force_generic_plan",
}

// localSettings are those of a session that writes for a person: durable at once,
// with patience for locks.
var localSettings = map[string]string{
	"synchronous_commit": "on",
	"lock_timeout":       "10s",
}

// openLane connects a lane. The caller closes it.
func (db *DB) openLane(ctx context.Context, number int, settings map[string]string) (*lane, error) {
	conn, err := db.connect(ctx, roleApply)
	if err != nil {
		return nil, classify(ctx, "connecting", err)
	}
	l := &lane{number: number, conn: conn, prepared: map[string]string{}}
	if err := l.configure(ctx, settings); err != nil {
		l.close(ctx)
		return nil, err
	}
	return l, nil
}

func (l *lane) configure(ctx context.Context, settings map[string]string) error {
	const set = `SELECT set_config($1, $2, false)`
	b := l.batch(ctx)
	for name, value := range settings {
		b.add(query{sql: set, params: [][]byte{[]byte(name), []byte(value)}, about: "setting " + name})
	}
	if err := b.run(); err != nil {
		return classify(ctx, "preparing the session", err)
	}
	// Triggers and foreign keys fired at the origin already.
	if _, err := l.conn.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		if sqlState(err) == "42501" {
			return fmt.Errorf("%w: the role may not set session_replication_role, so triggers would fire a second time: %w; GRANT SET ON PARAMETER session_replication_role TO %s",
				change.ErrRefused, err, quote(l.conn.Config().User))
		}
		return classify(ctx, "preparing the session", err)
	}
	// Whoever looks for a deadlock first is the one that is cancelled. Without the
	// right lock_timeout does it, a little later.
	if _, err := l.conn.Exec(ctx, `SET deadlock_timeout = '50ms'`); err != nil && sqlState(err) != "42501" {
		return classify(ctx, "preparing the session", err)
	}
	return nil
}

func (l *lane) close(ctx context.Context) { closeConn(ctx, l.conn) }

// usable reports whether the session stands and is outside a transaction.
func (l *lane) usable() bool { return !l.conn.IsClosed() && l.conn.PgConn().TxStatus() == 'I' }

// forget drops the prepared statements when there are too many, or one is stale.
// Outside a transaction.
func (l *lane) forget(ctx context.Context) error {
	if len(l.prepared) <= maxPrepared && !l.stale {
		return nil
	}
	if _, err := l.conn.PgConn().Exec(ctx, `DEALLOCATE ALL`).ReadAll(); err != nil {
		return classify(ctx, "dropping prepared statements", err)
	}
	clear(l.prepared)
	l.stale = false
	return nil
}

// query is one statement of a batch.
type query struct {
	sql     string
	params  [][]byte      // read until add returns
	formats []int16       // of params; nil: all text
	results []int16       // nil: all text
	about   string        // what it is for; part of errors
	shape   *change.Table // the table it writes or reads, if it does

	row func(values [][]byte) error // for each row; values are valid until it returns
	tag func(pgconn.CommandTag) error
}

// batch sends queries together and reads their results in one round trip. The first
// error skips the queries after it. A batch that was begun must be run.
type batch struct {
	l       *lane
	ctx     context.Context
	p       *pgconn.Pipeline
	pending []pendingQuery
	bytes   int
}

type pendingQuery struct {
	query
	prepare string // name, when it is prepared in this batch
}

func (l *lane) batch(ctx context.Context) *batch {
	return &batch{l: l, ctx: ctx, p: l.conn.PgConn().StartPipeline(ctx)}
}

// flushBytes is how much a batch gathers before it begins to send.
const flushBytes = 1 << 20

func (b *batch) add(q query) {
	name, ok := b.l.prepared[q.sql]
	for i := range b.pending {
		if p := &b.pending[i]; !ok && p.prepare != "" && p.sql == q.sql {
			name, ok = p.prepare, true
		}
	}
	p := pendingQuery{query: q}
	if !ok {
		b.l.names++
		name = "c" + strconv.Itoa(b.l.names)
		p.prepare = name
		b.p.SendPrepare(name, q.sql, nil)
	}
	b.p.SendQueryPrepared(name, q.params, q.formats, q.results)
	p.params = nil
	b.pending = append(b.pending, p)
	for _, v := range q.params {
		b.bytes += len(v)
	}
	if b.bytes > flushBytes {
		b.bytes = 0
		_ = b.p.Flush() // its error comes again with the results
	}
}

// queryError is the error of one query of a batch.
type queryError struct {
	about string
	cause error
}

func (e *queryError) Error() string { return e.about + ": " + e.cause.Error() }
func (e *queryError) Unwrap() error { return e.cause }

// run sends what is left and reads all results. Its error is a *queryError with the
// query that failed.
func (b *batch) run() (err error) {
	if serr := b.p.Sync(); serr != nil {
		_ = b.p.Close()
		return serr
	}
	for i := range b.pending {
		q := &b.pending[i]
		if err = b.read(q); err != nil {
			if q.shape != nil {
				err = &rowError{q.shape, err}
			}
			err = &queryError{q.about, err}
			break
		}
	}
	if cerr := b.p.Close(); err == nil && cerr != nil {
		err = cerr
	}
	return err
}

func (b *batch) read(q *pendingQuery) error {
	if q.prepare != "" {
		if _, err := b.p.GetResults(); err != nil {
			return err
		}
		b.l.prepared[q.sql] = q.prepare
	}
	res, err := b.p.GetResults()
	if err != nil {
		return err
	}
	r, ok := res.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("unexpected answer %T", res)
	}
	var rowErr error
	for r.NextRow() {
		if q.row != nil && rowErr == nil {
			rowErr = q.row(r.Values())
		}
	}
	tag, err := r.Close()
	if err = errors.Join(err, rowErr); err != nil {
		return err
	}
	if q.tag != nil {
		return q.tag(tag)
	}
	return nil
}
