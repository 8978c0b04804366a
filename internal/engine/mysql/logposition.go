package mysql

import (
	"context"
	"sync"

	"github.com/concord-db/concord/internal/change"
)

// positions answers where the log is, for many who ask at once, on one connection.
type positions struct {
	turn chan struct{} // capacity 1: who may use conn; made under mu
	mu   sync.Mutex
	next *asked // the question that has not been sent yet

	conn   *conn  // of who has the turn
	server string // its name in positions
}

// asked is one question to the server and everyone who waits for its answer.
type asked struct {
	done chan struct{}
	at   change.Position
	err  error
	left bool // whoever asked gave up before there was an answer
}

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

// askPosition asks how far the log has been written. What others see has been written to
// it before, and the reader of the log gets it from there; our own transactions, which
// are open, are not in it. So it is a place that is reached without any more commits.
func (db *DB) askPosition(ctx context.Context, p *positions) (change.Position, error) {
	if p.conn == nil {
		c, err := db.connect(ctx, roleFence)
		if err != nil {
			return "", classified(ctx, "asking for the log position", err)
		}
		p.conn = c
		if p.server, err = c.serverName(ctx); err != nil {
			return "", p.fail(ctx, err)
		}
	}
	at, err := p.conn.logEnd(ctx, p.server)
	if err != nil {
		return "", p.fail(ctx, err)
	}
	return at.position(), nil
}

func (p *positions) fail(ctx context.Context, err error) error {
	p.conn.close()
	p.conn = nil
	return classified(ctx, "asking for the log position", err)
}

func (p *positions) close(ctx context.Context) {
	_, turn := p.join()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	if p.conn != nil {
		p.conn.close()
		p.conn = nil
	}
	<-turn
}
