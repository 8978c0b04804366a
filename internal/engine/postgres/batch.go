package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/change"
)

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
