package mysql

import (
	"context"
	"fmt"

	"github.com/concord-db/concord/internal/engine/site"
)

// Identity describes the server for status displays. A site that is not prepared has an
// empty Site and Epoch 0.
func (db *DB) Identity(ctx context.Context) (id site.Identity, err error) {
	err = db.admin(ctx, "asking the server who it is", func(c *conn) error {
		id.Engine = string(c.flavor)
		err := c.rows(ctx, "SELECT @@version, @@log_bin", func(row []string) {
			id.Version, id.Log = row[0], "inactive"
			if row[1] != "1" {
				id.Log = "missing"
			}
		})
		if err != nil {
			return fmt.Errorf("reading the server's version: %w", err)
		}
		// A reader is a session of the agents' own user; others are seen only by who may.
		err = c.rows(ctx, `SELECT 1 FROM information_schema.processlist
			WHERE command LIKE 'Binlog Dump%' AND user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1) LIMIT 1`, func([]string) { id.Log = "active" })
		if err != nil {
			return fmt.Errorf("looking for the reader of the log: %w", err)
		}
		if id.Offset, id.Uncertainty, err = clockOffset(ctx, c); err != nil {
			return err
		}
		row, err := readSite(ctx, c)
		if err != nil || row == nil {
			return err
		}
		id.Cluster, id.Site, id.Epoch = row.cluster, row.site, row.epoch
		return nil
	})
	if err == nil {
		id.Retained, err = db.RetainedBytes(ctx)
	}
	return id, err
}
