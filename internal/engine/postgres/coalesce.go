package postgres

import (
	"io"
	"time"
)

const (
	// promptRead is how long a read may take and still count as one that found data
	// waiting.
	promptRead = 200 * time.Microsecond
	// promptReads is how many such reads in a row tell that a lot is coming.
	promptReads = 16
	// gatherTime is how long a read then waits for more to come.
	gatherTime = 500 * time.Microsecond
)

// coalescer reads from a walsender in larger pieces when a lot is coming. The server
// sends every message by itself; reading each as it comes costs a system call and two
// switches between processes for a hundred bytes. When nothing is waiting it reads at
// once, so that a quiet database is read without delay.
type coalescer struct {
	r      io.Reader
	prompt int // reads in a row that found data waiting
}

// Read implements io.Reader.
func (c *coalescer) Read(p []byte) (int, error) {
	if c.prompt >= promptReads {
		time.Sleep(gatherTime)
	}
	began := time.Now()
	n, err := c.r.Read(p)
	switch {
	case time.Since(began) > promptRead:
		c.prompt = 0
	case c.prompt < promptReads:
		c.prompt++
	}
	return n, err
}
