package conflict

import "github.com/concord-db/concord/internal/change"

// Cut is the longest prefix of which every site is known to have seen each write,
// and which every later write of the list saw whole.
//
// The cost is that of one pass: what a prefix holds is told by the greatest seq of each
// origin in it, what all later writes saw by the least they saw of that origin.
func Cut(writes []*Write, everyoneSaw func(*Write) bool) int {
	n := 0
	for n < len(writes) && everyoneSaw(writes[n]) {
		n++
	}
	if n == 0 {
		return 0
	}
	p := prefix{replaced: make([]uint64, n)}
	for i, w := range writes[:n] {
		p.replaced[i] = p.grow(w.Tx)
	}
	for _, w := range writes[n:] {
		p.meets(w.Tx)
	}
	for ; n > 0 && !p.seenByLater(); n-- {
		w := writes[n-1]
		p.shrink(w.Tx, p.replaced[n-1])
		p.meets(w.Tx)
	}
	return n
}

// prefix is the front of a list, and what the rest of the list saw of it.
type prefix struct {
	origins  []fromOrigin
	replaced []uint64 // by write of the front: the greatest seq of its origin before it
}

type fromOrigin struct {
	origin change.Site
	last   uint64 // the greatest seq in the front
	seen   uint64 // the least that a later write saw
}

// grow puts t into the front and returns the greatest seq of its origin before it.
func (p *prefix) grow(t *Tx) uint64 {
	for i := range p.origins {
		if o := &p.origins[i]; o.origin == t.Origin {
			before := o.last
			o.last = max(o.last, t.Seq)
			return before
		}
	}
	p.origins = append(p.origins, fromOrigin{origin: t.Origin, last: t.Seq, seen: ^uint64(0)})
	return 0
}

// shrink takes t, the last of the front, out of it.
func (p *prefix) shrink(t *Tx, before uint64) {
	for i := range p.origins {
		if o := &p.origins[i]; o.origin == t.Origin {
			o.last = before
		}
	}
}

// meets counts t among the later writes.
func (p *prefix) meets(t *Tx) {
	for i := range p.origins {
		o := &p.origins[i]
		saw := t.Seen[o.origin]
		if o.origin == t.Origin {
			saw = t.Seq - 1
		}
		o.seen = min(o.seen, saw)
	}
}

func (p *prefix) seenByLater() bool {
	for i := range p.origins {
		if o := &p.origins[i]; o.last > o.seen {
			return false
		}
	}
	return true
}
