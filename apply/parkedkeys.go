package apply

import (
	"context"
	"sync"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// parkedKeys remembers which keys have a parked change: what follows on them is
// parked behind it, in order. It mirrors concord.parked.
type parkedKeys struct {
	mu     sync.Mutex
	keys   map[conflict.Key]int
	tables map[string]int // tables held back whole: a change of theirs waits for the schema
}

func newParkedKeys() *parkedKeys {
	return &parkedKeys{keys: map[conflict.Key]int{}, tables: map[string]int{}}
}

// load reads the parked changes anew.
func (p *parkedKeys) load(ctx context.Context, target Target) error {
	rows, err := target.Parked(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.keys)
	clear(p.tables)
	for i := range rows {
		p.addLocked(&rows[i])
	}
	return nil
}

func (p *parkedKeys) addLocked(c *Parked) {
	r := &c.Row
	if c.Reason == ReasonSchema {
		p.tables[r.Table.QualifiedName()]++
	}
	if r.Op == change.Truncate {
		p.tables[r.Table.QualifiedName()]++
		return
	}
	for _, image := range [][]change.Value{r.Old, r.New} {
		if image != nil {
			k, _ := conflict.KeyOf(r.Table, image, nil)
			p.keys[k]++
		}
	}
}

func (p *parkedKeys) add(cs []Parked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range cs {
		p.addLocked(&cs[i])
	}
}

// blocks reports whether a change of this key, or of the table as a whole, must
// wait behind a parked one.
func (p *parkedKeys) blocks(t *change.Table, k conflict.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys) > 0 && p.keys[k] > 0 || len(p.tables) > 0 && p.tables[t.QualifiedName()] > 0
}

// any reports whether anything is parked.
func (p *parkedKeys) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys)+len(p.tables) > 0
}
