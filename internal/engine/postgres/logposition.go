package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// positions answers where the log is, for many who ask at once, on one connection.
type positions struct {
	turn chan struct{} // capacity 1: who may use conn; made under mu
	mu   sync.Mutex
	next *asked // the question that has not been sent yet

	conn *pgx.Conn // of who has the turn
}

// asked is one question to the server and everyone who waits for its answer.
type asked struct {
	done chan struct{}
	at   change.Position
	err  error
	left bool // whoever asked gave up before there was an answer
}

// The position is taken before the message, the message is written behind it, and
// everything up to the message is flushed: commits with synchronous_commit = off that
// are visible already, too. So when the reader of the log meets the message, at or
// behind the position, it has returned every transaction that committed before.
//
// From 17 on the message flushes itself. Before, a commit does, and it does so when
// the transaction has an id. Neither touches what others, our own transactions
// included, have not committed.
const (
	positionSQL = `SELECT pg_current_wal_insert_lsn()::text, pg_logical_emit_message(false, '` + messagePrefix + `', '', true)::text`
	commitSQL   = `SELECT pg_current_wal_insert_lsn()::text, pg_logical_emit_message(false, '` + messagePrefix + `', '')::text, pg_current_xact_id()::text`
)

// logPosition makes everything that committed before the call readable in the log
// and returns a position behind it. An answer that was asked for before the call is
// of no use to it; calls that wait share the next one.
func (db *DB) logPosition(ctx context.Context) (change.Position, error) {
	p := &db.target.positions
	for {
		q, turn := p.join()
		select {
		case <-q.done:
		case turn <- struct{}{}:
			if p.take(q) {
				q.at, q.err = db.askPosition(ctx, p)
				q.left = q.err != nil && ctx.Err() != nil
				close(q.done)
			}
			<-turn
			<-q.done // whoever had the turn before has answered it
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		if !q.left || ctx.Err() != nil {
			return q.at, q.err
		}
	}
}

// Flush makes everything that committed before the call safe from a crash of the
// server; see engine.Engine.
func (db *DB) Flush(ctx context.Context) error {
	_, err := db.logPosition(ctx)
	return err
}

func (p *positions) join() (*asked, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turn == nil {
		p.turn = make(chan struct{}, 1)
	}
	if p.next == nil {
		p.next = &asked{done: make(chan struct{})}
	}
	return p.next, p.turn
}

// take makes q no longer joinable; false when it was sent already.
func (p *positions) take(q *asked) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != q {
		return false
	}
	p.next = nil
	return true
}

func (db *DB) askPosition(ctx context.Context, p *positions) (change.Position, error) {
	if p.conn == nil {
		conn, err := db.connect(ctx, roleFence)
		if err != nil {
			return "", classify(ctx, "asking for the log position", err)
		}
		p.conn = conn
		// Only this server's disk counts, not a standby's.
		if _, err := conn.Exec(ctx, `SET synchronous_commit = local`); err != nil {
			return "", p.fail(ctx, err)
		}
	}
	var at, message, xact string
	var err error
	if serverMajor(p.conn) >= 17 {
		err = p.conn.QueryRow(ctx, positionSQL).Scan(&at, &message)
	} else {
		err = p.conn.QueryRow(ctx, commitSQL).Scan(&at, &message, &xact)
	}
	if err != nil {
		return "", p.fail(ctx, err)
	}
	return change.Position(at), nil
}

func (p *positions) fail(ctx context.Context, err error) error {
	closeConn(ctx, p.conn)
	p.conn = nil
	return classify(ctx, "asking for the log position", err)
}

func (p *positions) close(ctx context.Context) {
	_, turn := p.join()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	if p.conn != nil {
		closeConn(ctx, p.conn)
		p.conn = nil
	}
	<-turn
}
