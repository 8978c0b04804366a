package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// beater writes heartbeats on a connection of its own, opened when first needed and
// again after a fault.
type beater struct {
	mu   sync.Mutex
	conn *pgx.Conn
}

const beatSQL = `INSERT INTO concord.heartbeat (site, beat) VALUES ($1, $2)
	ON CONFLICT (site) DO UPDATE SET beat = excluded.beat`

// Beat commits this site's heartbeat; see capture.Beater. An error leaves no
// connection behind; the next call opens a new one.
func (db *DB) Beat(ctx context.Context, site change.Site, at time.Time) error {
	b := &db.beater
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		conn, err := db.connect(ctx, roleHeartbeat)
		if err != nil {
			return fmt.Errorf("writing the heartbeat: %w", err)
		}
		b.conn = conn
	}
	if _, err := b.conn.Exec(ctx, beatSQL, string(site), at.UTC()); err != nil {
		closeConn(ctx, b.conn)
		b.conn = nil
		return fmt.Errorf("writing the heartbeat: %w", err)
	}
	return nil
}

// closeBeater gives up the heartbeat's connection.
func (db *DB) closeBeater(ctx context.Context) {
	b := &db.beater
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		closeConn(ctx, b.conn)
		b.conn = nil
	}
}
