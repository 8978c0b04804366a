package mysql

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/change"
)

// controlSQL creates the control tables; every statement may be run again.
//
//go:embed control.sql
var controlSQL string

// newEpochRemedy ends the errors of a log that does not continue.
const newEpochRemedy = "to begin a new epoch run concord init --new-epoch, then bring a copy of this site's data to the other sites"

// siteRow is the row of concord.site: who this database is.
type siteRow struct {
	cluster string
	site    change.Site
	epoch   uint32
	start   change.Position
	system  string
	version int // of the control schema
}

// readSite returns the row, or nil when init has not run here or not come to its end.
func readSite(ctx context.Context, c *conn) (*siteRow, error) {
	r, err := c.query(ctx, "SELECT * FROM concord.site")
	switch code := errorNumber(err); {
	case code == gomysql.ER_NO_SUCH_TABLE, code == gomysql.ER_BAD_DB_ERROR:
		return nil, nil
	case code == gomysql.ER_TABLEACCESS_DENIED_ERROR, code == gomysql.ER_DBACCESS_DENIED_ERROR:
		// Without a right to it, what is not there looks the same as what is.
		return nil, fmt.Errorf("%w: reading concord.site: %w; run concord init --site SITE, or give the role what concord init --grants prints", change.ErrRefused, err)
	case err != nil:
		return nil, fmt.Errorf("reading concord.site: %w", err)
	}
	defer r.Close()
	if r.RowNumber() == 0 {
		return nil, nil
	}
	// By name: a table of another version has other columns.
	value := func(name string) (s string) {
		if i, known := r.FieldNames[name]; known {
			f := &fields{result: r, column: i}
			s = f.text()
			err = errors.Join(err, f.err)
		}
		return s
	}
	s := siteRow{
		cluster: value("cluster"), site: change.Site(value("site")), start: change.Position(value("start_position")),
		system: value("system"), version: 1,
	}
	epoch, version := value("epoch"), value("schema_version")
	if _, scan := fmt.Sscan(epoch, &s.epoch); scan != nil {
		err = errors.Join(err, scan)
	}
	if version != "" {
		if _, scan := fmt.Sscan(version, &s.version); scan != nil {
			err = errors.Join(err, scan)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading concord.site: %w", err)
	}
	return &s, nil
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
func (db *DB) Epoch(ctx context.Context) (epoch uint32, err error) {
	err = db.admin(ctx, "reading the epoch", func(c *conn) error {
		s, err := readSite(ctx, c)
		if err == nil {
			err = db.checkSite(s)
		}
		if err == nil {
			epoch = s.epoch
		}
		return err
	})
	return epoch, err
}

// admin runs f, which asks Concord's own tables or the server, on a session of its own.
// What a person must put right first is change.ErrRefused.
func (db *DB) admin(ctx context.Context, doing string, f func(*conn) error) error {
	c, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer c.close()
	switch err = f(c); {
	case err == nil:
		return nil
	case errors.Is(err, change.ErrRefused):
		return fmt.Errorf("%s: %w", doing, err)
	}
	switch errorNumber(err) {
	case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR: // never prepared, or by a version before
		return fmt.Errorf("%s: %w: %w; run concord init --site %s", doing, change.ErrRefused, err, db.opts.Site)
	case gomysql.ER_DBACCESS_DENIED_ERROR, gomysql.ER_TABLEACCESS_DENIED_ERROR, gomysql.ER_COLUMNACCESS_DENIED_ERROR, gomysql.ER_SPECIFIC_ACCESS_DENIED_ERROR:
		return fmt.Errorf("%s: %w: %w; run concord init --grants and give the account what it prints", doing, change.ErrRefused, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// statements are those of a script in which each ends with a semicolon at the end of a
// line, without its comments.
func statements(script string) (all []string) {
	var b strings.Builder
	for line := range strings.Lines(script) {
		code, _, _ := strings.Cut(line, "-- ")
		code = strings.TrimSpace(code)
		if code == "" {
			continue
		}
		b.WriteString(code)
		if strings.HasSuffix(code, ";") {
			all = append(all, strings.TrimSuffix(b.String(), ";"))
			b.Reset()
			continue
		}
		b.WriteByte('\n')
	}
	return all
}
