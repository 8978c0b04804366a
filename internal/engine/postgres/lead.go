package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"

	"github.com/concord-db/concord/internal/change"
)

// leadKey is the advisory lock of the process that plays a part for this database.
func leadKey(part string) int64 {
	h := fnv.New64a()
	h.Write([]byte("concord lead " + part))
	return int64(h.Sum64())
}

// Lead makes this process the only one that plays a part ("capture", "apply") for
// this database. change.ErrStandby when another does. lost is closed when the
// connection that proves it has died: the caller stops what it does then. release
// gives it back; it may be called more than once, and is called also after lost.
func (db *DB) Lead(ctx context.Context, part string) (lost <-chan struct{}, release func(), err error) {
	conn, err := db.connect(ctx, roleLease)
	if err != nil {
		return nil, nil, err
	}
	key := leadKey(part)
	var got bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, key).Scan(&got); err != nil {
		closeConn(ctx, conn)
		return nil, nil, fmt.Errorf("taking the lease on %s: %w", part, err)
	}
	if !got {
		err := fmt.Errorf("%w: another agent of this site has the part of %s%s", change.ErrStandby, part, holder(ctx, conn, key))
		closeConn(ctx, conn)
		return nil, nil, err
	}
	l := &lease{gone: make(chan struct{})}
	return l.gone, sync.OnceFunc(l.watch(ctx, conn, key)), nil
}
