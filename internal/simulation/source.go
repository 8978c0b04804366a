package simulation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// source is the capture half of a Database.
type source struct {
	db *Database
	// twist changes what is read; mutations use it.
	twist func(*capture.Event)
}

func (s *source) Compare(a, b change.Position) int { return strings.Compare(string(a), string(b)) }

func (s *source) Open(_ context.Context, from change.Position) (capture.Reader, error) {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	at := indexOf(from)
	if at < s.db.released {
		return nil, fmt.Errorf("%w: the log was released up to %d, the stream ends at %d", change.ErrNeedsCopy, s.db.released, at)
	}
	if at > s.db.flushed {
		return nil, fmt.Errorf("%w: the stream ends at %d, the log at %d", change.ErrNeedsCopy, at, s.db.flushed)
	}
	return &reader{source: s, life: s.db.life, at: at}, nil
}

// reader reads the flushed part of the log in order.
type reader struct {
	source *source
	life   int
	at     int // records returned whole
	part   int // parts of the next record returned
}

var errClosed = errors.New("the reader is closed")

// ready reports whether Next would return at once.
func (r *reader) ready() bool {
	db := r.source.db
	db.mu.Lock()
	defer db.mu.Unlock()
	return r.life != db.life || r.at < db.flushed
}

func (r *reader) Next(ctx context.Context) (capture.Event, error) {
	db := r.source.db
	for {
		db.mu.Lock()
		if r.life != db.life {
			db.mu.Unlock()
			return capture.Event{}, errGone
		}
		if r.life < 0 {
			db.mu.Unlock()
			return capture.Event{}, errClosed
		}
		if r.at < db.flushed {
			e := r.take(&db.log[r.at])
			db.mu.Unlock()
			if r.source.twist != nil {
				r.source.twist(&e)
			}
			return e, nil
		}
		changed := db.changed
		db.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return capture.Event{}, context.Cause(ctx)
		}
	}
}

// take returns the next event of a record. Holds db.mu.
func (r *reader) take(rec *record) capture.Event {
	if !rec.local {
		r.at++
		return capture.Event{Kind: capture.Replicated, Position: positionOf(r.at), Mark: rec.mark}
	}
	e := capture.Event{Kind: capture.Local, CommitTime: rec.at, XID: uint64(r.at + 1), Heartbeat: rec.beat, Rows: rec.rows, Part: r.part}
	if n := r.source.db.partRows; n > 0 && len(rec.rows) > n {
		e.Rows = rec.rows[r.part*n:]
		if len(e.Rows) > n {
			e.Rows, e.More = e.Rows[:n:n], true
		}
	}
	if e.More {
		e.Position = positionOf(r.at)
		r.part++
		return e
	}
	r.at, r.part = r.at+1, 0
	e.Position = positionOf(r.at)
	return e
}

// Ask does nothing: the simulated log never sleeps.
func (r *reader) Ask() {}

func (r *reader) Release(p change.Position) {
	r.source.db.mu.Lock()
	defer r.source.db.mu.Unlock()
	r.source.db.released = max(r.source.db.released, indexOf(p))
}

func (r *reader) Close(context.Context) error { return nil }
