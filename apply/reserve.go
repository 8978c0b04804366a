package apply

import (
	"context"
	"slices"
	"sync"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// reservations keep groups that touch the same key apart, whichever peers they
// come from: a key is decided, written and entered into the window by one group at
// a time. A group reserves all its keys at once, in the order in which groups of
// its link were read, so that there is no waiting in a circle.
type reservations struct {
	mu      sync.Mutex
	freed   *sync.Cond
	held    map[conflict.Key][]*token
	shared  int  // groups holding keys
	whole   bool // one group holds everything
	waiting int  // groups that wait for everything; keeps others from starving them
	adding  bool // it is somebody's turn to add keys
}

// token is one holder of reservations.
type token struct {
	owner change.Site // its link
	// waits for its turn to add keys, or for its link to be free: it has no transaction open,
	// and decides anew when it goes on. So its keys may be added to those of another.
	waits bool
}

func newReservations() *reservations {
	r := &reservations{held: map[conflict.Key][]*token{}}
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
		g.token = &token{owner: g.owner()}
		for _, k := range g.reserves() {
			r.held[k] = append(r.held[k], g.token)
		}
	}
	return sync.OnceFunc(func() { r.release(g) })
}

func (r *reservations) free(g *group) bool {
	if r.whole || g.exact && r.shared > 0 || !g.exact && r.waiting > 0 {
		return false
	}
	for _, k := range g.reserves() {
		if _, taken := r.held[k]; taken {
			return false
		}
	}
	return true
}

// reserves lists the keys of the group, and the values of unique keys that it takes or
// gives up: what another group does with them must be known before this one decides.
func (g *group) reserves() []conflict.Key {
	if g.reserved != nil {
		return g.reserved
	}
	g.reserved = make([]conflict.Key, 0, len(g.keys))
	values := map[conflict.Key]bool{}
	for _, k := range g.keys {
		g.reserved = append(g.reserved, k.key)
		for _, e := range k.es {
			noteValues(values, e.Table, e.Image)
			noteValues(values, e.Table, e.Old)
		}
	}
	for v := range values {
		g.reserved = append(g.reserved, v)
	}
	return g.reserved
}

func noteValues(values map[conflict.Key]bool, t *change.Table, image []change.Value) {
	for _, c := range conflict.Claims(t, image) {
		values[conflict.Key(c.Claim)] = true
	}
}

func (r *reservations) release(g *group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.exact {
		r.whole = false
	} else {
		r.shared--
		for _, k := range g.reserves() {
			r.letGo(k, g.token)
		}
	}
	r.freed.Broadcast()
}

func (r *reservations) letGo(k conflict.Key, t *token) {
	left := slices.DeleteFunc(r.held[k], func(o *token) bool { return o == t })
	if len(left) == 0 {
		delete(r.held, k)
		return
	}
	r.held[k] = left
}

// add takes more keys for a group that has its own already. It never waits, for that
// could go in a circle; false: another link holds one. What a later group of the same
// link holds is no hindrance, since it commits later; nor what a group holds that waits
// for its turn.
func (r *reservations) add(owner change.Site, keys []conflict.Key) (release func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		if slices.ContainsFunc(r.held[k], func(t *token) bool { return t.owner != owner && !t.waits }) {
			return nil, false
		}
	}
	mine := &token{owner: owner}
	for _, k := range keys {
		r.held[k] = append(r.held[k], mine)
	}
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, k := range keys {
			r.letGo(k, mine)
		}
		r.freed.Broadcast()
	}), true
}

// waitsFor notes whether t, which may be nil, waits for its turn. It has no transaction
// open, and goes on in its turn only: until then others may add its keys to theirs.
func (r *reservations) waitsFor(t *token, waits bool) {
	if t == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.waits = waits
}

// begins ends the waiting of a group that was reserved before it could start: others may
// have added its keys to theirs meanwhile, and must have given them back.
func (r *reservations) begins(ctx context.Context, g *group) error {
	if g.token == nil { // it holds everything
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.freed.Broadcast()
	})
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	shared := func(k conflict.Key) bool {
		return slices.ContainsFunc(r.held[k], func(t *token) bool { return t.owner != g.token.owner })
	}
	for slices.ContainsFunc(g.reserves(), shared) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.freed.Wait()
	}
	g.token.waits = false
	return nil
}

// turn waits until nobody else adds keys, and says that t may. t, which may be nil, holds
// keys but has no transaction open until then. wait false: it does not wait; ok false.
func (r *reservations) turn(ctx context.Context, t *token, wait bool) (done func(), ok bool, err error) {
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.freed.Broadcast()
	})
	defer stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if t != nil {
		t.waits = true
		defer func() { t.waits = false }()
	}
	for r.adding {
		if !wait {
			return nil, false, nil
		}
		if ctx.Err() != nil {
			return nil, false, context.Cause(ctx)
		}
		r.freed.Wait()
	}
	r.adding = true
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.adding = false
		r.freed.Broadcast()
	}), true, nil
}
