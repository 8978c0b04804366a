package mysql

import (
	"context"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// Lead makes this process the only one that plays a part ("capture", "apply") for
// this server. change.ErrStandby when another does. lost is closed when the session that
// proves it has died: the caller stops what it does then. release gives it back; it may
// be called more than once, and is called also after lost.
func (db *DB) Lead(ctx context.Context, part string) (lost <-chan struct{}, release func(), err error) {
	l, err := db.lease(ctx, "concord lead "+part)
	if err != nil {
		return nil, nil, fmt.Errorf("taking the part of %s: %w", part, err)
	}
	if l == nil {
		return nil, nil, fmt.Errorf("%w: another agent of this site has the part of %s%s", change.ErrStandby, part, db.holder(ctx, "concord lead "+part))
	}
	return l.gone, l.release, nil
}
