package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// minimumVersion is the oldest server that Concord speaks to; originFilter the
// first that drops rows by origin itself.
const (
	minimumVersion = 150000
	originFilter   = 160000
)

var _ capture.Source = (*DB)(nil)

// Open starts reading the log after from; see capture.Source. It checks the
// server's settings, the identity of the database, the slot, the publication and the
// key of every table, and writes a probe that the Reader must recognise.
func (db *DB) Open(ctx context.Context, from change.Position) (capture.Reader, error) {
	conn, err := db.connect(ctx, roleCapture)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	version, err := checkServer(ctx, conn)
	if err != nil {
		return nil, err
	}
	row, err := readSite(ctx, conn)
	if err == nil {
		err = db.checkSite(row)
	}
	if err != nil {
		return nil, err
	}
	start := row.start
	if from != "" {
		if start, err = parseLSN(string(from)); err != nil {
			return nil, err
		}
	}
	slot, err := readSlot(ctx, conn, db.slot())
	if err != nil {
		return nil, err
	}
	if err := checkSlot(slot, db.slot(), conn.Config().Database, start); err != nil {
		return nil, err
	}
	tables, err := db.checkTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	serverFilter := version >= originFilter && !db.opts.MarkFirst
	probe, err := db.writeProbe(ctx, conn, serverFilter)
	if err != nil {
		return nil, err
	}

	repl, err := db.connectReplication(ctx)
	if err != nil {
		return nil, err
	}
	timeline, err := checkLog(ctx, repl, row, start)
	if err == nil && timeline != row.timeline {
		_, err = conn.Exec(ctx, `UPDATE concord.site SET timeline = $1`, timeline)
	}
	if err == nil {
		err = db.startReplication(ctx, repl, start, serverFilter)
	}
	if err != nil {
		return nil, errors.Join(err, repl.Close(context.WithoutCancel(ctx)))
	}
	hijacked, err := repl.Hijack()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking over the replication connection: %w", err), repl.Close(context.WithoutCancel(ctx)))
	}
	sh := &shaper{
		tables:  db.opts.Tables,
		log:     db.log,
		connect: func(ctx context.Context) (*pgx.Conn, error) { return db.connect(ctx, roleCapture) },
		known:   tables,
		before:  map[uint32][]string{},
	}
	for oid, t := range tables.tables {
		sh.before[oid] = t.key
	}
	return newReader(db, hijacked, sh, start, probe), nil
}

// checkServer makes sure that the server can be captured at all.
func checkServer(ctx context.Context, q querier) (version int, err error) {
	var level string
	var standby bool
	err = q.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('wal_level'), pg_is_in_recovery()`).
		Scan(&version, &level, &standby)
	if err != nil {
		return 0, fmt.Errorf("reading the server's settings: %w", err)
	}
	switch {
	case version < minimumVersion:
		return 0, fmt.Errorf("%w: the server has version %d; PostgreSQL 15 or later is needed", change.ErrRefused, version/10000)
	case level != "logical":
		return 0, fmt.Errorf("%w: wal_level is %s; set it with ALTER SYSTEM SET wal_level = logical and restart the server", change.ErrRefused, level)
	case standby:
		return 0, errors.New("the server is a standby in recovery; the primary is needed")
	}
	return version, nil
}

// checkTables reads the tables that are replicated from here and refuses those
// that cannot be, and a publication that does not name exactly them.
func (db *DB) checkTables(ctx context.Context, q querier) (*catalog, error) {
	c, err := loadCatalog(ctx, q, db.opts.Tables)
	if err != nil {
		return nil, err
	}
	if err := refusal(c.allProblems()); err != nil {
		return nil, err
	}
	p, err := readPublication(ctx, q)
	if err != nil {
		return nil, err
	}
	return c, checkPublication(p, c)
}

// startReplication puts the walsender into streaming.
func (db *DB) startReplication(ctx context.Context, conn *pgconn.PgConn, from lsn, serverFilter bool) error {
	args := []string{"proto_version '1'", "publication_names " + literal(publicationName), "messages 'true'"}
	if serverFilter {
		args = append(args, "origin 'none'")
	}
	err := pglogrepl.StartReplication(ctx, conn, db.slot(), pglogrepl.LSN(from),
		pglogrepl.StartReplicationOptions{Mode: pglogrepl.LogicalReplication, PluginArgs: args})
	if err != nil {
		return startError(db.slot(), err)
	}
	return nil
}
