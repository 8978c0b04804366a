package mysql

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

var _ apply.Target = (*DB)(nil)

// target is the state of the apply half of a DB; see apply.Target. The zero value is
// ready.
type target struct {
	tables    localTables
	leases    applyLeases
	positions positions

	mu      sync.Mutex
	byFrom  map[change.Site]*originLane
	writing map[uint32]struct{} // ids of the sessions that write now
	refused atomic.Int64        // when a lock was, last; in Unix microseconds
}

// originLane is the connection for the transactions of one origin. The checkpoint row is
// the first that a transaction writes, so they follow one another.
type originLane struct {
	turn chan struct{} // capacity 1: who may use lane
	lane *lane         // nil when not connected
	gaps bool          // the next transaction locks gaps; see targetTx.LockTable
}

func (t *target) of(origin change.Site) *originLane {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byFrom == nil {
		t.byFrom = map[change.Site]*originLane{}
	}
	ol := t.byFrom[origin]
	if ol == nil {
		ol = &originLane{turn: make(chan struct{}, 1)}
		t.byFrom[origin] = ol
	}
	return ol
}

// lockGaps notes how the next transaction of an origin begins, which has one open.
func (t *target) lockGaps(origin change.Site, yes bool) { t.of(origin).gaps = yes }

func (t *target) working(id uint32, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writing == nil {
		t.writing = map[uint32]struct{}{}
	}
	if yes {
		t.writing[id] = struct{}{}
	} else {
		delete(t.writing, id)
	}
}

// Overlap implements apply.Target: the mark is the first write.
func (db *DB) Overlap() int { return 1 }

// Begin implements apply.Target. It waits for the origin's transaction before this one
// to end; the transaction itself begins with its first statement. The origin must have
// been acquired.
func (db *DB) Begin(ctx context.Context, c apply.Checkpoint) (apply.Tx, error) {
	if !db.target.leases.held(c.Origin) {
		return nil, fmt.Errorf("beginning: %w: the lease on %s is not held", apply.ErrFenced, c.Origin)
	}
	ol := db.target.of(c.Origin)
	select {
	case ol.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the transaction before: %w", context.Cause(ctx))
	}
	if l := ol.lane; l != nil && !l.usable() {
		l.close()
		ol.lane = nil
	}
	if ol.lane == nil {
		l, err := db.openLane(ctx, laneSettings)
		if err != nil {
			<-ol.turn
			return nil, err
		}
		if err := db.checkLease(ctx, l.conn, c.Origin); err != nil {
			l.close()
			<-ol.turn
			return nil, err
		}
		ol.lane = l
	}
	id := ol.lane.conn.c.GetConnectionID()
	db.target.working(id, true)
	return &targetTx{db: db, c: c, gaps: ol.gaps, lane: ol.lane, release: func() {
		db.target.working(id, false)
		<-ol.turn
	}}, nil
}

// closeLane closes the connection of an origin; one in use is closed by the next who
// takes it, or with the process.
func (t *target) closeLane(origin change.Site) {
	ol := t.of(origin)
	select {
	case ol.turn <- struct{}{}:
		if ol.lane != nil {
			ol.lane.close()
			ol.lane = nil
		}
		<-ol.turn
	default:
	}
}

// closeTarget gives up the connections of the apply half. No transaction is open.
func (db *DB) closeTarget(ctx context.Context) {
	db.target.mu.Lock()
	var origins []change.Site
	for o := range db.target.byFrom {
		origins = append(origins, o)
	}
	db.target.mu.Unlock()
	for _, o := range origins {
		db.target.closeLane(o)
	}
	db.target.positions.close(ctx)
}

// Checkpoints implements apply.Target.
func (db *DB) Checkpoints(ctx context.Context) (map[change.Site]apply.Checkpoint, error) {
	all := map[change.Site]apply.Checkpoint{}
	err := db.ask(ctx, "reading the checkpoints", func(c *conn) error {
		r, err := c.query(ctx, "SELECT origin, epoch, seq, hlc FROM concord.checkpoint")
		if err != nil {
			return err
		}
		defer r.Close()
		return each(r, func(f *fields) error {
			p := apply.Checkpoint{Origin: change.Site(f.text()), Epoch: uint32(f.number()), Seq: uint64(f.number()), HLC: uint64(f.number())}
			all[p.Origin] = p
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ask runs f on a connection made for it.
func (db *DB) ask(ctx context.Context, doing string, f func(*conn) error) error {
	c, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return classified(ctx, doing, err)
	}
	defer c.close()
	return classified(ctx, doing, f(c))
}
