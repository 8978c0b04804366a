package mysql

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// One process plays a part; the next one takes it over when the first gives it back
// or its session ends, and the first is told.
func TestOneProcessPlaysAPart(t *testing.T) {
	onEach(t, func(a *admins) {
		first, second := a.db(Options{}), a.db(Options{})
		lost, release, err := first.Lead(a.ctx, "capture")
		if err != nil {
			a.t.Fatal(err)
		}
		defer release()
		if _, _, err := second.Lead(a.ctx, "capture"); !errors.Is(err, change.ErrStandby) || !strings.Contains(err.Error(), "session") {
			a.t.Errorf("a second agent was told %v", err)
		}
		_, other, err := second.Lead(a.ctx, "apply")
		if err != nil {
			a.t.Errorf("another part is free: %v", err)
		} else {
			other()
		}
		select {
		case <-lost:
			a.t.Error("lost while it was held")
		default:
		}
		a.app.run("KILL " + a.app.text("SELECT IS_USED_LOCK('concord lead capture')"))
		select {
		case <-lost:
		case <-time.After(patience):
			a.t.Fatal("nobody was told that the session had ended")
		}
		_, release2, err := second.Lead(a.ctx, "capture")
		if err != nil {
			a.t.Fatalf("taking over: %v", err)
		}
		release2()
		release2()
		_, release3, err := first.Lead(a.ctx, "capture")
		if err != nil {
			a.t.Fatalf("after it was given back: %v", err)
		}
		release3()
	})
}

// A host that is gone says nothing more. The holder knows before another can have the
// part, and the server gives it away though nobody closed the connection.
func TestAPartIsNotHeldByAConnectionThatIsHalfOpen(t *testing.T) {
	onEach(t, func(a *admins) {
		wire := newWire(a.t, a.dsn)
		holder := a.db(Options{})
		holder.dsn = wire.dsn
		lost, release, err := holder.Lead(a.ctx, "capture")
		if err != nil {
			a.t.Fatal(err)
		}
		defer release()
		wire.cut()
		cut := time.Now()
		select {
		case <-lost:
		case <-time.After(patience):
			a.t.Fatal("the holder was not told")
		}
		if took := time.Since(cut); took > leaseSilence {
			a.t.Errorf("the holder was told after %s, when another could have it", took)
		}
		next := a.db(Options{})
		eventually(a.t, "taking over", func() bool {
			_, release, err := next.Lead(a.ctx, "capture")
			if err == nil {
				release()
			} else if !errors.Is(err, change.ErrStandby) {
				a.t.Fatal(err)
			}
			return err == nil
		})
	})
}

// A process that is killed says no farewell; its host closes the connection.
func TestAPartIsFreeAtOnceWhenItsProcessDies(t *testing.T) {
	onEach(t, func(a *admins) {
		c, err := a.db(Options{}).connect(a.ctx, roleLease)
		if err != nil {
			a.t.Fatal(err)
		}
		if got, err := takeLock(a.ctx, c, "concord lead capture"); !got || err != nil {
			a.t.Fatalf("taking the lock: %t, %v", got, err)
		}
		died := time.Now()
		c.drop()
		next := a.db(Options{})
		eventually(a.t, "taking over", func() bool {
			_, release, err := next.Lead(a.ctx, "capture")
			if err == nil {
				release()
			}
			return err == nil
		})
		if took := time.Since(died); took > leaseSilence/3 {
			a.t.Errorf("it took %s", took)
		}
	})
}

// wire carries one direction after the other to a server until it is cut: then it is
// silent, and open.
type wire struct {
	dsn    string
	silent context.CancelFunc
}

func newWire(t *testing.T, dsn string) *wire {
	t.Helper()
	scheme, rest, _ := strings.Cut(dsn, "://")
	user, address, _ := strings.Cut(rest, "@")
	address, path, _ := strings.Cut(address, "/")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, silent := context.WithCancel(t.Context())
	w := &wire{dsn: scheme + "://" + user + "@" + listener.Addr().String() + "/" + path, silent: silent}
	carry := func(from, to net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if ctx.Err() != nil {
				continue
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				_ = near.Close()
				return
			}
			t.Cleanup(func() { _, _ = near.Close(), far.Close() })
			go carry(near, far)
			go carry(far, near)
		}
	}()
	t.Cleanup(func() { silent(); _ = listener.Close() })
	return w
}

func (w *wire) cut() { w.silent() }
