package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// target is the state of the apply half of a DB; see apply.Target. The zero value is
// ready.
type target struct {
	catalog   targetCatalog
	leases    leases
	positions positions

	mu      sync.Mutex
	marking marking // unmarked: not known yet
	lanes   int
	byFrom  map[change.Site]*lanes
	pids    map[uint32]struct{} // of the sessions that write now
}

// lanes are the connections for the transactions of one origin.
type lanes struct {
	numbers chan int // of lanes that are free
	open    []*lane  // by number; nil when not connected. Who took a number owns its entry
}

// decide notes how this server is marked, once known.
func (t *target) decide(m marking, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marking = m
	if t.lanes == 0 {
		t.lanes = n
	}
}

func (t *target) of(origin change.Site) (*lanes, marking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byFrom == nil {
		t.byFrom = map[change.Site]*lanes{}
	}
	ls := t.byFrom[origin]
	if ls == nil && t.lanes > 0 {
		ls = &lanes{numbers: make(chan int, t.lanes), open: make([]*lane, t.lanes)}
		for i := range t.lanes {
			ls.numbers <- i
		}
		t.byFrom[origin] = ls
	}
	return ls, t.marking
}

func (t *target) working(pid uint32, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pids == nil {
		t.pids = map[uint32]struct{}{}
	}
	if yes {
		t.pids[pid] = struct{}{}
	} else {
		delete(t.pids, pid)
	}
}

// Overlap implements apply.Target. It is known once an origin has been acquired; 1
// before.
func (db *DB) Overlap() int {
	db.target.mu.Lock()
	defer db.target.mu.Unlock()
	return max(1, db.target.lanes)
}

// Begin implements apply.Target. It takes a free lane of the origin, waiting for one
// if it must; the transaction itself begins with its first statement. The origin must
// have been acquired.
func (db *DB) Begin(ctx context.Context, c apply.Checkpoint) (apply.Tx, error) {
	if db.target.leases.lost(c.Origin) {
		return nil, fmt.Errorf("%w: the connection that holds the lease on %s is gone", apply.ErrFenced, c.Origin)
	}
	ls, marking := db.target.of(c.Origin)
	if ls == nil {
		return nil, fmt.Errorf("beginning: %w: %s was never acquired", apply.ErrFenced, c.Origin)
	}
	var number int
	select {
	case number = <-ls.numbers:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a free connection: %w", context.Cause(ctx))
	}
	l, err := db.lane(ctx, ls, number, c.Origin, marking)
	if err != nil {
		ls.numbers <- number
		return nil, err
	}
	pid := l.conn.PgConn().PID()
	db.target.working(pid, true)
	return &targetTx{db: db, c: c, marking: marking, lane: l, release: func() {
		db.target.working(pid, false)
		ls.numbers <- number
	}}, nil
}

// lane returns the connection of a lane that was taken, opened anew when need be.
func (db *DB) lane(ctx context.Context, ls *lanes, number int, origin change.Site, m marking) (*lane, error) {
	if l := ls.open[number]; l != nil {
		if l.usable() {
			if err := l.forget(ctx); err == nil {
				return l, nil
			}
		}
		l.close(ctx)
		ls.open[number] = nil
	}
	l, err := db.openLane(ctx, number, laneSettings)
	if err != nil {
		return nil, err
	}
	if m == markOrigin {
		if err := db.proveOrigin(ctx, l, origin); err != nil {
			l.close(ctx)
			return nil, err
		}
	}
	ls.open[number] = l
	return l, nil
}

// closeLanes closes the free connections of an origin; one in use is closed by the
// next who takes its number, or with the last of them.
func (t *target) closeLanes(ctx context.Context, origin change.Site) {
	t.mu.Lock()
	ls := t.byFrom[origin]
	t.mu.Unlock()
	if ls == nil {
		return
	}
	var free []int
	for more := true; more; {
		select {
		case n := <-ls.numbers:
			free = append(free, n)
			if l := ls.open[n]; l != nil {
				l.close(ctx)
				ls.open[n] = nil
			}
		default:
			more = false
		}
	}
	for _, n := range free {
		ls.numbers <- n
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
		db.target.closeLanes(ctx, o)
	}
	db.target.positions.close(ctx)
}

// Checkpoints implements apply.Target.
func (db *DB) Checkpoints(ctx context.Context) (map[change.Site]apply.Checkpoint, error) {
	all := map[change.Site]apply.Checkpoint{}
	err := db.ask(ctx, "reading the checkpoints", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT origin, epoch, seq, hlc FROM concord.checkpoint`)
		if err != nil {
			return err
		}
		var origin string
		var epoch, seq, hlc int64
		_, err = pgx.ForEachRow(rows, []any{&origin, &epoch, &seq, &hlc}, func() error {
			o := change.Site(origin)
			all[o] = apply.Checkpoint{Origin: o, Epoch: uint32(epoch), Seq: uint64(seq), HLC: uint64(hlc)}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ask runs f on a connection made for it.
func (db *DB) ask(ctx context.Context, doing string, f func(*pgx.Conn) error) error {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return classify(ctx, doing, err)
	}
	defer closeConn(ctx, conn)
	return classify(ctx, doing, f(conn))
}
