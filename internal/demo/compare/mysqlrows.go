package compare

import (
	"context"
	"errors"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// readAhead is how many rows of a table may wait to be looked at.
const readAhead = 256

// mysqlRows are the rows of a query as they come from the server: the library calls for
// each, so it has a goroutine that lives until Close.
type mysqlRows struct {
	keys      int
	documents []bool

	arrived chan [][]byte // closed at the end
	err     error         // of the reading; set before arrived is closed
	giveUp  context.CancelCauseFunc

	values   [][]byte
	key, row []byte
}

var errClosed = errors.New("the rows were closed")

// start begins the reading. ctx ends it before its end.
func (r *mysqlRows) start(ctx context.Context, conn *client.Conn, sql string) {
	ctx, r.giveUp = context.WithCancelCause(ctx)
	r.arrived = make(chan [][]byte, readAhead)
	go func() {
		defer close(r.arrived)
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		r.err = conn.ExecuteSelectStreaming(sql, &mysql.Result{}, func(row []mysql.FieldValue) error {
			select {
			case r.arrived <- texts(row):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}, nil)
		if !stop() {
			r.err = context.Cause(ctx)
		}
	}()
}

// texts are the values of a row, each of which is text; nil is NULL. The row's memory is
// the library's, which uses it again.
func texts(row []mysql.FieldValue) [][]byte {
	values := make([][]byte, len(row))
	for i := range row {
		if row[i].Type != mysql.FieldValueTypeNull {
			values[i] = append([]byte{}, row[i].AsString()...)
		}
	}
	return values
}

func (r *mysqlRows) Next() (more bool) {
	r.values, more = <-r.arrived
	return more
}

func (r *mysqlRows) Row() (key, row []byte) {
	r.key = plainRow(r.key, r.values[:r.keys], r.documents)
	r.row = plainRow(r.row, r.values[r.keys:], r.documents[r.keys:])
	return r.key, r.row
}

func (r *mysqlRows) Err() error { return r.err }

func (r *mysqlRows) Close() {
	r.giveUp(errClosed)
	for range r.arrived { // until the goroutine is gone
	}
}
