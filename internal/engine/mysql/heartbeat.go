package mysql

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// beater writes heartbeats on a connection of its own, opened when first needed and
// again after a fault.
type beater struct {
	mu   sync.Mutex
	conn *conn
}

// timeFormat is how the server writes a moment to the microsecond.
const timeFormat = "2006-01-02 15:04:05.000000"

// Beat commits this site's heartbeat; see capture.Beater. An error leaves no
// connection behind; the next call opens a new one.
func (db *DB) Beat(ctx context.Context, site change.Site, at time.Time) error {
	b := &db.beater
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		c, err := db.connect(ctx, roleHeartbeat)
		if err != nil {
			return fmt.Errorf("writing the heartbeat: %w", err)
		}
		b.conn = c
	}
	beat := literal(at.UTC().Format(timeFormat))
	sql := "INSERT INTO concord.heartbeat (site, beat) VALUES (" + literal(string(site)) + ", " + beat + ") ON DUPLICATE KEY UPDATE beat = " + beat
	if _, err := b.conn.exec(ctx, sql); err != nil {
		b.conn.close()
		b.conn = nil
		return fmt.Errorf("writing the heartbeat: %w", err)
	}
	return nil
}

// closeBeater gives up the heartbeat's connection.
func (db *DB) closeBeater(context.Context) {
	b := &db.beater
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.close()
		b.conn = nil
	}
}
