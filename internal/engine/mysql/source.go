package mysql

import (
	"context"
	"fmt"
	"strconv"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

var (
	_ capture.Source = (*DB)(nil)
	_ capture.Beater = (*DB)(nil)
)

// Open starts reading the log after from; see capture.Source. It checks the server's
// settings, the identity of the database, that the log has everything after from, and
// the key and the foreign keys of every table, and writes a probe that the Reader must recognise. The server
// may be another one of the same replication topology than the one from is of.
func (db *DB) Open(ctx context.Context, from change.Position) (capture.Reader, error) {
	c, err := db.connect(ctx, roleCapture)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := checkLogSettings(ctx, c); err != nil {
		return nil, err
	}
	row, err := readSite(ctx, c)
	if err == nil {
		err = db.checkSite(row)
	}
	if err != nil {
		return nil, err
	}
	if from == "" {
		from = row.start
	}
	start, err := parsePosition(string(from))
	if err != nil {
		return nil, err
	}
	gtids, err := parseGTIDs(c.flavor, start.gtids)
	if err != nil {
		return nil, fmt.Errorf("%w: the position %s was recorded by another kind of server: %w; %s", change.ErrNeedsCopy, from, err, newEpochRemedy)
	}
	server, err := c.serverName(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.checkLog(ctx, start, server, gtids); err != nil {
		return nil, err
	}
	known, err := loadCatalog(ctx, c, db.opts.Tables)
	if err == nil {
		err = refusal(known.allProblems())
	}
	if err == nil {
		err = c.checkFilters(ctx, known)
	}
	if err == nil {
		err = db.checkCascades(ctx, c, known)
	}
	if err != nil {
		return nil, err
	}
	collations, err := loadCollations(ctx, c)
	if err != nil {
		return nil, err
	}
	var folded bool
	if err := c.rows(ctx, "SELECT @@lower_case_table_names <> 0", func(r []string) { folded = r[0] == "1" }); err != nil {
		return nil, fmt.Errorf("asking how tables are named: %w", err)
	}
	p, err := writeProbe(ctx, c, server)
	if err != nil {
		return nil, err
	}
	r := &reader{db: db, guard: probeGuard{probe: p}}
	r.events = assembler{
		site: db.opts.Site, partBytes: db.opts.PartBytes, gtids: gtids, last: from, probed: r.guard.recognised,
		at:        position{server: server, gtids: gtids.String()},
		relations: map[string]*relation{}, tables: map[uint64]*relation{},
		shape: &shaper{
			tables: db.opts.Tables, folded: folded, log: db.log, known: known, collations: collations,
			connect: func(ctx context.Context) (*conn, error) { return db.connect(ctx, roleCapture) },
			check:   db.checkCascades,
			stale:   map[string]bool{}, last: map[string]*change.Table{}, keys: map[string][]string{}, computed: map[string]bool{},
		},
	}
	if start.server == server {
		r.events.place = start
	}
	r.parser = newParser(c.flavor, &r.events)
	if err := r.begin(ctx, server, gtids); err != nil {
		return nil, err
	}
	return r, nil
}

// checkLog makes sure that the log the server has now continues the one that was read
// up to from: it has everything that was read, and everything that was not.
func (c *conn) checkLog(ctx context.Context, from position, server string, read gtidSet) error {
	text, err := c.executed(ctx)
	if err != nil {
		return err
	}
	executed, err := parseGTIDs(c.flavor, text)
	if err != nil {
		return err
	}
	if !executed.covers(read) {
		missing := read.String()
		if c.flavor == mySQL {
			missing, err = c.subtract(ctx, read.String(), text)
			if err != nil {
				return err
			}
		}
		what := "the database was restored, or its log was reset"
		if server != from.server {
			what = "this server replaced another before it had everything of that"
		}
		return fmt.Errorf("%w: transactions that were published are not in the log of this server (%s, of %s): %s; %s",
			change.ErrNeedsCopy, missing, from.place(), what, newEpochRemedy)
	}
	if server == from.server {
		if err := c.checkEnd(ctx, from); err != nil {
			return err
		}
	}
	if c.flavor == mariaDB {
		return nil // it says itself what it no longer has, when the log is asked for
	}
	var purged string
	if err := c.rows(ctx, "SELECT @@global.gtid_purged", func(r []string) { purged = r[0] }); err != nil {
		return fmt.Errorf("asking for the purged transactions: %w", err)
	}
	gone, err := c.subtract(ctx, purged, read.String())
	if err != nil {
		return err
	}
	if gone != "" {
		return fmt.Errorf("%w: the log no longer has transactions that were not read yet (%s): it was purged, or this server replaced another and has transactions that it did not write into its log; "+
			"keep the log longer (binlog_expire_logs_seconds), and %s", change.ErrNeedsCopy, gone, newEpochRemedy)
	}
	return nil
}

// checkEnd refuses a log whose file ends before a place that was read: a crash of the
// machine took its end (sync_binlog is not 1), and the server gives the names of the
// transactions that were in it to others.
func (c *conn) checkEnd(ctx context.Context, from position) error {
	var size string
	err := c.rows(ctx, "SHOW BINARY LOGS", func(r []string) {
		if r[0] == from.file {
			size = r[1]
		}
	})
	if err != nil {
		return fmt.Errorf("listing the files of the log: %w", logError(err))
	}
	if size == "" {
		return nil // purged: nothing of it is missing, or the GTIDs tell
	}
	n, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		return fmt.Errorf("reading the size of %s: %w", from.file, err)
	}
	if n < from.offset {
		return fmt.Errorf("%w: the log was published up to %s, but that file ends at %d: a crash took its end; set sync_binlog = 1 and innodb_flush_log_at_trx_commit = 1, and %s",
			change.ErrNeedsCopy, from.place(), n, newEpochRemedy)
	}
	return nil
}

// subtract lets the server say which transactions are in a and not in b.
func (c *conn) subtract(ctx context.Context, a, b string) (string, error) {
	var left string
	err := c.rows(ctx, "SELECT GTID_SUBTRACT("+literal(a)+", "+literal(b)+")", func(r []string) { left = r[0] })
	if err != nil {
		return "", fmt.Errorf("comparing GTID sets: %w", err)
	}
	return left, nil
}

// checkFilters refuses a server that leaves databases with replicated tables, or
// Concord's own, out of its log.
func (c *conn) checkFilters(ctx context.Context, known *catalog) error {
	sql := "SHOW BINARY LOG STATUS"
	if c.flavor == mariaDB {
		sql = "SHOW MASTER STATUS"
	}
	var only, never []string
	if err := c.rows(ctx, sql, func(r []string) { only, never = splitNames(r[2]), splitNames(r[3]) }); err != nil {
		return fmt.Errorf("asking for the filters of the log: %w", err)
	}
	schemas := map[string]bool{controlSchema: true}
	for _, t := range known.tables {
		schemas[t.schema] = true
	}
	for s := range schemas {
		if hides(only, never, s) {
			return fmt.Errorf("%w: the log leaves out the database %s (binlog-do-db, binlog-ignore-db); remove these settings and restart the server", change.ErrRefused, s)
		}
	}
	return nil
}
