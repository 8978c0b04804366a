package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// silence is how long the server may send nothing at all before the connection
// counts as dead. It answers pings unless it is busy with one very large
// transaction that it does not send.
const silence = 5 * time.Minute

// reader is the log of one site, as capture.Reader.
type reader struct {
	db       *DB
	conn     net.Conn
	frontend *pgproto3.Frontend
	feedback *feedback
	events   assembler
	guard    probeGuard
	err      error // of Next, for ever

	deadline time.Time
	closing  sync.Once
	closeErr error
}

// newReader reads from a connection that streams after start. It begins to send
// feedback at once; Close ends it.
func newReader(db *DB, h *pgconn.HijackedConn, sh *shaper, start lsn, p probe) *reader {
	r := &reader{
		db: db, conn: h.Conn, frontend: h.Frontend,
		feedback: newFeedback(h.Conn, start),
		guard:    probeGuard{probe: p},
	}
	r.events = assembler{
		site: db.opts.Site, partBytes: db.opts.PartBytes, shape: sh.relation,
		relations: map[uint32]*relation{}, last: start, probed: r.guard.recognised,
	}
	go r.feedback.run()
	return r
}

// Next returns the next event; see capture.Reader.
func (r *reader) Next(ctx context.Context) (capture.Event, error) {
	if r.err != nil {
		return capture.Event{}, r.err
	}
	if err := ctx.Err(); err != nil {
		return capture.Event{}, err
	}
	// A read that is under way is ended by moving its deadline into the past.
	stop := context.AfterFunc(ctx, func() { _ = r.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for n := 0; ; n++ {
		if n%1024 == 0 {
			r.stillReading(ctx)
		}
		ev, ok, err := r.receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			r.err = err
			return capture.Event{}, err
		}
		if ok {
			return ev, nil
		}
	}
}

// stillReading moves the deadline of reading forward, now and then.
func (r *reader) stillReading(ctx context.Context) {
	now := time.Now()
	r.feedback.reading(now)
	if r.deadline.Sub(now) > silence-pingInterval {
		return
	}
	r.deadline = now.Add(silence)
	_ = r.conn.SetReadDeadline(r.deadline)
	if ctx.Err() != nil { // it ended in between, and its deadline was overwritten
		_ = r.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// receive reads one message of the stream.
func (r *reader) receive(ctx context.Context) (ev capture.Event, ok bool, err error) {
	msg, err := r.frontend.Receive()
	if err != nil {
		return ev, false, fmt.Errorf("reading slot %s: the connection to the server is lost: %w", r.db.slot(), err)
	}
	switch m := msg.(type) {
	case *pgproto3.CopyData:
		return r.data(ctx, m.Data)
	case *pgproto3.ErrorResponse:
		return ev, false, startError(r.db.slot(), pgconn.ErrorResponseToPgError(m))
	case *pgproto3.CopyDone, *pgproto3.CommandComplete:
		return ev, false, fmt.Errorf("reading slot %s: the server has ended the stream (shutting down)", r.db.slot())
	case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		return ev, false, nil
	}
	return ev, false, fmt.Errorf("reading slot %s: unexpected message %T: %w", r.db.slot(), msg, errMessage)
}

// data takes one message of the replication protocol: log data or a keepalive.
func (r *reader) data(ctx context.Context, d []byte) (ev capture.Event, ok bool, err error) {
	switch {
	case len(d) >= 25 && d[0] == 'w': // start, end, time of sending
		ev, ok, err = r.events.message(ctx, d[25:])
	case len(d) == 18 && d[0] == 'k': // end, time of sending, whether to answer
		end := lsn(binary.BigEndian.Uint64(d[1:]))
		ev, ok = r.events.keepalive(end)
		if d[17] != 0 {
			r.feedback.answer(end)
		}
	default:
		err = fmt.Errorf("reading a replication message of %d bytes: %w", len(d), errMessage)
	}
	if err == nil && (!r.guard.seen || r.guard.leaked) {
		err = r.guard.check(r.events.last)
	}
	if err != nil {
		return capture.Event{}, false, fmt.Errorf("reading slot %s: %w", r.db.slot(), err)
	}
	return ev, ok, nil
}

// Release lets the server discard its log up to p within a second or so.
func (r *reader) Release(p change.Position) {
	if at, err := parseLSN(string(p)); err == nil {
		r.feedback.release(at)
	}
}

// Ask asks the server for a keepalive. Since version 16 a walsender that goes to sleep
// can miss that log was flushed at that moment, and then sleeps on for up to 10 s; a
// question wakes it.
func (r *reader) Ask() { r.feedback.ask() }

// Close tells the server the last release and waits a moment for it to give the
// slot back.
func (r *reader) Close(ctx context.Context) error {
	r.closing.Do(func() {
		err := r.feedback.close()
		if err == nil {
			limit := time.Now().Add(2 * time.Second)
			if d, ok := ctx.Deadline(); ok && d.Before(limit) {
				limit = d
			}
			// The server closes its end when it has given the slot back.
			if err = r.conn.SetReadDeadline(limit); err == nil {
				_, err = io.Copy(io.Discard, r.conn)
			}
		}
		if e := r.conn.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
		if r.err == nil && err != nil {
			r.closeErr = fmt.Errorf("closing slot %s: %w", r.db.slot(), err)
		}
	})
	return r.closeErr
}
