package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/change"
)

// connectTimeout bounds dialling, the handshake and the session's settings.
const connectTimeout = 10 * time.Second

// lockTimeouts bound how many seconds each kind of session waits for a lock of an
// application. Applications come first.
var lockTimeouts = map[role]int{
	roleApply:     1,
	roleHeartbeat: 2,
}

// sqlMode is that of every session: nothing is rounded, cut or replaced in silence, and
// what an application could store with a mode of its own can be stored again.
const sqlMode = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"

// settings are the statements that begin every session, so that text means the same
// at every site whatever a server or an account has set.
func settings(f flavor, r role) []string {
	timeout := lockTimeouts[r]
	if timeout == 0 {
		timeout = 10
	}
	limit := "max_execution_time = 0"
	if f == mariaDB {
		limit = "max_statement_time = 0"
	}
	return []string{
		"SET NAMES utf8mb4 COLLATE utf8mb4_bin",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
		fmt.Sprintf("SET SESSION time_zone = '+00:00', sql_mode = '%s', autocommit = 1, sql_auto_is_null = 0, sql_safe_updates = 0, "+
			"wait_timeout = 86400, net_write_timeout = 600, net_read_timeout = 600, lock_wait_timeout = %d, innodb_lock_wait_timeout = %d, %s",
			sqlMode, timeout, timeout, limit),
	}
}

// conn is a session. Every call ends when its ctx does; the session is of no more use
// then. One goroutine uses it at a time; close may be called from any.
type conn struct {
	c      *client.Conn
	flavor flavor
	err    error // why it is of no more use
}

// connect opens a session. The caller closes it.
func (db *DB) connect(ctx context.Context, r role) (*conn, error) {
	a, err := parseDSN(db.dsn)
	if err != nil {
		return nil, err
	}
	c, err := a.open(ctx, map[string]string{"program_name": fmt.Sprintf("concord/%s/%s", db.opts.Site, r)}, r)
	if err != nil {
		return nil, connectError(err)
	}
	return c, nil
}

// open dials, logs in and sends the session's settings.
func (a address) open(ctx context.Context, attributes map[string]string, r role) (*conn, error) {
	dialing, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	stop := func() bool { return true }
	dial := func(ctx context.Context, network, host string) (net.Conn, error) {
		d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4}}
		socket, err := d.DialContext(ctx, network, host)
		if err == nil { // the handshake knows no context
			stop = context.AfterFunc(dialing, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
		}
		return socket, err
	}
	c, err := client.ConnectWithDialer(dialing, a.network, a.host, a.user, a.password, a.database, dial, func(c *client.Conn) error {
		c.SetAttributes(attributes)
		if r == roleApply {
			// Many statements go in one packet, and an update counts the rows that it found.
			if err := errors.Join(c.SetCapability(gomysql.CLIENT_MULTI_STATEMENTS), c.SetCapability(gomysql.CLIENT_FOUND_ROWS)); err != nil {
				return err
			}
		}
		if a.tls != nil {
			c.SetTLSConfig(a.tls)
		}
		return nil
	})
	if err == nil && !stop() {
		_ = c.Close()
		err = context.Cause(dialing)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	session := &conn{c: c, flavor: flavorOf(c.GetServerVersion())}
	if a.product != session.flavor {
		session.close()
		return nil, fmt.Errorf("%w: the dsn begins with %s:// and the server is %s: the other sites would take its types for %s's; write %s:// at all sites",
			change.ErrRefused, a.product, session.flavor.name(), a.product.name(), session.flavor)
	}
	for _, sql := range settings(session.flavor, r) {
		if _, err := session.exec(dialing, sql); err != nil {
			session.close()
			return nil, fmt.Errorf("preparing the session: %w", err)
		}
	}
	return session, nil
}

// connectError explains a failed connection. What a person must put right is
// change.ErrRefused; everything else may be retried.
func connectError(err error) error {
	switch errorNumber(err) {
	case gomysql.ER_ACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR, gomysql.ER_ACCESS_DENIED_NO_PASSWORD_ERROR, gomysql.ER_HOST_NOT_PRIVILEGED,
		gomysql.ER_NOT_SUPPORTED_AUTH_MODE, gomysql.ER_MUST_CHANGE_PASSWORD_LOGIN,
		3118, 4151: // the account is locked, at MySQL and at MariaDB
		return fmt.Errorf("connecting: %w: %w; check the user, its password and the host it may connect from", change.ErrRefused, err)
	case gomysql.ER_BAD_DB_ERROR:
		return fmt.Errorf("connecting: %w: %w; create it, or put its name right in the dsn", change.ErrRefused, err)
	case 3159: // ER_SECURE_TRANSPORT_REQUIRED
		return fmt.Errorf("connecting: %w: %w; add tls=required or tls=verify-identity to the dsn", change.ErrRefused, err)
	case gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR:
		return fmt.Errorf("connecting: %w: %w; see concord init --grants", change.ErrRefused, err)
	}
	return fmt.Errorf("connecting: %w", err)
}

// errorNumber is the server's number of an error; 0 when it is not the server's.
func errorNumber(err error) uint16 {
	var e *gomysql.MyError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// errClosed is what a session says that was closed or broken before.
var errClosed = errors.New("the session is closed")

// call runs f, which talks to the server, and ends it with ctx.
func (c *conn) call(ctx context.Context, f func() error) error {
	if c.err != nil {
		return c.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.c.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		c.err = fmt.Errorf("%w: a call was cut short", errClosed)
		if err != nil {
			err = ctx.Err()
		}
	} else if err != nil && errorNumber(err) == 0 {
		c.err = fmt.Errorf("%w: it was lost: %w", errClosed, err)
	}
	return err
}

// exec runs a statement. With arguments it is prepared for this one time.
func (c *conn) exec(ctx context.Context, sql string, args ...any) (*gomysql.Result, error) {
	var r *gomysql.Result
	err := c.call(ctx, func() (err error) {
		r, err = c.c.Execute(sql, args...)
		return err
	})
	return r, err
}

// query runs a statement that returns rows. The result is the caller's.
func (c *conn) query(ctx context.Context, sql string, args ...any) (*gomysql.Result, error) {
	r, err := c.exec(ctx, sql, args...)
	if err == nil && !r.HasResultset() {
		err = errors.New("the statement returned no rows")
	}
	return r, err
}

// close ends the session, not waiting for the server to notice.
func (c *conn) close() {
	_ = c.c.SetDeadline(time.Now().Add(time.Second))
	_ = c.c.Quit()  // a courtesy: else the server counts an aborted client
	_ = c.c.Close() // nothing is lost with a session
}

// drop ends a session that does not listen.
func (c *conn) drop() { _ = c.c.Close() }
