package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/change"
)

// controlSQL creates the control schema; every statement may be run again.
//
//go:embed control.sql
var controlSQL string

// siteRow is the row of concord.site: who this database is.
type siteRow struct {
	cluster  string
	site     change.Site
	epoch    uint32
	slot     string
	start    lsn
	system   string
	timeline int
	version  int // of the control schema
}

// readSite returns the row, or nil when init has not run here.
func readSite(ctx context.Context, q querier) (*siteRow, error) {
	var s siteRow
	var start string
	err := q.QueryRow(ctx, `SELECT cluster, site, epoch, slot, start_position, system, timeline,
		coalesce((to_jsonb(s) ->> 'schema_version')::int, 1) FROM concord.site s`).
		Scan(&s.cluster, (*string)(&s.site), &s.epoch, &s.slot, &start, &s.system, &s.timeline, &s.version)
	var pe *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case errors.As(err, &pe) && (pe.Code == "42P01" || pe.Code == "3F000"): // no table, no schema
		return nil, nil
	case errors.As(err, &pe) && pe.Code == "42501":
		return nil, fmt.Errorf("%w: reading concord.site: %w; run concord init --grants and give the role what it prints", change.ErrRefused, err)
	case err != nil:
		return nil, fmt.Errorf("reading concord.site: %w", err)
	}
	s.start, err = parseLSN(start)
	return &s, err
}

// checkSite makes sure that the database is the site that the configuration says, and
// prepared for this version.
func (db *DB) checkSite(s *siteRow) error {
	if err := db.checkOwner(s); err != nil {
		return err
	}
	return checkSchema(s)
}

// checkOwner makes sure that the database is the site that the configuration says.
func (db *DB) checkOwner(s *siteRow) error {
	if s == nil {
		return fmt.Errorf("%w: this database is not prepared; run concord init --site %s", change.ErrRefused, db.opts.Site)
	}
	if s.cluster != db.opts.Cluster || s.site != db.opts.Site {
		return fmt.Errorf("%w: this database is site %s of cluster %s, not site %s of cluster %s; check the dsn",
			change.ErrRefused, s.site, s.cluster, db.opts.Site, db.opts.Cluster)
	}
	return nil
}

// Epoch is the generation of this database's log, as init recorded it.
// change.ErrRefused when init has not run or the database is another site.
func (db *DB) Epoch(ctx context.Context) (uint32, error) {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return 0, err
	}
	defer closeConn(ctx, conn)
	s, err := readSite(ctx, conn)
	if err == nil {
		err = db.checkSite(s)
	}
	if err != nil {
		return 0, err
	}
	return s.epoch, nil
}

// identify asks the walsender who the server is.
func identify(ctx context.Context, conn *pgconn.PgConn) (system string, timeline int, end lsn, err error) {
	id, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return "", 0, 0, fmt.Errorf("identifying the server: %w", err)
	}
	return id.SystemID, int(id.Timeline), lsn(id.XLogPos), nil
}

// checkLog makes sure that the log the server has now continues the one that was
// read up to from: the same database cluster, and no promotion or restore that
// dropped anything of it. It reports the timeline to remember.
func checkLog(ctx context.Context, conn *pgconn.PgConn, s *siteRow, from lsn) (timeline int, err error) {
	system, timeline, end, err := identify(ctx, conn)
	if err != nil {
		return 0, err
	}
	if system != s.system {
		return 0, fmt.Errorf("%w: this is another database cluster (system identifier %s, not %s): a restored dump or a copy; %s",
			change.ErrNeedsCopy, system, s.system, newEpochRemedy)
	}
	if from > end {
		return 0, fmt.Errorf("%w: the log ends at %s, before %s which was already published: the database was restored or a promotion lost its end; %s",
			change.ErrNeedsCopy, end, from, newEpochRemedy)
	}
	if timeline == s.timeline {
		return timeline, nil
	}
	history, err := pglogrepl.TimelineHistory(ctx, conn, int32(timeline))
	if err != nil {
		return 0, fmt.Errorf("reading the history of timeline %d: %w", timeline, err)
	}
	left, ok := switchPoint(string(history.Content), s.timeline)
	if !ok || from > left {
		return 0, fmt.Errorf("%w: the server is on timeline %d and left timeline %d at %s, but its log was published up to %s: a restore or a promotion lost what lies between; %s",
			change.ErrNeedsCopy, timeline, s.timeline, left, from, newEpochRemedy)
	}
	return timeline, nil
}

// switchPoint finds where a timeline was left in the history file of a later one:
// lines of "timeline position reason".
func switchPoint(history string, timeline int) (lsn, bool) {
	for line := range strings.Lines(history) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != strconv.Itoa(timeline) {
			continue
		}
		at, err := parseLSN(f[1])
		return at, err == nil
	}
	return 0, false
}
