package postgres

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// linked returns both ends of a TCP connection, the second as a coalescer.
func linked(t *testing.T) (net.Conn, *coalescer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	from, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close(); to.Close() })
	return from, newCoalescer(to)
}

func TestACoalescerReadsEverythingInOrder(t *testing.T) {
	from, to := linked(t)
	sent := sha256.New()
	failed := make(chan error, 1)
	go func() {
		random := rand.New(rand.NewPCG(1, 2))
		message := bytes.Repeat([]byte("0123456789abcdef"), 64)
		for i := range 20_000 { // small ones without a pause, now and then a rest
			b := message[:1+random.IntN(len(message))]
			sent.Write(b)
			if _, err := from.Write(b); err != nil {
				failed <- err
				return
			}
			if i%4000 == 3999 {
				<-time.After(5 * time.Millisecond)
			}
		}
		failed <- from.Close()
	}()
	got := sha256.New()
	reads := 0
	p := make([]byte, 256<<10)
	for {
		n, err := to.Read(p)
		got.Write(p[:n])
		reads++
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		t.Error("what was read is not what was sent")
	}
	if reads > 10_000 {
		t.Errorf("%d reads for 20000 messages", reads)
	}
}

// After a rush a single message must not wait for more to come.
func TestACoalescerDoesNotHoldBackTheLastMessage(t *testing.T) {
	from, to := linked(t)
	p := make([]byte, 1<<10)
	for range 5 {
		to.prompt = promptReads // a rush
		if _, err := from.Write([]byte("rush")); err != nil {
			t.Fatal(err)
		}
		if n, err := to.Read(p); err != nil || string(p[:n]) != "rush" {
			t.Fatalf("%q, %v", p[:n], err)
		}
		go func() {
			<-time.After(20 * time.Millisecond)
			_, _ = from.Write([]byte("one")) // a failure shows as the deadline below
		}()
		if err := to.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := to.Read(p); err != nil || string(p[:n]) != "one" {
			t.Fatalf("%q, %v", p[:n], err)
		}
	}
}

func TestACoalescerKeepsDeadlinesAndClose(t *testing.T) {
	_, to := linked(t)
	for _, prompt := range []int{0, promptReads} {
		to.prompt = prompt
		if err := to.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %d prompt reads: %v; want the deadline", prompt, err)
		}
	}
	to.prompt = promptReads
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
