package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/engine/site"
)

// The parts of doctor that look at what makes conflicts harder than they need be.

// oldImages finds tables whose large values may be missing from the log.
func (e *examination) oldImages(context.Context) error {
	var partial []string
	for _, t := range e.sorted() {
		if t.identity == 'f' || t.relkind == 'f' {
			continue
		}
		var large []string
		for _, c := range t.columns {
			if mayBeLarge(t, &c) {
				large = append(large, c.name)
			}
		}
		if len(large) > 0 {
			partial = append(partial, t.qualified())
			e.add("table "+t.qualified(), site.Warning,
				fmt.Sprintf("%s: an update that leaves a large value alone does not log it (%s); where such an update wins a conflict, the row has to be read again", t.qualified(), strings.Join(large, ", ")),
				"ALTER TABLE "+quote(t.schema, t.name)+" REPLICA IDENTITY FULL")
		}
	}
	if len(partial) == 0 {
		e.fine("replica identity", "every update logs all that conflicts need")
	}
	return nil
}

// mayBeLarge reports whether an update may leave a value of the column out of the log.
func mayBeLarge(t *tableFacts, c *columnFacts) bool {
	return c.toastable && !c.generated && !slices.Contains(t.key, c.name) && couldBeLarge(c.typeText)
}

// couldBeLarge reports whether values of the type, as format_type names it, can grow
// beyond the 2 kB from which they are stored out of line.
func couldBeLarge(typ string) bool {
	var n int
	for _, limited := range []string{"character varying(%d)", "character(%d)", "bit varying(%d)", "bit(%d)"} {
		if _, err := fmt.Sscanf(typ, limited, &n); err == nil {
			return n > 500 // four bytes a character at most
		}
	}
	return !strings.HasPrefix(typ, "numeric") && typ != "inet" && typ != "cidr"
}

// uniqueKeys finds unique constraints beside the replication key: two sites may
// each give the same value to different rows.
func (e *examination) uniqueKeys(ctx context.Context) error {
	found := false
	for _, t := range e.sorted() {
		rows, err := e.q.Query(ctx, `SELECT ic.relname::text, i.indimmediate, i.indisexclusion,
				array(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts-1]) u(num) JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = u.num ORDER BY 1)
			FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
			WHERE i.indrelid = $1 AND (i.indisunique OR i.indisexclusion) ORDER BY 1`, t.oid)
		if err != nil {
			return fmt.Errorf("reading the indexes of %s: %w", t.qualified(), err)
		}
		key := slices.Sorted(slices.Values(t.key))
		var name string
		var immediate, exclusion bool
		var columns []string
		if _, err := pgx.ForEachRow(rows, []any{&name, &immediate, &exclusion, &columns}, func() error {
			if immediate && slices.Equal(columns, key) {
				return nil
			}
			found = true
			kind := "unique"
			outcome := "only one row can keep it, by default the one written later, and the other row is deleted"
			switch {
			case exclusion:
				kind, outcome = "exclusion", "the later change is parked"
			case !immediate:
				kind = "deferrable unique"
			}
			e.add("table "+t.qualified(), site.Warning,
				fmt.Sprintf("%s has the %s index %s beside its key: where two sites give one value to two rows at the same time, %s", t.qualified(), kind, name, outcome),
				"let the value contain the site, or make it unique per site; watch concord conflicts list")
			return nil
		}); err != nil {
			return fmt.Errorf("reading the indexes of %s: %w", t.qualified(), err)
		}
	}
	if !found {
		e.fine("unique keys", "no table has unique keys beside its replication key")
	}
	return nil
}

// sequences finds numbers that two sites would both give out.
func (e *examination) sequences(ctx context.Context) error {
	sites := int64(len(e.db.opts.Peers) + 1)
	// The first site takes 1, 1+n, 1+2n …, the second 2, 2+n …
	own := mod(int64(e.db.opts.Index)+1, sites)
	checked, bad := 0, 0
	for _, t := range e.sorted() {
		seqs, err := e.sequencesOf(ctx, t)
		if err != nil {
			return err
		}
		for _, s := range seqs {
			checked++
			if sites == 1 || s.Increment%sites == 0 && mod(s.Last, sites) == own {
				continue
			}
			bad++
			top := s.Last
			status := site.Warning
			if slices.Contains(t.key, s.Column) {
				status = site.Critical
				// The sequence does not know of rows that came from other sites. The key's
				// index finds the greatest number at once.
				var most int64
				sql := fmt.Sprintf(`SELECT coalesce(max(%s), 0)::bigint FROM %s`, quote(s.Column), quote(t.schema, t.name))
				if err := e.q.QueryRow(ctx, sql).Scan(&most); err == nil {
					top = max(top, most)
				}
			}
			next := top - mod(top, sites) + sites + own
			problem := fmt.Sprintf("steps by %d: %d sites would give the same number to different rows", s.Increment, sites)
			if s.Increment%sites == 0 {
				// Right if no other site has this share; this site alone cannot tell.
				status, problem = site.Warning, fmt.Sprintf("gives the numbers that are %d modulo %d, which is another site's share by the order of the configuration", mod(s.Last, sites), sites)
			}
			e.add("table "+t.qualified(), status,
				fmt.Sprintf("%s.%s takes its numbers from a sequence that %s", t.qualified(), s.Column, problem),
				fmt.Sprintf("ALTER SEQUENCE %s INCREMENT BY %d RESTART WITH %d (at this site; each site has its own start)", s.Name, sites, next))
		}
	}
	if bad == 0 {
		e.fine("sequences", "%d sequences of replicated tables, none overlaps another site's", checked)
	}
	return nil
}

// mod is the remainder that is never negative.
func mod(a, n int64) int64 { return (a%n + n) % n }
