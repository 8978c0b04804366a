package testcluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy is a loopback TCP port that passes on to another address until told to
// play a bad network. Its methods may be called concurrently. Close it.
type Proxy struct {
	target   string
	listener net.Listener
	done     chan struct{} // closed by Close
	running  sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something below changes
	cut      bool
	stalled  bool
	delay    time.Duration
	links    map[net.Conn]struct{} // both ends of every connection
	accepted int
}

// NewProxy listens on a free loopback port and passes every connection on to
// target (host:port), which need not be there yet.
func NewProxy(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for a proxy to %s: %w", target, err)
	}
	p := &Proxy{
		target:   target,
		listener: listener,
		done:     make(chan struct{}),
		changed:  make(chan struct{}),
		links:    map[net.Conn]struct{}{},
	}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the address to connect to instead of the target, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut breaks all connections and every new one, until Heal: both ends learn of it.
func (p *Proxy) Cut() {
	p.change(func() { p.cut = true })
	p.breakAll()
}

// Stall lets nothing through, until Heal: connections stay open and silent, as
// when a cable is pulled, and new ones are accepted and hear nothing.
func (p *Proxy) Stall() { p.change(func() { p.stalled = true }) }

// Heal ends Cut and Stall. What was sent into a stall arrives now.
func (p *Proxy) Heal() { p.change(func() { p.cut, p.stalled = false, false }) }

// Delay holds what is read from now on back by d in each direction; a round trip
// takes 2d longer. Throughput is not limited, up to what buffers hold.
func (p *Proxy) Delay(d time.Duration) { p.change(func() { p.delay = d }) }

// Connections is how many connections have been accepted so far, broken ones
// included.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Close breaks all connections, stops listening and returns when all is quiet.
func (p *Proxy) Close() error {
	p.mu.Lock()
	select {
	case <-p.done:
		p.mu.Unlock()
		return nil
	default:
	}
	close(p.done)
	p.mu.Unlock()
	err := p.listener.Close()
	p.breakAll()
	p.running.Wait()
	return err
}

func (p *Proxy) change(set func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) breakAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for link := range p.links {
		breakLink(link)
	}
}

// breakLink closes with a reset rather than a polite end.
func breakLink(link net.Conn) {
	if tcp, ok := link.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = link.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve owns one connection until both directions have ended.
func (p *Proxy) serve(client net.Conn) {
	if !p.track(client, true) {
		return
	}
	defer p.untrack(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		breakLink(client)
		return
	}
	if !p.track(server, false) {
		return
	}
	defer p.untrack(server)
	var directions sync.WaitGroup
	directions.Go(func() { p.pass(server, client) })
	directions.Go(func() { p.pass(client, server) })
	directions.Wait()
}

// track registers an end, or breaks it when the line is cut or closed.
func (p *Proxy) track(link net.Conn, incoming bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if incoming {
		p.accepted++
	}
	closed := false
	select {
	case <-p.done:
		closed = true
	default:
	}
	if p.cut || closed {
		breakLink(link)
		return false
	}
	p.links[link] = struct{}{}
	return true
}

func (p *Proxy) untrack(link net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, link)
	_ = link.Close()
}

// parcel is what one read returned, and when it is due.
type parcel struct {
	bytes []byte
	due   time.Time
}

// pass carries one direction: a reader stamps, a writer waits.
func (p *Proxy) pass(to, from net.Conn) {
	parcels := make(chan parcel, 256)
	over := make(chan struct{}) // the writer has given up
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(parcels)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				select {
				case parcels <- parcel{buffer[:n], time.Now().Add(p.currentDelay())}:
				case <-over:
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					breakLink(to)
				}
				return
			}
		}
	})
	delivered := p.deliver(to, parcels)
	close(over)
	if half, ok := to.(*net.TCPConn); ok && delivered {
		_ = half.CloseWrite() // the other direction may still have something to say
	} else {
		breakLink(to)
		breakLink(from) // ends the reader's Read, too
	}
	reading.Wait()
}

// deliver writes every parcel when it is due; false when that became impossible.
func (p *Proxy) deliver(to net.Conn, parcels <-chan parcel) bool {
	for parcel := range parcels {
		if !p.hold(parcel.due) {
			return false
		}
		if _, err := to.Write(parcel.bytes); err != nil {
			return false
		}
	}
	return true
}

func (p *Proxy) currentDelay() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// hold waits until the moment is due and the line is not stalled; false when the
// line is cut or closed meanwhile.
func (p *Proxy) hold(due time.Time) bool {
	for {
		p.mu.Lock()
		changed, stalled, cut := p.changed, p.stalled, p.cut
		p.mu.Unlock()
		if cut {
			return false
		}
		var ripe <-chan time.Time
		if !stalled {
			wait := time.Until(due)
			if wait <= 0 {
				return true
			}
			ripe = time.After(wait)
		}
		select {
		case <-ripe:
		case <-changed:
		case <-p.done:
			return false
		}
	}
}
