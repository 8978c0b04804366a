package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Both kinds of locks that a transaction may wait for: of rows, and of a table's shape.
const mysqlBlockersSQL = `
SELECT DISTINCT concat('session ', b.processlist_id, ' of ', b.processlist_user, ' (', coalesce(a.attr_value, 'no application name'), '), ',
	lower(b.processlist_command), ', transaction open for ', coalesce(round(x.timer_wait / 1e12, 1), 0), ' s')
FROM (SELECT requesting_thread_id waiter, blocking_thread_id holder FROM performance_schema.data_lock_waits
	UNION SELECT p.owner_thread_id, g.owner_thread_id FROM performance_schema.metadata_locks p JOIN performance_schema.metadata_locks g
		ON g.object_type = p.object_type AND g.object_schema <=> p.object_schema AND g.object_name <=> p.object_name AND g.lock_status = 'GRANTED'
		WHERE p.lock_status = 'PENDING' AND g.owner_thread_id <> p.owner_thread_id) w
JOIN performance_schema.threads r ON r.thread_id = w.waiter
JOIN performance_schema.threads b ON b.thread_id = w.holder
LEFT JOIN performance_schema.events_transactions_current x ON x.thread_id = b.thread_id AND x.state = 'ACTIVE'
LEFT JOIN performance_schema.session_connect_attrs a ON a.processlist_id = b.processlist_id AND a.attr_name = 'program_name'
WHERE r.processlist_id IN (%[1]s) AND b.processlist_id NOT IN (%[1]s) ORDER BY 1`

// MariaDB names no holders of table locks but in a plugin of its own.
const mariaDBBlockersSQL = `
SELECT DISTINCT concat('session ', b.trx_mysql_thread_id, ' of ', coalesce(p.user, '?'), ' (from ', coalesce(p.host, '?'), '), ',
	lower(coalesce(p.command, 'gone')), ', transaction open for ', timestampdiff(SECOND, b.trx_started, convert_tz(utc_timestamp(), '+00:00', 'SYSTEM')), ' s')
FROM information_schema.innodb_lock_waits w
JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id
JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id
LEFT JOIN information_schema.processlist p ON p.id = b.trx_mysql_thread_id
WHERE r.trx_mysql_thread_id IN (%[1]s) AND b.trx_mysql_thread_id NOT IN (%[1]s)
UNION SELECT concat('a session that uses the table which session ', id, ' of apply waits for: a long transaction, an ALTER TABLE or a backup')
FROM information_schema.processlist WHERE id IN (%[1]s) AND state LIKE 'Waiting for%%metadata lock' ORDER BY 1`

// blockers tells, for people, which sessions those of ids wait for now: id, user,
// application or host, and for how long its transaction has been open. It quotes no
// queries: they may hold values of rows.
func blockers(ctx context.Context, c *conn, ids []uint32) (all []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var in list
	for _, id := range slices.Sorted(slices.Values(ids)) {
		in.number(int64(id))
	}
	sql := mysqlBlockersSQL
	if c.flavor == mariaDB {
		sql = mariaDBBlockersSQL
	}
	err = c.rows(ctx, fmt.Sprintf(sql, in.String()), func(row []string) { all = append(all, strings.TrimSpace(row[0])) })
	return all, err
}
