package mysql

import (
	"context"
	"strconv"
)

// lane is one connection that target transactions run on, one at a time. One
// goroutine uses it at a time.
type lane struct {
	conn    *conn
	packet  int    // max_allowed_packet, in bytes
	patient bool   // it waits for locks
	buf     []byte // of statements, used again
}

// applyVariable is set in every session that writes what other sites wrote, for the
// triggers of an application: they had their say at the origin.
const applyVariable = "@concord_applies"

// laneSettings are those of every session that writes, beside settings.
//
// Foreign keys were checked, and cascades carried out, at the origin.
//
// In a deadlock and in a lock wait apply gives way, not the application. A deadlock
// takes two who wait, and which of them the server rolls back is not for a session to
// say: so apply does not wait at all. MariaDB has that as a setting; at MySQL the rows
// are locked with NOWAIT before they are written.
func laneSettings(f flavor) []string {
	all := []string{"SET SESSION foreign_key_checks = 0, unique_checks = 1", "SET " + applyVariable + " = 1"}
	if f == mariaDB {
		// A long list of keys is looked up one by one, never joined.
		return append(all, "SET SESSION innodb_lock_wait_timeout = 0, in_predicate_conversion_threshold = 0")
	}
	return append(all, "SET SESSION range_optimizer_max_mem_size = 0")
}

// localSettings are those of a session that writes for a person: with patience for
// locks.
func localSettings(f flavor) []string {
	return append(laneSettings(f), "SET SESSION innodb_lock_wait_timeout = 10, lock_wait_timeout = 10")
}

// openLane connects a lane. The caller closes it.
func (db *DB) openLane(ctx context.Context, settings func(flavor) []string) (*lane, error) {
	c, err := db.connect(ctx, roleApply)
	if err != nil {
		return nil, classified(ctx, "connecting", err)
	}
	l := &lane{conn: c}
	for _, sql := range settings(c.flavor) {
		if _, err := c.exec(ctx, sql); err != nil {
			l.close()
			return nil, classified(ctx, "preparing the session", err)
		}
	}
	var text string
	err = c.rows(ctx, "SELECT @@max_allowed_packet", func(r []string) { text = r[0] })
	if err == nil {
		l.packet, err = strconv.Atoi(text)
	}
	if err != nil {
		l.close()
		return nil, classified(ctx, "preparing the session", err)
	}
	return l, nil
}

// usable reports whether the session may be used for another transaction.
func (l *lane) usable() bool { return l.conn.err == nil && !l.conn.c.IsInTransaction() }

// nowait ends a statement that locks rows.
func (l *lane) nowait() string {
	if l.conn.flavor == mySQL && !l.patient {
		return " NOWAIT"
	}
	return ""
}

func (l *lane) close() { l.conn.close() }

// keep takes the memory of a batch back, unless it is too much to be kept for ever.
func (l *lane) keep(buf []byte) {
	if cap(buf) <= 4*flushBytes {
		l.buf = buf[:0]
	} else {
		l.buf = nil
	}
}
