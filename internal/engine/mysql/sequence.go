package mysql

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/engine/site"
)

// sequence is an object of MariaDB that gives a column its numbers by default.
type sequence struct {
	table  *tableFacts
	column string
	name   string // as written in SQL
	step   int64
	next   int64
}

// nextval is what the catalogue says of such a column: nextval(`shop`.`numbers`).
var nextval = regexp.MustCompile("(?i)^nextval\\((`(?:[^`]|``)+`\\.`(?:[^`]|``)+`)\\)$")

// objects reads the sequences of the catalogue's tables. One whose step is 0 follows the
// server's settings, as AUTO_INCREMENT does.
func (e *examination) objects(ctx context.Context) (all []sequence, err error) {
	if e.c.flavor != mariaDB {
		return nil, nil
	}
	err = e.c.rows(ctx, `SELECT table_schema, table_name, column_name, column_default FROM information_schema.columns
		WHERE column_default LIKE 'nextval(%' ORDER BY 1, 2, 3`, func(row []string) {
		t, name := e.catalog.tables[row[0]+"."+row[1]], nextval.FindStringSubmatch(row[3])
		if t != nil && name != nil {
			all = append(all, sequence{table: t, column: row[2], name: name[1]})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading the columns that take numbers from a sequence: %w", err)
	}
	step, _, err := e.settings.autoIncrement()
	if err != nil {
		return nil, err
	}
	for i := range all {
		s := &all[i]
		var bad error
		err := e.c.rows(ctx, "SELECT next_not_cached_value, increment FROM "+s.name, func(row []string) {
			var err error
			if s.next, err = strconv.ParseInt(row[0], 10, 64); err == nil {
				s.step, err = strconv.ParseInt(row[1], 10, 64)
			}
			bad = err
		})
		if err == nil {
			err = bad
		}
		if err != nil {
			return nil, fmt.Errorf("reading the sequence %s: %w", s.name, err)
		}
		if s.step == 0 {
			s.step = step
		}
	}
	return all, nil
}

// sequenceObjects finds sequences whose numbers two sites would both give out.
func (e *examination) sequenceObjects(ctx context.Context) error {
	if e.catalog == nil || e.settings == nil {
		return nil
	}
	all, err := e.objects(ctx)
	if err != nil {
		return err
	}
	sites, own := int64(len(e.db.opts.Peers)+1), int64(e.db.opts.Index)+1
	for _, s := range all {
		if sites == 1 || s.step%sites == 0 && mod(s.next, sites) == own%sites {
			continue
		}
		status, top := site.Warning, s.next
		if slices.Contains(s.table.key, s.column) {
			status = site.Critical
			// The sequence does not know of rows that came from other sites.
			err := e.c.rows(ctx, "SELECT COALESCE(MAX("+quote(s.column)+"), 0) FROM "+s.table.sql(), func(row []string) {
				if most, err := strconv.ParseInt(row[0], 10, 64); err == nil {
					top = max(top, most)
				}
			})
			if err != nil {
				return fmt.Errorf("reading the greatest %s of %s: %w", s.column, s.table.qualified(), err)
			}
		}
		problem := fmt.Sprintf("steps by %d: %d sites would give the same number to different rows", s.step, sites)
		if s.step%sites == 0 {
			// Right if no other site has this share; this site alone cannot tell.
			status, problem = site.Warning, fmt.Sprintf("gives the numbers that are %d modulo %d, which is another site's share by the order of the configuration", mod(s.next, sites), sites)
		}
		e.add("table "+s.table.qualified(), status,
			fmt.Sprintf("%s.%s takes its numbers from the sequence %s, which %s", s.table.qualified(), s.column, strings.ReplaceAll(s.name, "`", ""), problem),
			fmt.Sprintf("ALTER SEQUENCE %s INCREMENT BY %d RESTART WITH %d (at this site; each site has its own start)", s.name, sites, top-mod(top, sites)+sites+own))
	}
	return nil
}

// mod is the remainder that is never negative.
func mod(a, n int64) int64 { return (a%n + n) % n }
