package mysql

import (
	"context"
	"fmt"
	"strconv"
)

// RetainedBytes is how much log there is that this process has not yet made safe
// elsewhere: what the server must not remove. The server itself holds nothing back, it
// removes log by age. 0 when this process does not read the log, or has just begun to.
func (db *DB) RetainedBytes(ctx context.Context) (n int64, err error) {
	released := db.released.Load()
	if released == nil {
		return 0, nil
	}
	from, err := parsePosition(string(*released))
	if err != nil {
		return 0, fmt.Errorf("measuring the log: %w", err)
	}
	err = db.admin(ctx, "measuring the log", func(c *conn) error {
		server, err := c.serverName(ctx)
		if err != nil || server != from.server {
			return err
		}
		var bad error
		err = c.rows(ctx, "SHOW BINARY LOGS", func(row []string) {
			size, err := strconv.ParseInt(row[1], 10, 64)
			switch at, have := fileNumber(row[0]), fileNumber(from.file); {
			case err != nil:
				bad = err
			case at == have:
				n += max(0, size-int64(from.offset))
			case at > have:
				n += size
			}
		})
		if err == nil {
			err = bad
		}
		return err
	})
	return n, err
}
