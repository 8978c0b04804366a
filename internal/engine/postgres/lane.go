package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// lane is one connection that target transactions run on, one at a time. One
// goroutine uses it at a time.
type lane struct {
	number   int
	conn     *pgx.Conn
	prepared map[string]string // SQL to the name of its prepared statement
	names    int               // given to prepared statements so far
	buf      []byte            // of parameters, used again
	stale    bool              // a prepared statement no longer fits its table
}

// maxPrepared bounds the statements that a session keeps; tables with many different
// column sets would otherwise fill the server's memory.
const maxPrepared = 1000

// laneSettings are those of every session that writes, beside sessionSettings.
//
// synchronous_commit is off because a checkpoint and its rows are one transaction: a
// crash of the server loses both or neither, and what it loses is read again from the
// local copy of the stream, which keeps it. Positions of the fence flush explicitly.
//
// The planner must find rows by the key's index whatever the statistics say: a plan
// may be older than the table's size. So everything else is switched off; and plans
// are made once, since no value in them would change one.
//
// In a deadlock and in a lock wait apply gives way, not the application.
var laneSettings = map[string]string{
	"synchronous_commit": "off",
	"lock_timeout":       "200ms",
	"enable_seqscan":     "off",
	"enable_bitmapscan":  "off",
	"enable_hashjoin":    "off",
	"enable_mergejoin":   "off",
	"enable_memoize":     "off",
	"enable_material":    "off",
	"jit":                "off",
	"plan_cache_mode":    "force_generic_plan",
}

// localSettings are those of a session that writes for a person: durable at once,
// with patience for locks.
var localSettings = map[string]string{
	"synchronous_commit": "on",
	"lock_timeout":       "10s",
}

// openLane connects a lane. The caller closes it.
func (db *DB) openLane(ctx context.Context, number int, settings map[string]string) (*lane, error) {
	conn, err := db.connect(ctx, roleApply)
	if err != nil {
		return nil, classify(ctx, "connecting", err)
	}
	l := &lane{number: number, conn: conn, prepared: map[string]string{}}
	if err := l.configure(ctx, settings); err != nil {
		l.close(ctx)
		return nil, err
	}
	return l, nil
}

func (l *lane) configure(ctx context.Context, settings map[string]string) error {
	const set = `SELECT set_config($1, $2, false)`
	b := l.batch(ctx)
	for name, value := range settings {
		b.add(query{sql: set, params: [][]byte{[]byte(name), []byte(value)}, about: "setting " + name})
	}
	if err := b.run(); err != nil {
		return classify(ctx, "preparing the session", err)
	}
	// Triggers and foreign keys fired at the origin already.
	if _, err := l.conn.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		if sqlState(err) == "42501" {
			return fmt.Errorf("%w: the role may not set session_replication_role, so triggers would fire a second time: %w; GRANT SET ON PARAMETER session_replication_role TO %s",
				change.ErrRefused, err, quote(l.conn.Config().User))
		}
		return classify(ctx, "preparing the session", err)
	}
	// Whoever looks for a deadlock first is the one that is cancelled. Without the
	// right lock_timeout does it, a little later.
	if _, err := l.conn.Exec(ctx, `SET deadlock_timeout = '50ms'`); err != nil && sqlState(err) != "42501" {
		return classify(ctx, "preparing the session", err)
	}
	return nil
}

func (l *lane) close(ctx context.Context) { closeConn(ctx, l.conn) }

// usable reports whether the session stands and is outside a transaction.
func (l *lane) usable() bool { return !l.conn.IsClosed() && l.conn.PgConn().TxStatus() == 'I' }

// forget drops the prepared statements when there are too many, or one is stale.
// Outside a transaction.
func (l *lane) forget(ctx context.Context) error {
	if len(l.prepared) <= maxPrepared && !l.stale {
		return nil
	}
	if _, err := l.conn.PgConn().Exec(ctx, `DEALLOCATE ALL`).ReadAll(); err != nil {
		return classify(ctx, "dropping prepared statements", err)
	}
	clear(l.prepared)
	l.stale = false
	return nil
}
