package mysql

import (
	"context"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// Flush makes sure that no crash of the server takes back what committed before the
// call; see engine.Engine. With both settings at 1 every commit is on the disk, in the
// log at least, before anyone sees it. With others the server gives no such promise, and
// no statement that the agents may run makes it: that is change.ErrRefused, and the
// caller waits instead.
func (db *DB) Flush(ctx context.Context) error {
	return db.admin(ctx, "making commits safe", func(c *conn) error {
		safe := false
		err := c.rows(ctx, "SELECT @@global.sync_binlog = 1 AND @@global.innodb_flush_log_at_trx_commit = 1", func(row []string) { safe = row[0] == "1" })
		if err == nil && !safe {
			err = fmt.Errorf("%w: the server keeps commits in memory for a while; set sync_binlog = 1 and innodb_flush_log_at_trx_commit = 1", change.ErrRefused)
		}
		return err
	})
}
