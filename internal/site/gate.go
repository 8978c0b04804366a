package site

import (
	"context"
	"sync"
)

// gate is open or shut. What runs behind it is told when it shuts.
type gate struct {
	mu      sync.Mutex
	decided bool
	open    chan struct{} // closed while the gate is open
	shut    chan struct{} // closed while it is shut
}

// newGate returns a gate that is shut.
func newGate() *gate {
	g := &gate{open: make(chan struct{}), shut: make(chan struct{})}
	close(g.shut)
	return g
}

// set opens or shuts the gate.
func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.decided = true
	now, then := &g.open, &g.shut
	if !open {
		now, then = then, now
	}
	select {
	case <-*now:
	default:
		close(*now)
		*then = make(chan struct{})
	}
}

// openUnlessDecided opens the gate if it was never set.
func (g *gate) openUnlessDecided() {
	g.mu.Lock()
	decided := g.decided
	g.mu.Unlock()
	if !decided {
		g.set(true)
	}
}

// while runs f whenever the gate is open, with a context that ends when it shuts. It
// returns nil when ctx ends, or f's error when f ends by itself.
func (g *gate) while(ctx context.Context, f func(context.Context) error) error {
	for {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
		case <-ctx.Done():
			return nil
		}
		if err := g.once(ctx, f); err != nil {
			return err
		}
	}
}

func (g *gate) once(ctx context.Context, f func(context.Context) error) error {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	inside, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-shut:
			cancel()
		case <-done:
		}
	}()
	err := f(inside)
	if inside.Err() != nil {
		return nil
	}
	return err
}
