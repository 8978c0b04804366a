package testcluster_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// echo is a server that sends every byte back.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func newProxy(t *testing.T) *testcluster.Proxy {
	t.Helper()
	p, err := testcluster.NewProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// caller is one connection through the proxy.
type caller struct {
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, p *testcluster.Proxy) caller {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return caller{conn, bufio.NewReader(conn)}
}

// say sends a line and waits for it to come back.
func (c caller) say(line string, wait time.Duration) error {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return err
	}
	return c.hear(line, wait)
}

func (c caller) hear(line string, wait time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	got, err := c.lines.ReadString('\n')
	if err == nil && got != line+"\n" {
		return errors.New("heard " + got)
	}
	return err
}

func TestProxyPassesOn(t *testing.T) {
	p := newProxy(t)
	c := dial(t, p)
	for _, line := range []string{"one", "two", "three"} {
		if err := c.say(line, 10*time.Second); err != nil {
			t.Fatalf("saying %s: %v", line, err)
		}
	}
	if got := p.Connections(); got != 1 {
		t.Errorf("connections = %d, want 1", got)
	}
}

func TestProxyPassesOnAHalfClose(t *testing.T) {
	c := dial(t, newProxy(t))
	if _, err := io.WriteString(c, "last words\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := c.hear("last words", 10*time.Second); err != nil {
		t.Error(err)
	}
	if _, err := c.lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last words: %v, want EOF", err)
	}
}

func TestACutBreaksOldAndNewConnectionsUntilHealed(t *testing.T) {
	p := newProxy(t)
	old := dial(t, p)
	if err := old.say("before", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if err := old.hear("", 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("on a cut line: %v, want a broken connection", err)
	}
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		if err := (caller{conn, bufio.NewReader(conn)}).say("during", 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a new connection on a cut line: %v, want it broken", err)
		}
		_ = conn.Close()
	}
	p.Heal()
	if err := dial(t, p).say("after", 10*time.Second); err != nil {
		t.Errorf("after Heal: %v", err)
	}
}

func TestAStallIsSilentAndLosesNothing(t *testing.T) {
	p := newProxy(t)
	c := dial(t, p)
	p.Stall()
	if err := c.say("held", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("on a stalled line: %v, want silence", err)
	}
	p.Heal()
	if err := c.hear("held", 10*time.Second); err != nil {
		t.Errorf("after Heal: %v", err)
	}
}

func TestADelayHoldsEachDirection(t *testing.T) {
	p := newProxy(t)
	c := dial(t, p)
	p.Delay(50 * time.Millisecond)
	start := time.Now()
	if err := c.say("slow", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("a round trip took %s, want at least 100ms", took)
	}
}

func TestAClosedProxyRefuses(t *testing.T) {
	p := newProxy(t)
	c := dial(t, p)
	p.Stall()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.hear("", 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("on a closed proxy's line: %v, want it broken", err)
	}
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		_ = conn.Close()
		t.Error("a closed proxy accepts")
	}
}
