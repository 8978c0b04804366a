package apply

import (
	"context"
	"sync"

	"github.com/concord-db/concord/conflict"
)

// reservations keep groups that touch the same key apart, whichever peers they
// come from: a key is decided, written and entered into the window by one group at
// a time. A group reserves all its keys at once, in the order in which groups of
// its link were read, so that there is no waiting in a circle.
type reservations struct {
	mu      sync.Mutex
	freed   *sync.Cond
	held    map[conflict.Key]struct{}
	shared  int  // groups holding keys
	whole   bool // one group holds everything
	waiting int  // groups that wait for everything; keeps others from starving them
}

func newReservations() *reservations {
	r := &reservations{held: map[conflict.Key]struct{}{}}
	r.freed = sync.NewCond(&r.mu)
	return r
}

// reserve blocks until all keys of g are free and takes them; a group that must be
// executed exactly takes everything, since a truncate has no list of keys.
func (r *reservations) reserve(ctx context.Context, g *group) (release func(), err error) {
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.freed.Broadcast()
	})
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.exact {
		r.waiting++
		defer func() { r.waiting-- }()
	}
	for !r.free(g) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		r.freed.Wait()
	}
	return r.take(g), nil
}

// tryReserve is reserve that does not wait; false: it would have to.
func (r *reservations) tryReserve(g *group) (release func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.free(g) {
		return nil, false
	}
	return r.take(g), true
}

// take notes the keys of g as held. Holds r.mu.
func (r *reservations) take(g *group) (release func()) {
	if g.exact {
		r.whole = true
	} else {
		r.shared++
		for _, k := range g.keys {
			r.held[k.key] = struct{}{}
		}
	}
	return sync.OnceFunc(func() { r.release(g) })
}

func (r *reservations) free(g *group) bool {
	if r.whole || g.exact && r.shared > 0 || !g.exact && r.waiting > 0 {
		return false
	}
	for _, k := range g.keys {
		if _, taken := r.held[k.key]; taken {
			return false
		}
	}
	return true
}

func (r *reservations) release(g *group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.exact {
		r.whole = false
	} else {
		r.shared--
		for _, k := range g.keys {
			delete(r.held, k.key)
		}
	}
	r.freed.Broadcast()
}
