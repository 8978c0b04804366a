package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// publicationState is what the publication of a database says.
type publicationState struct {
	complete bool // publishes insert, update, delete and truncate
	viaRoot  bool
	wide     bool     // FOR ALL TABLES or FOR TABLES IN SCHEMA
	tables   []string // schema.name
	narrowed []string // tables with a row filter or a column list
}

// readPublication returns the publication, or nil when there is none.
func readPublication(ctx context.Context, q querier) (*publicationState, error) {
	p := &publicationState{}
	var oid uint32
	err := q.QueryRow(ctx, `SELECT p.oid, p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot,
			p.puballtables OR EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid)
		FROM pg_publication p WHERE p.pubname = $1`, publicationName).Scan(&oid, &p.complete, &p.viaRoot, &p.wide)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the publication: %w", err)
	}
	rows, err := q.Query(ctx, `SELECT n.nspname || '.' || c.relname, r.prqual IS NOT NULL OR r.prattrs IS NOT NULL
		FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE r.prpubid = $1 ORDER BY 1`, oid)
	if err != nil {
		return nil, fmt.Errorf("reading the publication's tables: %w", err)
	}
	var name string
	var narrow bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &narrow}, func() error {
		p.tables = append(p.tables, name)
		if narrow {
			p.narrowed = append(p.narrowed, name)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading the publication's tables: %w", err)
	}
	return p, nil
}

// controlTables are published beside the application's tables.
var controlTables = []string{controlSchema + ".checkpoint", controlSchema + ".heartbeat"}

// published lists the names that the publication must have: the tables of c and
// the control tables, sorted.
func published(c *catalog) []string {
	names := slices.Clone(controlTables)
	for _, t := range c.tables {
		names = append(names, t.qualified())
	}
	slices.Sort(names)
	return names
}

// differences says how the publication departs from what it should be; empty when
// it is right.
func (p *publicationState) differences(want []string) []string {
	if p == nil {
		return []string{"it does not exist"}
	}
	var d []string
	if !p.complete {
		d = append(d, "it does not publish every kind of change")
	}
	if !p.viaRoot {
		d = append(d, "publish_via_partition_root is off")
	}
	if p.wide {
		d = append(d, "it is FOR ALL TABLES or FOR TABLES IN SCHEMA")
	}
	if len(p.narrowed) > 0 {
		d = append(d, "it has a row filter or a column list for "+strings.Join(p.narrowed, ", "))
	}
	if missing := without(want, p.tables); len(missing) > 0 {
		d = append(d, "it lacks "+strings.Join(missing, ", "))
	}
	if extra := without(p.tables, want); len(extra) > 0 {
		d = append(d, "it has "+strings.Join(extra, ", ")+", which the configuration does not replicate")
	}
	return d
}

// without returns the members of a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// checkPublication refuses a publication that is not exactly the tables of c.
func checkPublication(p *publicationState, c *catalog) error {
	if d := p.differences(published(c)); len(d) > 0 {
		return fmt.Errorf("%w: publication %s does not fit the configuration: %s; run concord init", change.ErrRefused, publicationName, strings.Join(d, "; "))
	}
	return nil
}

// ensurePublication creates or alters the publication to fit c. It reports what it
// did, "" for nothing. The role must own the tables.
func ensurePublication(ctx context.Context, conn *pgx.Conn, c *catalog) (string, error) {
	p, err := readPublication(ctx, conn)
	if err != nil {
		return "", err
	}
	d := p.differences(published(c))
	if len(d) == 0 {
		return "", nil
	}
	tables := []string{quote(controlSchema, "checkpoint"), quote(controlSchema, "heartbeat")}
	for _, t := range c.tables {
		tables = append(tables, quote(t.schema, t.name))
	}
	slices.Sort(tables)
	list := "ONLY " + strings.Join(tables, ", ONLY ")
	const with = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"
	if p != nil && p.wide {
		if _, err := conn.Exec(ctx, "DROP PUBLICATION "+quote(publicationName)); err != nil {
			return "", fmt.Errorf("dropping the publication: %w", err)
		}
		p = nil
	}
	if p == nil {
		if _, err := conn.Exec(ctx, fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (%s)", quote(publicationName), list, with)); err != nil {
			return "", fmt.Errorf("creating the publication: %w", err)
		}
		return fmt.Sprintf("created publication %s for %d tables", publicationName, len(c.tables)), nil
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", fmt.Errorf("altering the publication: %w", err)
	}
	for _, sql := range []string{
		fmt.Sprintf("ALTER PUBLICATION %s SET TABLE %s", quote(publicationName), list),
		fmt.Sprintf("ALTER PUBLICATION %s SET (%s)", quote(publicationName), with),
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return "", errors.Join(fmt.Errorf("altering the publication: %w", err), tx.Rollback(ctx))
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return "", fmt.Errorf("altering the publication: %w", err)
	}
	return fmt.Sprintf("altered publication %s: %s", publicationName, strings.Join(d, "; ")), nil
}
