package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// query is one statement of a batch.
type query struct {
	about string        // what it is for; part of errors
	shape *change.Table // the table it writes or reads, if it does

	head func(columns []*gomysql.Field) error // before the rows of the answer
	row  func(values []*string) error         // for each row of the answer, as the server prints it
	done func(found uint64) error             // with the number of rows found or written
}

// batch sends statements together, as one text, and reads their answers in one round
// trip. The first error ends it: the server does not look at the statements behind it.
type batch struct {
	l       *lane
	ctx     context.Context
	text    []byte
	queries []query // of text
	last    int     // where the last of them begins
	err     error
}

func (l *lane) batch(ctx context.Context) *batch {
	return &batch{l: l, ctx: ctx, text: l.buf[:0]}
}

// flushBytes is how much a batch gathers before it sends.
const flushBytes = 1 << 20

// add adds a statement as a text.
func (b *batch) add(q query, sql string) {
	b.open(q)
	b.text = append(b.text, sql...)
	b.close()
}

// open begins a statement, whose text is then appended to b.text; close ends it.
func (b *batch) open(q query) {
	if len(b.text) > 0 {
		b.text = append(b.text, ';')
	}
	b.queries = append(b.queries, q)
	b.last = len(b.text)
}

// close ends a statement that was opened. What has become large is sent.
func (b *batch) close() {
	if n := len(b.queries); n > 1 && len(b.text)+1 >= b.l.packet { // the last one may fit by itself
		text, q := bytes.Clone(b.text[b.last:]), b.queries[n-1]
		b.text, b.queries = b.text[:b.last-1], b.queries[:n-1]
		b.flush()
		b.text, b.queries = append(b.text, text...), append(b.queries, q)
	}
	if len(b.text) >= min(flushBytes, b.l.packet/2) {
		b.flush()
	}
}

// queryError is the error of one statement of a batch.
type queryError struct {
	about string
	cause error
}

func (e *queryError) Error() string { return e.about + ": " + e.cause.Error() }
func (e *queryError) Unwrap() error { return e.cause }

// rowError says which table an error is about.
type rowError struct {
	shape *change.Table
	cause error
}

func (e *rowError) Error() string { return e.cause.Error() }
func (e *rowError) Unwrap() error { return e.cause }

// run sends what is left. Its error is a *queryError with the statement that failed.
func (b *batch) run() error {
	b.flush()
	b.l.keep(b.text)
	return b.err
}

// errTooLarge is a statement that no packet holds.
var errTooLarge = fmt.Errorf("%w: a row is larger than max_allowed_packet of this server; raise it", apply.ErrRejected)

func (b *batch) flush() {
	if b.err != nil || len(b.queries) == 0 {
		b.text, b.queries = b.text[:0], b.queries[:0]
		return
	}
	at := 0
	failed := func(err error) {
		if at < len(b.queries) {
			q := &b.queries[at]
			if q.shape != nil {
				err = &rowError{q.shape, err}
			}
			err = &queryError{q.about, err}
		}
		b.err = err
	}
	// The server closes the session of who sends more than it takes.
	if len(b.text)+1 >= b.l.packet {
		at = len(b.queries) - 1
		failed(errTooLarge)
		return
	}
	var own error // of what was done with an answer: the answers after it are read all the same
	err := b.l.conn.call(b.ctx, func() error {
		var said error
		_, err := b.l.conn.c.ExecuteMultiple(string(b.text), func(r *gomysql.Result, err error) {
			if err != nil {
				said = err
				return
			}
			if own == nil && at < len(b.queries) {
				own = b.queries[at].answer(r)
			}
			if r.HasResultset() {
				r.Close()
			}
			at++
		})
		return errors.Join(err, said)
	})
	switch {
	case err != nil:
		failed(err)
	case own != nil:
		b.err = own
	case at != len(b.queries):
		b.err = fmt.Errorf("%d answers to %d statements", at, len(b.queries))
	}
	b.text, b.queries = b.text[:0], b.queries[:0]
}

// answer hands what the server answered to who asked.
func (q *query) answer(r *gomysql.Result) error {
	if q.done != nil {
		if err := q.done(r.AffectedRows); err != nil {
			return &queryError{q.about, err}
		}
	}
	if q.row == nil || !r.HasResultset() {
		return nil
	}
	if q.head != nil {
		if err := q.head(r.Fields); err != nil {
			return &queryError{q.about, &rowError{q.shape, err}}
		}
	}
	values := make([]*string, r.ColumnNumber())
	for _, data := range r.RowDatas {
		rest := []byte(data)
		for i := range values {
			text, null, n, err := gomysql.LengthEncodedString(rest)
			if err != nil {
				return &queryError{q.about, err}
			}
			rest = rest[n:]
			if values[i] = nil; !null {
				s := string(text)
				values[i] = &s
			}
		}
		if err := q.row(values); err != nil {
			return &queryError{q.about, err}
		}
	}
	return nil
}
