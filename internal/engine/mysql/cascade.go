package mysql

import (
	"context"

	"github.com/concord-db/concord/internal/engine/site"
)

// checkCascades refuses foreign keys by which the storage engine changes rows of
// replicated tables without logging them.
func (db *DB) checkCascades(ctx context.Context, c *conn, known *catalog) error {
	settings, err := readSettings(ctx, c)
	if err != nil {
		return err
	}
	e := &examination{db: db, c: c, settings: settings, catalog: known}
	if err := e.cascades(ctx); err != nil {
		return err
	}
	var ps []problem
	for _, check := range e.checks {
		if check.Status == site.Critical {
			ps = append(ps, problem{check.Name + ":", check.Detail, check.Remedy})
		}
	}
	return refusal(ps)
}
