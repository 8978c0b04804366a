package capture

import (
	"context"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Source is a database whose log can be read. Engines implement it.
type Source interface {
	// Open starts reading the log after position from; the empty position means
	// from the slot's (or GTID set's) own start, which `init` recorded. Before it
	// returns it has proved that the log can deliver everything after from.
	//
	// Errors: change.ErrNeedsCopy when the log no longer holds everything after
	// from, or the slot is missing, lost or invalidated, or has been released
	// beyond from; change.ErrStandby when another process reads the slot;
	// change.ErrRefused when a setting or right is missing. Anything else may be
	// retried. The caller closes the Reader.
	Open(ctx context.Context, from change.Position) (Reader, error)

	// Compare orders two positions of this source's log: -1, 0, 1. The empty
	// position is before all others. An unparsable position sorts first.
	Compare(a, b change.Position) int
}

// Reader yields the log in commit order. One goroutine calls Next; Release and
// Ask may be called from others at the same time.
type Reader interface {
	// Next blocks for the next event. The event and what it points to stay valid
	// and are the caller's; strings may share one backing buffer per transaction.
	// Errors as Open's. After an error the Reader is of no more use.
	Next(ctx context.Context) (Event, error)

	// Release tells that everything up to and including p is durable downstream:
	// the database may discard its log before it. It need not take effect at once,
	// never blocks for the network, and is never called with a position beyond what
	// Next returned.
	Release(p change.Position)

	// Ask asks the database how far its log has been read: if that is further than what
	// Next returned, a Progress follows soon. Called now and then while a fence waits, since a server
	// may sleep on a message that it was not woken for. Never blocks for the network.
	Ask()

	// Close ends the reading and gives the slot back.
	Close(ctx context.Context) error
}

// EventKind tells what an Event is.
type EventKind uint8

// The kinds of event.
const (
	// Progress: nothing happened up to Position. Everything committed before it has
	// been returned. Sent when the server says so (keepalive, fence message) and
	// nothing is in flight.
	Progress EventKind = iota
	// Local: an application's transaction that touched a replicated table (or one
	// part of a large one), or the site's own heartbeat.
	Local
	// Replicated: a transaction of an apply agent, known by its checkpoint row.
	Replicated
)

// Event is one thing read from the log.
type Event struct {
	Kind EventKind
	// Position after which reading would resume without this event. Parts of one
	// transaction that are not the last carry the position before the transaction.
	Position change.Position

	// Local only:
	CommitTime time.Time    // by the database's clock
	XID        uint64       // the database's number of the transaction; 0: it has none
	Rows       []change.Row // in log order; shapes sealed; may be empty for a heartbeat
	Part       int          // 0, 1, 2 … of a large transaction
	More       bool         // further parts follow
	Heartbeat  time.Time    // set on the site's own heartbeat: the moment its agent wrote

	// Replicated only:
	Mark change.Mark
}

// Beater writes this site's heartbeat row. Engines implement it on an ordinary
// connection of its own.
type Beater interface {
	// Beat commits one heartbeat row carrying the time at (the agent's clock).
	Beat(ctx context.Context, site change.Site, at time.Time) error
}
