package mysql

import (
	"context"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// InitOptions say how a site is prepared.
type InitOptions = site.InitOptions

// initLock is the named lock that one init at a time holds.
const initLock = "concord init"

// Init makes everything that Concord needs in this server: its database with the control
// tables, and the rows that say who it is. It may be run again: what is there and right
// stays as it is, and what a crash left half done is completed. The report has one line
// for each thing done, none when all was there.
//
// It must be run by a user that may create databases and grant rights. A setting without
// which the log cannot be read, and a table that cannot be replicated, is
// change.ErrRefused. The site's epoch begins with the first run, and anew when
// opts.NewEpoch is set.
func (db *DB) Init(ctx context.Context, opts InitOptions) (report []string, err error) {
	c, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return nil, err
	}
	defer c.close() // and gives the lock back
	if err := waitForLock(ctx, c, initLock); err != nil {
		return nil, fmt.Errorf("waiting for another init: %w", err)
	}
	if err := checkLogSettings(ctx, c); err != nil {
		return nil, err
	}
	tables, err := loadCatalog(ctx, c, db.opts.Tables)
	if err != nil {
		return nil, err
	}
	if err := refusal(tables.allProblems()); err != nil {
		return nil, err
	}
	row, err := readSite(ctx, c)
	if err != nil {
		return nil, err
	}
	if row != nil {
		if err := db.checkOwner(row); err != nil {
			return nil, err
		}
	} else {
		report = append(report, "created schema "+controlSchema)
	}
	did := func(done string) {
		if done != "" {
			report = append(report, done)
		}
	}
	done, err := ensureSchema(ctx, c, row, schemaVersion, scripts)
	if err != nil {
		return nil, err
	}
	did(done)
	if err := db.ensureRows(ctx, c); err != nil {
		return nil, err
	}
	if opts.Role != "" {
		done, err := db.giveRights(ctx, c, opts.Role, tables)
		if err != nil {
			return nil, err
		}
		did(done)
	}
	done, err = db.ensureEpoch(ctx, c, row, opts.NewEpoch)
	if err != nil {
		return nil, err
	}
	did(done)
	return report, nil
}

// waitForLock takes a named lock that another session may have for long.
func waitForLock(ctx context.Context, c *conn, name string) error {
	for {
		var got bool
		err := c.rows(ctx, "SELECT GET_LOCK("+literal(name)+", 10)", func(row []string) { got = row[0] == "1" })
		if err != nil || got {
			return err
		}
	}
}

// initError tells what right is missing.
func initError(doing string, err error) error {
	switch errorNumber(err) {
	case gomysql.ER_ACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR, gomysql.ER_TABLEACCESS_DENIED_ERROR, gomysql.ER_COLUMNACCESS_DENIED_ERROR,
		gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, gomysql.ER_CANT_CREATE_USER_WITH_GRANT, gomysql.ER_NONEXISTING_GRANT:
		return fmt.Errorf("%s: %w: %w; run concord init as a user that may create databases and grant rights", doing, change.ErrRefused, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ensureRows writes the checkpoint of each peer and this site's heartbeat, so that later
// writes are updates.
func (db *DB) ensureRows(ctx context.Context, c *conn) error {
	for _, p := range db.opts.Peers {
		if _, err := c.exec(ctx, `INSERT IGNORE INTO concord.checkpoint (origin, epoch, seq, hlc, applied_at)
			VALUES (?, 0, 0, 0, UTC_TIMESTAMP(6))`, string(p)); err != nil {
			return initError("writing the checkpoint of "+string(p), err)
		}
	}
	if _, err := c.exec(ctx, `INSERT IGNORE INTO concord.heartbeat (site, beat) VALUES (?, UTC_TIMESTAMP(6))`, string(db.opts.Site)); err != nil {
		return initError("writing the heartbeat", err)
	}
	return nil
}

// ensureEpoch records where the log of a site begins that has none yet, or of a new
// epoch. It is the last step: a site without its row is prepared from the beginning.
func (db *DB) ensureEpoch(ctx context.Context, c *conn, row *siteRow, newEpoch bool) (done string, err error) {
	if row != nil && !newEpoch {
		return "", nil
	}
	begin, err := c.startPosition(ctx)
	if err != nil {
		return "", initError("reading the end of the log", err)
	}
	system, err := systemOf(ctx, c)
	if err != nil {
		return "", initError("asking the server who it is", err)
	}
	epoch := uint32(1)
	if row != nil {
		epoch = row.epoch + 1
	}
	if _, err := c.exec(ctx, "INSERT INTO concord.site (one, cluster, site, epoch, start_position, `system`, schema_version) VALUES (1, ?, ?, ?, ?, ?, ?)"+
		" ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), start_position = VALUES(start_position), `system` = VALUES(`system`)",
		db.opts.Cluster, string(db.opts.Site), epoch, begin.String(), system, schemaVersion); err != nil {
		return "", initError("recording the site", err)
	}
	return fmt.Sprintf("epoch %d begins at %s", epoch, begin.place()), nil
}

// systemOf is the server's own name: it stays when it is restarted.
func systemOf(ctx context.Context, c *conn) (system string, err error) {
	name := "server_uuid"
	if c.flavor == mariaDB {
		name = "server_uid"
	}
	err = c.rows(ctx, "SHOW GLOBAL VARIABLES LIKE '"+name+"'", func(row []string) { system = row[1] })
	return system, err
}
