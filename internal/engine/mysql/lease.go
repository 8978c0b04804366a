package mysql

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A lease is a named lock of the server on a session of its own. The lock lives as long
// as the session: when the process is killed its host closes the connection and the
// server ends the session at once. When the host or the network is gone the server hears
// nothing, and ends a session that has been silent for leaseSilence. The session speaks
// every leaseEvery and takes itself for lost when an answer takes longer than
// leaseAnswer: so the holder knows before anyone else can have the lock.
const (
	leaseSilence = 15 * time.Second
	leaseEvery   = 3 * time.Second
	leaseAnswer  = 6 * time.Second
)

type lease struct {
	session uint32        // its number
	gone    chan struct{} // closed when the session has ended
	release func()        // gives it back and waits for the end; may be called again
}

// lease takes the lock of that name, of at most 64 characters; nil when another session
// has it. It lives on after ctx.
func (db *DB) lease(ctx context.Context, name string) (*lease, error) {
	c, err := db.connect(ctx, roleLease)
	if err != nil {
		return nil, err
	}
	got, err := takeLock(ctx, c, name)
	if err != nil || !got {
		c.close()
		return nil, err
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &lease{session: c.c.GetConnectionID(), gone: make(chan struct{})}
	l.release = sync.OnceFunc(func() { cancel(); <-l.gone })
	go func() {
		defer close(l.gone)
		defer c.close()
		keepSession(watching, c)
		// The server may take its time to notice that a session has ended: the lock is
		// given back by name.
		last, cancel := context.WithTimeout(context.WithoutCancel(watching), time.Second)
		defer cancel()
		_, _ = c.exec(last, "DO RELEASE_LOCK(?)", name) // fails when the session has died
	}()
	return l, nil
}

func takeLock(ctx context.Context, c *conn, name string) (got bool, err error) {
	if _, err := c.exec(ctx, fmt.Sprintf("SET SESSION wait_timeout = %d", int(leaseSilence.Seconds()))); err != nil {
		return false, err
	}
	r, err := c.query(ctx, "SELECT GET_LOCK(?, 0)", name)
	if err != nil {
		return false, err
	}
	defer r.Close()
	err = each(r, func(f *fields) error {
		got = f.number() == 1
		return nil
	})
	return got, err
}

// keepSession returns when the session has ended, or ctx has.
func keepSession(ctx context.Context, c *conn) {
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asking, cancel := context.WithTimeout(ctx, leaseAnswer)
		_, err := c.exec(asking, "DO 0")
		cancel()
		if err != nil {
			return
		}
	}
}

// holder says, behind a colon, which session has the lock; "" when that is not known.
func (db *DB) holder(ctx context.Context, name string) (who string) {
	_ = db.admin(ctx, "asking who has a lock", func(c *conn) error {
		r, err := c.query(ctx, "SELECT IS_USED_LOCK(?)", name)
		if err != nil {
			return err
		}
		defer r.Close()
		var id int64
		if err := each(r, func(f *fields) error { id = f.number(); return nil }); err != nil || id == 0 {
			return err
		}
		who = fmt.Sprintf(": session %d", id)
		r, err = c.query(ctx, "SELECT user, host FROM information_schema.processlist WHERE id = ?", id)
		if err != nil {
			return err
		}
		defer r.Close()
		return each(r, func(f *fields) error {
			who += fmt.Sprintf(" (%s from %s)", f.text(), f.text())
			return nil
		})
	}) // who it is only helps a person
	return who
}
