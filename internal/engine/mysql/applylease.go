package mysql

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// applyLeases are the origins whose changes this process applies. One whose session has
// died stays, so that what is still done for it is refused.
type applyLeases struct {
	mu       sync.Mutex
	byOrigin map[change.Site]*lease
}

func (a *applyLeases) get(origin change.Site) *lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byOrigin[origin]
}

func (a *applyLeases) put(origin change.Site, l *lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byOrigin == nil {
		a.byOrigin = map[change.Site]*lease{}
	}
	a.byOrigin[origin] = l
}

// drop forgets a lease, unless another has taken its place.
func (a *applyLeases) drop(origin change.Site, l *lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byOrigin[origin] == l {
		delete(a.byOrigin, origin)
	}
}

// held reports whether the origin was acquired and its session lives.
func (a *applyLeases) held(origin change.Site) bool {
	l := a.get(origin)
	return l != nil && !l.ended()
}

// lost reports whether the session that held the lease has died.
func (a *applyLeases) lost(origin change.Site) bool {
	l := a.get(origin)
	return l != nil && l.ended()
}

func (l *lease) ended() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// Acquire implements apply.Target.
func (db *DB) Acquire(ctx context.Context, origin change.Site) (release func(), err error) {
	doing, name := "acquiring the changes of "+string(origin), applyLease(origin)
	l, err := db.lease(ctx, name)
	if err != nil {
		return nil, classified(ctx, doing, err)
	}
	if l == nil {
		return nil, fmt.Errorf("%s: %w: another agent applies them%s", doing, change.ErrStandby, db.holder(ctx, name))
	}
	if err := db.ensureCheckpoint(ctx, origin); err != nil {
		l.release()
		return nil, classified(ctx, doing, err)
	}
	db.target.leases.put(origin, l)
	return sync.OnceFunc(func() {
		l.release()
		db.target.leases.drop(origin, l)
		db.target.closeLane(origin)
	}), nil
}

// checkLease makes sure that the lease is held by this process still: its session looks
// only now and then whether it lives.
func (db *DB) checkLease(ctx context.Context, c *conn, origin change.Site) error {
	l, holder := db.target.leases.get(origin), ""
	err := c.rows(ctx, "SELECT IS_USED_LOCK("+literal(applyLease(origin))+")", func(r []string) { holder = r[0] })
	if err != nil {
		return classified(ctx, "looking for the lease on "+string(origin), err)
	}
	if l == nil || holder != strconv.FormatUint(uint64(l.session), 10) {
		return fmt.Errorf("beginning: %w: the lease on %s is not held", apply.ErrFenced, origin)
	}
	return nil
}

// applyLease names the lock. The server takes at most 64 characters, and does not tell
// capitals from small letters; nor are site names apart by that only.
func applyLease(origin change.Site) string { return "concord apply " + string(origin) }

// ensureCheckpoint makes the row of an origin that has none. The row is a mark: capture
// takes it for a replicated transaction.
func (db *DB) ensureCheckpoint(ctx context.Context, origin change.Site) error {
	return db.ask(ctx, "looking for the checkpoint", func(c *conn) error {
		there := false
		err := c.rows(ctx, "SELECT 1 FROM concord.checkpoint WHERE origin = "+literal(string(origin)), func([]string) { there = true })
		switch errorNumber(err) {
		case 1049, 1146:
			return fmt.Errorf("%w: %w; run concord init --site %s", change.ErrRefused, err, db.opts.Site)
		}
		if err != nil || there {
			return err
		}
		_, err = c.exec(ctx, "INSERT INTO concord.checkpoint (origin, epoch, seq, hlc, applied_at) VALUES (?, 0, 0, 0, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE origin = origin", string(origin))
		return err
	})
}
