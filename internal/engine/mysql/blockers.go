package mysql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// recentRefusal is for how long a lock that apply did not get counts: it tries again
// sooner than that.
const recentRefusal = 10 * time.Second

// Blockers tells, for people, which sessions hold apply up: those that one of its open
// transactions waits for now. Where apply gives way at once it waits for nobody; then,
// when it has been refused a lock just now, those that have held locks for a while. It
// says id, user, application or host, and for how long the transaction has been open. It
// quotes no queries: they may hold values of rows.
func (db *DB) Blockers(ctx context.Context) (all []string, err error) {
	db.target.mu.Lock()
	ids := slices.Sorted(maps.Keys(db.target.writing))
	db.target.mu.Unlock()
	refused := time.Since(time.UnixMicro(db.target.refused.Load())) < recentRefusal
	if len(ids) == 0 && !refused {
		return nil, nil
	}
	err = db.admin(ctx, "asking who holds apply up", func(c *conn) error {
		if all, err = blockers(ctx, c, ids); err != nil || len(all) > 0 || !refused {
			return err
		}
		all, err = lockHolders(ctx, c, ids)
		return err
	})
	return all, err
}

// noteRefusal notes a lock that apply did not get.
func (t *target) noteRefusal(err error) {
	switch errorNumber(err) {
	case gomysql.ER_LOCK_WAIT_TIMEOUT, gomysql.ER_LOCK_DEADLOCK, lockNoWait:
		t.refused.Store(time.Now().UnixMicro())
	}
}

// lockNoWait is what MySQL says of a row that somebody else has.
const lockNoWait = 3572

// The columns of an answer, of a session b with an open transaction x.
const (
	mysqlSession = `concat('session ', b.processlist_id, ' of ', b.processlist_user, ' (', coalesce(a.attr_value, 'no application name'), '), ',
	lower(b.processlist_command), ', transaction open for ', coalesce(round(x.timer_wait / 1e12, 1), 0), ' s')`
	mysqlAttributes = `LEFT JOIN performance_schema.session_connect_attrs a ON a.processlist_id = b.processlist_id AND a.attr_name = 'program_name'`
	mariaDBSession  = `concat('session ', b.trx_mysql_thread_id, ' of ', coalesce(p.user, '?'), ' (from ', coalesce(p.host, '?'), '), ',
	lower(coalesce(p.command, 'gone')), ', transaction open for ', ` + mariaDBAge + `, ' s')`
	mariaDBAge = `timestampdiff(SECOND, b.trx_started, convert_tz(utc_timestamp(), '+00:00', 'SYSTEM'))`
)

// Both kinds of locks that a transaction may wait for: of rows, and of a table's shape.
const mysqlBlockersSQL = `SELECT DISTINCT ` + mysqlSession + `
FROM (SELECT requesting_thread_id waiter, blocking_thread_id holder FROM performance_schema.data_lock_waits
	UNION SELECT p.owner_thread_id, g.owner_thread_id FROM performance_schema.metadata_locks p JOIN performance_schema.metadata_locks g
		ON g.object_type = p.object_type AND g.object_schema <=> p.object_schema AND g.object_name <=> p.object_name AND g.lock_status = 'GRANTED'
		WHERE p.lock_status = 'PENDING' AND g.owner_thread_id <> p.owner_thread_id) w
JOIN performance_schema.threads r ON r.thread_id = w.waiter
JOIN performance_schema.threads b ON b.thread_id = w.holder
LEFT JOIN performance_schema.events_transactions_current x ON x.thread_id = b.thread_id AND x.state = 'ACTIVE'
` + mysqlAttributes + `
WHERE r.processlist_id IN (%[1]s) AND b.processlist_id NOT IN (%[1]s) ORDER BY 1`

// MariaDB names no holders of table locks but in a plugin of its own.
const mariaDBBlockersSQL = `SELECT DISTINCT ` + mariaDBSession + `
FROM information_schema.innodb_lock_waits w
JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id
JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id
LEFT JOIN information_schema.processlist p ON p.id = b.trx_mysql_thread_id
WHERE r.trx_mysql_thread_id IN (%[1]s) AND b.trx_mysql_thread_id NOT IN (%[1]s)
UNION SELECT concat('a session that uses the table which session ', id, ' of apply waits for: a long transaction, an ALTER TABLE or a backup')
FROM information_schema.processlist WHERE id IN (%[1]s) AND state LIKE 'Waiting for%%metadata lock' ORDER BY 1`

// Who has rows locked for longer than a moment.
const (
	mysqlHoldersSQL = `SELECT DISTINCT ` + mysqlSession + `
FROM performance_schema.events_transactions_current x
JOIN performance_schema.threads b ON b.thread_id = x.thread_id AND b.type = 'FOREGROUND'
` + mysqlAttributes + `
WHERE x.state = 'ACTIVE' AND x.timer_wait > 1e12 AND b.processlist_id NOT IN (%[1]s)
	AND EXISTS (SELECT 1 FROM performance_schema.data_locks l WHERE l.thread_id = b.thread_id) ORDER BY 1`
	mariaDBHoldersSQL = `SELECT DISTINCT ` + mariaDBSession + `
FROM information_schema.innodb_trx b LEFT JOIN information_schema.processlist p ON p.id = b.trx_mysql_thread_id
WHERE b.trx_rows_locked + b.trx_tables_locked > 0 AND ` + mariaDBAge + ` >= 1 AND b.trx_mysql_thread_id NOT IN (%[1]s) ORDER BY 1`
)

// blockers are the sessions that those of ids wait for.
func blockers(ctx context.Context, c *conn, ids []uint32) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if c.flavor == mariaDB {
		return sessionsOf(ctx, c, mariaDBBlockersSQL, ids)
	}
	return sessionsOf(ctx, c, mysqlBlockersSQL, ids)
}

// lockHolders are the sessions that have had rows locked for a second at least, but ids.
func lockHolders(ctx context.Context, c *conn, ids []uint32) ([]string, error) {
	if c.flavor == mariaDB {
		return sessionsOf(ctx, c, mariaDBHoldersSQL, ids)
	}
	return sessionsOf(ctx, c, mysqlHoldersSQL, ids)
}

func sessionsOf(ctx context.Context, c *conn, sql string, ids []uint32) (all []string, err error) {
	in := list{}
	in.number(0) // no session: the list must not be empty
	for _, id := range ids {
		in.number(int64(id))
	}
	err = c.rows(ctx, fmt.Sprintf(sql, in.String()), func(row []string) { all = append(all, strings.TrimSpace(row[0])) })
	return all, err
}
