package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const recordsSchema = `
CREATE TABLE marker (id text PRIMARY KEY);
CREATE TABLE latest (id int PRIMARY KEY, v text NOT NULL, n int NOT NULL DEFAULT 0);
CREATE TABLE stock (LIKE latest INCLUDING ALL);
CREATE TABLE ruled (LIKE latest INCLUDING ALL);
CREATE TABLE people (id int PRIMARY KEY, v text UNIQUE, n int NOT NULL DEFAULT 0);
ALTER TABLE stock REPLICA IDENTITY FULL;
ALTER TABLE ruled REPLICA IDENTITY FULL;
ALTER TABLE people REPLICA IDENTITY FULL;
INSERT INTO latest SELECT i, 'start' FROM generate_series(1, 12) i;
INSERT INTO stock SELECT * FROM latest;
INSERT INTO ruled SELECT * FROM latest;
INSERT INTO people SELECT i, 'p' || i FROM generate_series(1, 12) i;
`

const recordsRules = `
[[table]]
match   = "public.stock"
columns = { n = "sum", "*" = "last_write_wins" }

[[table]]
match    = "public.ruled"
conflict = "odd.star:odd"

[[table]]
match = "public.*"
`

// records are the conflicts of a site with all that must read the same everywhere:
// everything but when and under which number it was recorded.
func (s *site) records() []string {
	s.t.Helper()
	columns := s.one(`SELECT string_agg(format('%I', column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns
		WHERE table_schema = 'concord' AND table_name = 'conflict' AND column_name NOT IN ('id', 'at')`)
	return s.query("SELECT r::text FROM (SELECT " + columns + " FROM concord.conflict) r ORDER BY 1")
}

// writeAnything writes one to three rows of the four tables.
func writeAnything(ctx context.Context, conn *pgx.Conn, who string, n int64, r *rand.Rand) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.Background())
	for range 1 + r.IntN(3) {
		table := []string{"latest", "stock", "ruled", "people"}[r.IntN(4)]
		id := 1 + r.IntN(12)
		v := fmt.Sprintf("%s%d", who, n)
		if table == "people" {
			v = fmt.Sprintf("p%d", 1+r.IntN(24))
			var taken bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM people WHERE v = $1)", v).Scan(&taken); err != nil || taken {
				return err
			}
		}
		sql := "UPDATE " + table + " SET v = $2, n = n + $3 WHERE id = $1"
		switch dice := r.IntN(10); {
		case dice == 0:
			_, err = tx.Exec(ctx, "DELETE FROM "+table+" WHERE id = $1", id)
		case dice < 3:
			_, err = tx.Exec(ctx, "INSERT INTO "+table+" VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET v = excluded.v", id, v, r.IntN(9))
		default:
			_, err = tx.Exec(ctx, sql, id, v, r.IntN(9)-4)
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// A conflict is recorded the same at each site: kind, rows, base, result, versions,
// transaction ids and commit times, column by column, after a load with cuts.
func TestConflictsAreRecordedTheSameAtEachSite(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d sites", n), func(t *testing.T) {
			m := newMesh(t, n, pairOptions{versions: []int{15, 18}, schema: recordsSchema, rules: recordsRules, files: map[string]string{"odd.star": oddRules}})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var all []*writers
			for i, s := range m.sites {
				s.start()
				all = append(all, startWriters(t, s, 2, seed+uint64(i), func(ctx context.Context, conn *pgx.Conn, _ int, n int64, r *rand.Rand) error {
					defer pause(ctx, 10*time.Millisecond)
					return writeAnything(ctx, conn, s.name[:1], n, r)
				}))
			}
			kills, cuts := m.trouble(rand.New(rand.NewPCG(seed, 99)), time.Duration(4*scale())*time.Second)
			var commits int64
			for _, w := range all {
				commits += w.end()
			}
			m.quiesce(240 * time.Second)
			m.requireEqual()
			first := m.sites[0].records()
			for _, s := range m.sites[1:] {
				// What met a write between fence and commit is recorded in passing.
				end := time.Now().Add(10 * time.Second)
				other := s.records()
				for !slices.Equal(first, other) && time.Now().Before(end) {
					poll()
					first, other = m.sites[0].records(), s.records()
				}
				if d := diff(t, "concord.conflict", s.name, first, other); d > 0 {
					t.Errorf("%d of %d and %d records differ", d, len(first), len(other))
				}
			}
			a := m.sites[0]
			t.Logf("%d transactions, %d kills, %d cuts, %d conflicts: %s", commits, kills, cuts, len(first),
				strings.Join(a.query("SELECT table_name, kind, resolution, count(*) FROM concord.conflict GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"), ", "))
			for _, s := range m.sites {
				for what, condition := range map[string]string{
					"no transaction id or commit time": "older_xid IS NULL AND older_hlc > 0 OR newer_xid IS NULL OR newer_commit IS NULL",
					"no base":                          "table_name IN ('public.stock', 'public.ruled') AND NOT base_known",
					"no image":                         "older_row IS NULL AND older_op <> 'delete' AND older_hlc > 0 OR newer_row IS NULL AND newer_op <> 'delete'",
				} {
					if wrong := s.query("SELECT * FROM concord.conflict WHERE " + condition + " LIMIT 3"); len(wrong) > 0 {
						t.Errorf("%s: %s: %v", s.name, what, wrong)
					}
				}
			}
			for _, table := range []string{"latest", "stock", "ruled", "people"} {
				if a.one("SELECT count(*) FROM concord.conflict WHERE table_name = 'public."+table+"'") == "0" {
					t.Errorf("no conflict on %s", table)
				}
			}
			if out := m.mustRun(a, "conflicts", "list", "--site", a.name, "--limit", "3", "--table", "public.stock"); !strings.Contains(out, "--after ") || !strings.Contains(out, "concord conflicts show ") {
				t.Errorf("the list does not say how to go on:\n%s", out)
			}
			id := a.one("SELECT max(id) FROM concord.conflict WHERE table_name = 'public.stock' AND older_op = 'update' AND newer_op = 'update'")
			out := m.mustRun(a, "conflicts", "show", id, "--site", a.name)
			t.Log(out)
			if !strings.Contains(out, "base") || !strings.Contains(out, "transaction id ") {
				t.Errorf("a conflict is shown without its base or ids:\n%s", out)
			}
		})
	}
}
