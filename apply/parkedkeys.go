package apply

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// parkedKeys remembers which keys have a parked change: what follows on them is
// parked behind it, in order. It mirrors concord.parked.
type parkedKeys struct {
	mu     sync.Mutex
	keys   map[conflict.Key]*parkedKey
	tables map[string]int // tables held back whole: a change of theirs waits for the schema
	added  int            // counts add
	loaded time.Time
	took   time.Duration // to read them
}

func newParkedKeys() *parkedKeys {
	return &parkedKeys{keys: map[conflict.Key]*parkedKey{}, tables: map[string]int{}}
}

// load reads the parked changes anew. What is added while it reads may not be in what it
// has read: then it reads again.
func (p *parkedKeys) load(ctx context.Context, target Target) error {
	for range 10 {
		p.mu.Lock()
		added := p.added
		p.mu.Unlock()
		began := time.Now()
		rows, err := target.Parked(ctx)
		if err != nil {
			return err
		}
		if p.replace(rows, added, time.Since(began)) {
			break
		}
	}
	return nil
}

// replace takes rows for all that is parked, unless something was added since.
func (p *parkedKeys) replace(rows []Parked, added int, took time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.added != added {
		return false
	}
	clear(p.keys)
	clear(p.tables)
	for i := range rows {
		p.addLocked(&rows[i])
	}
	p.loaded, p.took = time.Now(), took
	return true
}

// parkedFresh is how long what was read of the parked changes is taken for true when
// something seems to have to wait behind one: a person may have settled it meanwhile. It is
// longer where there are so many that reading them takes its time.
const parkedFresh = 200 * time.Millisecond

// reload reads the parked changes anew when one of keys seems to wait behind one.
func (p *parkedKeys) reload(ctx context.Context, target Target, keys []*keyWork) error {
	if !p.any() || !slices.ContainsFunc(keys, func(k *keyWork) bool { return p.blocks(k.table, k.key) }) {
		return nil
	}
	p.mu.Lock()
	fresh := time.Since(p.loaded) < max(parkedFresh, 20*p.took)
	p.mu.Unlock()
	if fresh {
		return nil
	}
	return p.load(ctx, target)
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
			if p.keys[k] == nil {
				p.keys[k] = &parkedKey{key: k, table: r.Table, image: image}
			}
			p.keys[k].add(c)
		}
	}
}

func (p *parkedKeys) add(cs []Parked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added += len(cs)
	for i := range cs {
		p.addLocked(&cs[i])
	}
}

// blocks reports whether a change of this key, or of the table as a whole, must
// wait behind a parked one.
func (p *parkedKeys) blocks(t *change.Table, k conflict.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys) > 0 && p.keys[k] != nil || len(p.tables) > 0 && p.tables[t.QualifiedName()] > 0
}

// any reports whether anything is parked.
func (p *parkedKeys) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys)+len(p.tables) > 0
}
