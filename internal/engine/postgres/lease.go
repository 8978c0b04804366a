package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// leases are the origins that this process applies. A lease only keeps two agents
// from working against each other; what keeps them from applying twice is the
// compare-and-set on the checkpoint.
type leases struct {
	mu   sync.Mutex
	held map[change.Site]*lease
}

// lease is an advisory lock on a connection of its own, held by the session.
type lease struct {
	gone chan struct{} // closed when the connection has ended
}

// lost reports whether this process had a lease on origin whose connection has died.
func (ls *leases) lost(origin change.Site) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.held[origin]
	if l == nil {
		return false
	}
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// leaseKey is the advisory lock of an origin in this database.
func leaseKey(origin change.Site) int64 {
	h := fnv.New64a()
	h.Write([]byte("concord apply " + string(origin)))
	return int64(h.Sum64())
}

// Acquire implements apply.Target. The lease is watched: when its connection dies,
// transactions of the origin fail with apply.ErrFenced from then on.
func (db *DB) Acquire(ctx context.Context, origin change.Site) (func(), error) {
	doing := "taking the lease on " + string(origin)
	conn, err := db.connect(ctx, roleLease)
	if err != nil {
		return nil, classify(ctx, doing, err)
	}
	if err := db.take(ctx, conn, origin); err != nil {
		closeConn(ctx, conn)
		return nil, classify(ctx, doing, err)
	}
	l := &lease{gone: make(chan struct{})}
	db.target.leases.mu.Lock()
	if db.target.leases.held == nil {
		db.target.leases.held = map[change.Site]*lease{}
	}
	db.target.leases.held[origin] = l
	db.target.leases.mu.Unlock()

	stop := l.watch(ctx, conn, leaseKey(origin))
	var once sync.Once
	return func() {
		once.Do(func() {
			stop()
			db.target.leases.mu.Lock()
			if db.target.leases.held[origin] == l {
				delete(db.target.leases.held, origin)
			}
			db.target.leases.mu.Unlock()
			db.target.closeLanes(context.WithoutCancel(ctx), origin)
		})
	}, nil
}

// watch notices the end of the connection that holds the lock. It lives on after ctx;
// stop gives the lock back and closes the connection.
func (l *lease) watch(ctx context.Context, conn *pgx.Conn, key int64) (stop func()) {
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(l.gone)
		for conn.PgConn().WaitForNotification(watching) == nil {
			// Nobody notifies; only the end of the connection is of interest.
		}
		// The server may take its time to notice that a session has ended: the lock is
		// given back by name.
		last, cancel := context.WithTimeout(context.WithoutCancel(watching), time.Second)
		defer cancel()
		_, _ = conn.Exec(last, `SELECT pg_advisory_unlock($1)`, key) // fails when the connection has died
		closeConn(last, conn)
	}()
	return func() { cancel(); <-l.gone }
}

// take locks, and prepares what transactions of the origin need.
func (db *DB) take(ctx context.Context, conn *pgx.Conn, origin change.Site) error {
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, leaseKey(origin)).Scan(&got); err != nil {
		return err
	}
	if !got {
		return fmt.Errorf("%w: another agent applies the changes of %s%s", change.ErrStandby, origin, holder(ctx, conn, leaseKey(origin)))
	}
	marking, lanes := db.markingOf(conn), 1
	if marking == markOrigin {
		var err error
		if lanes, err = db.laneLimit(ctx, conn); err != nil {
			return err
		}
		if err := db.ensureLaneOrigins(ctx, conn, origin, lanes); err != nil {
			return err
		}
	}
	db.target.decide(marking, lanes)
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM concord.checkpoint WHERE origin = $1)`, string(origin)).Scan(&exists); err != nil {
		if code := sqlState(err); code == "42P01" || code == "3F000" {
			return fmt.Errorf("%w: %w; run concord init --site %s", change.ErrRefused, err, db.opts.Site)
		}
		return err
	}
	if exists {
		return nil
	}
	_, err := conn.Exec(ctx, `INSERT INTO concord.checkpoint (origin, epoch, seq, hlc, applied_at)
		VALUES ($1, 0, 0, 0, now()) ON CONFLICT (origin) DO NOTHING`, string(origin))
	return err
}

// holder says, behind a colon, which session has the lock; "" when that is not known.
func holder(ctx context.Context, conn *pgx.Conn, key int64) string {
	const who = `SELECT a.pid::text || ' (' || a.application_name || coalesce(' from ' || host(a.client_addr), '') || ')'
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (l.classid::int8 << 32 | l.objid::int8) = $1`
	var text string
	if err := conn.QueryRow(ctx, who, key).Scan(&text); err != nil {
		return ""
	}
	return ": session " + text
}

// markingOf chooses how to mark by the server's version.
func (db *DB) markingOf(conn *pgx.Conn) marking {
	if serverMajor(conn)*10000 >= originFilter && !db.opts.MarkFirst {
		return markOrigin
	}
	return markFirst
}

// serverMajor is the server's major version; 0 when it does not say.
func serverMajor(conn *pgx.Conn) int {
	v := conn.PgConn().ParameterStatus("server_version")
	end := strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		v = v[:end]
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0
	}
	return n
}

var _ apply.Target = (*DB)(nil)
