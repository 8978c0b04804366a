package mysql

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// reader is the log of one site, as capture.Reader.
type reader struct {
	db     *DB
	dump   *dump
	events assembler
	parser *parser
	guard  probeGuard
	err    error // of Next, for ever

	pending []capture.Event // made while the log was opened

	closing sync.Once
}

// begin asks for the log and reads until the server has shown that it has it.
func (r *reader) begin(ctx context.Context, server string, gtids gtidSet) error {
	c, err := r.db.connect(ctx, roleReader)
	if err != nil {
		return err
	}
	err = func() error {
		name, err := c.serverName(ctx)
		if err != nil {
			return err
		}
		if name != server {
			return fmt.Errorf("two connections reached two servers (%s and %s): the address is moving from one to the other", server, name)
		}
		r.dump, err = startDump(ctx, c, r.db.opts.Site, gtids)
		return err
	}()
	if err != nil {
		c.close()
		return err
	}
	stop := context.AfterFunc(ctx, r.dump.interrupt)
	defer stop()
	for described := false; !described; {
		r.dump.stillReading(ctx)
		data, err := r.dump.next(ctx)
		if err == nil && len(data) > 4 {
			described = replication.EventType(data[4]) == replication.FORMAT_DESCRIPTION_EVENT
		}
		var ev capture.Event
		var ok bool
		if err == nil {
			ev, ok, err = r.parser.event(ctx, data)
		}
		if err != nil {
			_ = r.Close(ctx)
			return fmt.Errorf("opening the log: %w", err)
		}
		if ok {
			r.pending = append(r.pending, ev)
		}
	}
	return nil
}

// Next returns the next event; see capture.Reader.
func (r *reader) Next(ctx context.Context) (capture.Event, error) {
	if r.err != nil {
		return capture.Event{}, r.err
	}
	if err := ctx.Err(); err != nil {
		return capture.Event{}, err
	}
	if len(r.pending) > 0 {
		ev := r.pending[0]
		r.pending = r.pending[1:]
		return ev, nil
	}
	stop := context.AfterFunc(ctx, r.dump.interrupt)
	defer stop()
	for n := 0; ; n++ {
		if n%256 == 0 {
			r.dump.stillReading(ctx)
		}
		ev, ok, err := r.receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			} else {
				err = fmt.Errorf("reading the log at %s: %w", r.events.at.place(), err)
			}
			r.err = err
			return capture.Event{}, err
		}
		if ok {
			return ev, nil
		}
	}
}

// receive takes one event of the server, or what is left of a compressed transaction.
func (r *reader) receive(ctx context.Context) (ev capture.Event, ok bool, err error) {
	if r.parser.payload != nil {
		ev, ok, err = r.parser.continued(ctx)
	} else {
		var data []byte
		if data, err = r.dump.next(ctx); err == nil {
			ev, ok, err = r.parser.event(ctx, data)
		}
	}
	if err == nil && (!r.guard.seen || r.guard.leaked) && !r.events.open {
		err = r.guard.check(r.events.at)
	}
	return ev, ok, err
}

// Release tells nothing to the server: it discards its log by age, and what was released
// can still be read for as long as it is there. It is noted for RetainedBytes.
func (r *reader) Release(p change.Position) { r.db.released.Store(&p) }

// Ask does nothing: the server sends what is committed at once, and an idle one tells
// the end of its log every second.
func (r *reader) Ask() {}

// Close ends the reading.
func (r *reader) Close(context.Context) error {
	r.closing.Do(func() {
		// No word of farewell: the server does not listen while it sends its log.
		r.dump.c.drop()
		r.events.shape.close()
	})
	return nil
}
