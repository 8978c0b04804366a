package crossing

import (
	"context"
	"fmt"
	"sync"
	"time"

	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// rereadAfter is how long what is known of the tables here is not doubted, and soonest
// how often at most they are read to find one that is missing.
const (
	rereadAfter = 30 * time.Second
	soonest     = time.Second
)

// schemaReader reads the tables of this site, in the cluster's names.
type schemaReader interface {
	Schema(ctx context.Context) ([]enginesite.Table, error)
}

// localTables are the tables of this site as its catalogue has them. Every reading is a
// new generation.
type localTables struct {
	reader schemaReader

	mu         sync.Mutex
	at         time.Time
	generation int
	byName     map[string]*enginesite.Table
}

// fresh returns the generation of what is known, read again when it is old.
func (l *localTables) fresh(ctx context.Context) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation, l.reread(ctx, rereadAfter)
}

// table returns a table of this site, or nil when there is none. There is another look
// when it is missing, or doubted.
func (l *localTables) table(ctx context.Context, name string, doubted bool) (*enginesite.Table, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if doubted || l.byName[name] == nil {
		if err := l.reread(ctx, soonest); err != nil {
			return nil, err
		}
	}
	return l.byName[name], nil
}

// reread holds l.mu.
func (l *localTables) reread(ctx context.Context, after time.Duration) error {
	if !l.at.IsZero() && time.Since(l.at) < after {
		return nil
	}
	tables, err := l.reader.Schema(ctx)
	if err != nil {
		return fmt.Errorf("reading the tables of this site: %w", err)
	}
	l.byName = make(map[string]*enginesite.Table, len(tables))
	for i := range tables {
		l.byName[tables[i].Name] = &tables[i]
	}
	l.at, l.generation = time.Now(), l.generation+1
	return nil
}
