package mysql

import (
	"context"
	"strconv"
)

// RetainedBytes is how much log the server keeps. It keeps log for a time, not for a
// site: so this is all that there is, for whoever watches the disk.
func (db *DB) RetainedBytes(ctx context.Context) (n int64, err error) {
	err = db.admin(ctx, "measuring the log", func(c *conn) error {
		var bad error
		err := c.rows(ctx, "SHOW BINARY LOGS", func(row []string) {
			size, err := strconv.ParseInt(row[1], 10, 64)
			if err != nil {
				bad = err
			}
			n += size
		})
		if errorNumber(err) == noBinaryLog {
			return nil
		}
		if err == nil {
			err = bad
		}
		return err
	})
	return n, err
}

// noBinaryLog is what a server says that writes none.
const noBinaryLog = 1381
