package postgres

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

const (
	// statusInterval bounds how long a release waits to be told to the server.
	statusInterval = time.Second
	// pingInterval is how often the server is asked for a sign of life, released or
	// not. It must be well below wal_sender_timeout (60 s).
	pingInterval = 10 * time.Second
	// readIdle is how long nobody may ask the Reader for events before it stops
	// keeping the connection alive: a server that is shut down would otherwise wait
	// for ever for a reader that does not read.
	readIdle = 60 * time.Second
)

// feedback tells the server how far the log is needed. It is the only writer on
// the connection. Positions are reported as flushed only when released; what was
// merely received is reported as written, which frees nothing.
type feedback struct {
	conn net.Conn
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu       sync.Mutex
	released lsn
	sent     lsn // released, as last told
	received lsn
	reply    bool // the server has asked
	asking   bool // somebody waits for a keepalive
	lastRead time.Time
}

func newFeedback(conn net.Conn, start lsn) *feedback {
	return &feedback{
		conn: conn, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		released: start, received: start, lastRead: time.Now(),
	}
}

// release moves the released position forward.
func (f *feedback) release(p lsn) {
	f.mu.Lock()
	f.released = max(f.released, p)
	f.mu.Unlock()
}

// answer asks for a status at once: the server, at p, wants a sign of life.
func (f *feedback) answer(p lsn) {
	f.mu.Lock()
	f.received, f.reply = max(f.received, p), true
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// ask has the server asked for a sign of life at once.
func (f *feedback) ask() {
	f.mu.Lock()
	f.asking = true
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// reading notes that events are being asked for.
func (f *feedback) reading(now time.Time) {
	f.mu.Lock()
	f.lastRead = now
	f.mu.Unlock()
}

// run sends until close or a fault; on a fault it closes the connection, which ends
// the reading.
func (f *feedback) run() {
	defer close(f.done)
	tick := time.NewTicker(statusInterval)
	defer tick.Stop()
	lastPing := time.Now()
	for {
		select {
		case <-f.stop:
			return
		case <-f.wake:
		case <-tick.C:
		}
		now := time.Now()
		f.mu.Lock()
		released, received, reply, asking := f.released, f.received, f.reply, f.asking
		news := released != f.sent
		idle := now.Sub(f.lastRead) > readIdle
		f.sent, f.reply, f.asking = released, false, false
		f.mu.Unlock()
		ping := asking || !idle && now.Sub(lastPing) >= pingInterval
		var err error
		switch {
		case reply:
			// A server that shuts down waits until its flushed position has been
			// confirmed, and as written alone when none is. Flushed 0 confirms nothing
			// and lets it go.
			if err = f.send(released, released, false); err == nil {
				err = f.send(received, 0, ping)
			}
		case news || ping:
			err = f.send(released, released, ping)
		}
		if ping {
			lastPing = now
		}
		if err != nil {
			_ = f.conn.Close() // Next fails and says so
			return
		}
	}
}

// send writes one standby status update.
func (f *feedback) send(written, flushed lsn, ping bool) error {
	msg := make([]byte, 0, 39)
	msg = append(msg, 'd')
	msg = binary.BigEndian.AppendUint32(msg, 4+34)
	msg = append(msg, 'r')
	msg = binary.BigEndian.AppendUint64(msg, uint64(written))
	msg = binary.BigEndian.AppendUint64(msg, uint64(flushed))
	msg = binary.BigEndian.AppendUint64(msg, uint64(flushed)) // applied
	msg = binary.BigEndian.AppendUint64(msg, uint64(time.Now().UnixMicro()-postgresEpoch))
	if ping {
		msg = append(msg, 1)
	} else {
		msg = append(msg, 0)
	}
	if err := f.conn.SetWriteDeadline(time.Now().Add(pingInterval)); err != nil {
		return err
	}
	_, err := f.conn.Write(msg)
	return err
}

// close stops the sending, tells the last release and says goodbye. The caller
// closes the connection.
func (f *feedback) close() error {
	close(f.stop)
	<-f.done
	f.mu.Lock()
	released := f.released
	f.mu.Unlock()
	if err := f.send(released, released, false); err != nil {
		return err
	}
	_, err := f.conn.Write([]byte{'X', 0, 0, 0, 4})
	return err
}
