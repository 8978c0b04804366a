package postgres

import (
	"net"
	"syscall"
	"time"
)

const (
	// promptRead is how quickly a read must return to count as one that found data
	// waiting.
	promptRead = 200 * time.Microsecond
	// promptReads is how many such reads in a row tell that a lot is coming.
	promptReads = 16
	// gatherTime is how long more is then let come before each read.
	gatherTime = 10 * time.Millisecond
	// moreTime is how long after a read that emptied a full kernel: what waited at the
	// sender is on its way.
	moreTime = 200 * time.Microsecond
	// gatherBytes is how much is then read at once, and how much may come before the
	// kernel wakes anyone.
	gatherBytes = 512 << 10
	// windowBytes is how much the kernel takes in while nobody reads: beyond that the
	// server's side keeps what it sends, and sends it in large pieces later.
	windowBytes = 32 << 10
)

// coalescer is the connection of a walsender, read in larger pieces when a lot is
// coming. The server sends every message by itself; being woken for each costs both
// sides more than the message: the sender wakes, the reader switches twice and makes
// a system call for a hundred bytes. And each message that can go at once goes the
// whole way through the network by itself, which is half of what a walsender does. So
// while a lot is coming the kernel is told to wake nobody for less than gatherBytes;
// what it takes in meanwhile is little, so that most messages wait, together, at the
// sender; and all that has come is read every gatherTime.
// When nothing has come the connection is as any other, so that a quiet database is
// read without delay.
type coalescer struct {
	net.Conn
	raw     syscall.RawConn // nil when the system cannot do this: then it only waits
	prompt  int             // reads in a row that found data waiting
	waiting bool            // the kernel has been told
	more    bool            // the kernel was full: more waits at the sender
}

func newCoalescer(conn net.Conn) *coalescer {
	c := &coalescer{Conn: conn}
	if s, ok := conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil && setLowWater(raw, 1) == nil {
			c.raw = raw
		}
	}
	if b, ok := conn.(interface{ SetReadBuffer(int) error }); ok && c.raw != nil {
		_ = b.SetReadBuffer(windowBytes) // only slower without it
	}
	return c
}

// Read implements net.Conn. One goroutine reads.
func (c *coalescer) Read(p []byte) (int, error) {
	if c.prompt >= promptReads {
		n, err := c.gather(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
	began := time.Now()
	n, err := c.Conn.Read(p)
	switch {
	case time.Since(began) > promptRead:
		c.prompt = 0
	case c.prompt < promptReads:
		c.prompt++
	}
	return n, err
}

// gather lets more come and reads it. Without an error 0 means that nothing came, and
// that the next read must wait as usual.
func (c *coalescer) gather(p []byte) (int, error) {
	if c.raw != nil && !c.waiting {
		if err := setLowWater(c.raw, gatherBytes); err != nil {
			return 0, err
		}
		c.waiting = true
	}
	for {
		again := c.more
		wait := gatherTime
		if again {
			wait = moreTime
		}
		time.Sleep(wait) //nolint:forbidigo // to let more come is what this is for
		if c.raw == nil {
			return 0, nil
		}
		n, err := c.drain(p)
		if n > 0 || err != nil {
			return n, err
		}
		if !again { // else it is only not here yet
			break
		}
	}
	c.prompt, c.waiting = 0, false
	return 0, setLowWater(c.raw, 1)
}

// drain reads what has come, and what comes from the sender because of it. It sets
// more.
func (c *coalescer) drain(p []byte) (total int, err error) {
	c.more = false
	for total < len(p) {
		n, err := readNow(c.raw, p[total:])
		if n == 0 {
			if total > 0 {
				err = nil // it comes again
			}
			return total, err
		}
		total += n
		c.more = n >= windowBytes/2
	}
	return total, nil
}
