package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// Check is one thing that doctor looked at.
type Check = site.Check

// Doctor examines everything that Concord needs of this server and returns what it
// found, good and bad, each fault with its exact remedy. It changes nothing. A server
// that cannot be reached is one critical check. It connects as the agents do, so rights
// are the agents' rights, and tables that they have no right to are not seen.
func (db *DB) Doctor(ctx context.Context) []Check {
	c, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return []Check{{Name: "connection", Status: site.Critical, Detail: err.Error(), Remedy: "start the server, or correct the dsn of site " + string(db.opts.Site)}}
	}
	defer c.close()
	e := &examination{db: db, c: c}
	for _, part := range []struct {
		name string
		look func(context.Context) error
	}{
		{"settings", e.readSettings},
		{"log", e.logSettings},
		{"log filters", e.logFilters},
		{"safety", e.safety},
		{"clock", e.clock},
		{"site", e.site},
		{"tables", e.tables},
		{"rights", e.rights},
		{"triggers", e.triggers},
		{"cascades", e.cascades},
		{"unique keys", e.uniqueKeys},
		{"collations of keys", e.keyCollations},
		{"foreign keys", e.lostParents},
		{"sequences", e.sequences},
		{"sequences", e.sequenceObjects},
	} {
		if err := part.look(ctx); err != nil {
			e.add(part.name, site.Critical, err.Error(), "see the server's log")
		}
	}
	return e.checks
}

// examination gathers checks.
type examination struct {
	db       *DB
	c        *conn
	settings *serverSettings
	catalog  *catalog
	checks   []Check
}

func (e *examination) add(name string, s site.Status, detail, remedy string) {
	e.checks = append(e.checks, Check{Name: name, Status: s, Detail: detail, Remedy: remedy})
}

// fine adds a check that is in order.
func (e *examination) fine(name, format string, args ...any) {
	e.add(name, site.OK, fmt.Sprintf(format, args...), "")
}

func (e *examination) initRemedy() string { return "concord init --site " + string(e.db.opts.Site) }

// clock compares the server's clock with this process's.
func (e *examination) clock(ctx context.Context) error {
	offset, uncertainty, err := clockOffset(ctx, e.c)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("the server's clock is %s ahead of this host's, give or take %s", offset.Round(time.Millisecond), uncertainty.Round(time.Millisecond))
	if offset.Abs() > time.Second+uncertainty {
		e.add("clock", site.Warning, text, "run a time service (chrony, ntpd) on both; a wrong clock costs fairness in conflicts, never correctness")
		return nil
	}
	e.fine("clock", "%s", text)
	return nil
}

// clockOffset measures how far the server's clock is ahead, by the quickest of a few
// exchanges.
func clockOffset(ctx context.Context, c *conn) (offset, uncertainty time.Duration, err error) {
	uncertainty = time.Hour
	for range 5 {
		var text string
		before := time.Now()
		if err := c.rows(ctx, "SELECT SYSDATE(6)", func(row []string) { text = row[0] }); err != nil {
			return 0, 0, fmt.Errorf("reading the server's clock: %w", err)
		}
		trip := time.Since(before)
		there, err := time.Parse(timeFormat, text)
		if err != nil {
			return 0, 0, fmt.Errorf("reading the server's clock: %w", err)
		}
		if trip/2 < uncertainty {
			uncertainty = trip / 2
			offset = there.Sub(before.Add(trip / 2))
		}
	}
	return offset, uncertainty, nil
}

// site looks at what init recorded.
func (e *examination) site(ctx context.Context) error {
	row, err := readSite(ctx, e.c)
	if err == nil {
		err = e.db.checkSite(row)
	}
	switch {
	case err == nil:
		e.fine("site", "%s of cluster %s, epoch %d", row.site, row.cluster, row.epoch)
	case errors.Is(err, change.ErrRefused):
		e.add("site", site.Critical, err.Error(), e.initRemedy())
	default:
		return err
	}
	return nil
}

// tables looks at the key and kind of each table.
func (e *examination) tables(ctx context.Context) (err error) {
	if e.catalog, err = loadCatalog(ctx, e.c, e.db.opts.Tables); err != nil {
		return err
	}
	problems := e.catalog.allProblems()
	for _, p := range problems {
		e.add("table "+p.table, site.Critical, p.table+" "+p.detail, p.remedy)
	}
	if len(e.catalog.tables) == 0 {
		e.add("tables", site.Warning, "no table that the role has a right to matches the configuration",
			"check the [[table]] rules with concord config explain TABLE; where the role has no rights yet: "+e.initRemedy()+" --role USER")
	} else if len(problems) == 0 {
		e.fine("tables", "%d tables, each with a usable key", len(e.catalog.tables))
	}
	return e.partitions(ctx)
}

// partitions finds tables of which a part can be emptied in a way that is not logged as
// rows.
func (e *examination) partitions(ctx context.Context) error {
	err := e.c.rows(ctx, `SELECT DISTINCT table_schema, table_name FROM information_schema.partitions WHERE partition_name IS NOT NULL ORDER BY 1, 2`, func(row []string) {
		if t := e.catalog.tables[row[0]+"."+row[1]]; t != nil {
			e.add("table "+t.qualified(), site.Warning, t.qualified()+" is partitioned: TRUNCATE, DROP and EXCHANGE of a single partition are not replicated",
				"use DELETE for a single partition, or do the same at every site")
		}
	})
	if err != nil {
		return fmt.Errorf("reading the partitions: %w", err)
	}
	return nil
}

// sorted lists the tables by name; none when the catalogue could not be read.
func (e *examination) sorted() []*tableFacts {
	if e.catalog == nil {
		return nil
	}
	var ts []*tableFacts
	for _, t := range e.catalog.tables {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b *tableFacts) int { return strings.Compare(a.qualified(), b.qualified()) })
	return ts
}
