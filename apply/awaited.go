package apply

import (
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// parkedKey is what is parked of one key.
type parkedKey struct {
	key   conflict.Key
	table *change.Table
	image []change.Value // names the row

	// waits are the changes, without their rows, in the order of parking.
	waits []Parked
	// person: one of them waits for something else than its row.
	person bool
}

func (p *parkedKey) add(c *Parked) {
	p.person = p.person || c.Reason != ReasonPartial || c.Row.MovesKey()
	p.waits = append(p.waits, Parked{Origin: c.Origin, Epoch: c.Epoch, Seq: c.Seq, HLC: c.HLC, Index: c.Index, Behind: c.Behind})
}

// greatest is the greatest version that waits. What its origin has made of the row since
// it published it is what the row must become, unless something later comes.
func (p *parkedKey) greatest() change.Version {
	var v change.Version
	for i := range p.waits {
		if w := p.waits[i].version(); v.Less(w) {
			v = w
		}
	}
	return v
}

func (c *Parked) version() change.Version { return change.Version{HLC: c.HLC, Origin: c.Origin} }

// awaits returns what of a key waits for nothing but its row; nil: nothing is parked, or
// it waits for a person.
func (p *parkedKeys) awaits(t *change.Table, k conflict.Key) []Parked {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own := p.keys[k]; own != nil && !own.person && p.tables[t.QualifiedName()] == 0 {
		return own.waits
	}
	return nil
}

// awaited lists the keys that wait for nothing but their row, in key order.
func (p *parkedKeys) awaited() []parkedKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []parkedKey
	for _, own := range p.keys {
		if !own.person && p.tables[own.table.QualifiedName()] == 0 {
			out = append(out, *own)
		}
	}
	slices.SortFunc(out, func(a, b parkedKey) int { return compareKeys(a.key, b.key) })
	return out
}

// awaitedOf is how many keys wait for a row of that origin.
func (p *parkedKeys) awaitedOf(origin change.Site) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, own := range p.keys {
		if !own.person && own.greatest().Origin == origin {
			n++
		}
	}
	return n
}

// settled forgets changes that the database has no more.
func (p *parkedKeys) settled(of map[conflict.Key][]Parked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, changes := range of {
		own := p.keys[k]
		if own == nil {
			continue
		}
		own.waits = slices.DeleteFunc(slices.Clone(own.waits), func(w Parked) bool {
			return slices.ContainsFunc(changes, func(c Parked) bool { return c.sameAs(&w) })
		})
		if len(own.waits) == 0 {
			delete(p.keys, k)
		}
		p.added++ // what is being read may be older
	}
}

// sameAs reports whether two are the same change.
func (c *Parked) sameAs(o *Parked) bool {
	return c.Origin == o.Origin && c.Epoch == o.Epoch && c.Seq == o.Seq && c.Index == o.Index
}
