package apply

import (
	"fmt"
	"slices"
	"sync"

	"github.com/concord-db/concord/internal/change"
)

// errGivesWay: a group that waited for its turn has given its locks back, since the
// group whose turn it is may need them.
var errGivesWay = fmt.Errorf("%w: gives way to the group before", ErrTransient)

// giveWay is how a group off the fast way tells those that come after it, which have
// their rows locked already, to let go: it may have to lock rows, and take values of
// unique keys, that are not its own and that nobody has reserved.
type giveWay struct {
	mu   sync.Mutex
	n    int
	asks chan struct{} // closed while somebody asks
}

// urge asks until the returned function is called.
func (g *giveWay) urge() (done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n++; g.n == 1 {
		if g.asks == nil {
			g.asks = make(chan struct{})
		}
		close(g.asks)
	}
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.n--; g.n == 0 {
			g.asks = nil
		}
	})
}

func (g *giveWay) urged() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n > 0
}

// asked is closed when somebody asks.
func (g *giveWay) asked() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asks == nil {
		g.asks = make(chan struct{})
	}
	return g.asks
}

// takesValues reports whether the group writes a table with unique keys.
func (g *group) takesValues() bool {
	for _, k := range g.keys {
		if len(k.table.Unique) > 0 {
			return true
		}
	}
	return false
}

// truncatesValues reports whether the group truncates a table with unique keys.
func (g *group) truncatesValues() bool {
	if g.wiped == nil {
		return false
	}
	return slices.ContainsFunc(g.first().Rows, func(r change.Row) bool {
		return r.Op == change.Truncate && len(r.Table.Unique) > 0 && g.accepts(r.Table)
	})
}

// deferrable reports whether a unique key of the table is checked only when a
// transaction ends: then nothing keeps an application from taking a value that apply has
// written and not committed yet.
func deferrable(t *change.Table) bool {
	return slices.ContainsFunc(t.Unique, func(u change.UniqueKey) bool { return u.Deferrable })
}
