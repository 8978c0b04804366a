package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// oddRules: one is neither symmetric nor associative, one never ends, one divides by
// zero.
const oddRules = `
def odd(older, newer, base):
    return newer.replace(v = "(" + older.v[-20:] + ">" + newer.v[-20:] + ")")

def endless(older, newer, base):
    n = 0
    for i in range(1000000000):
        n += i
    return newer

def divides(older, newer, base):
    return newer.replace(n = older.n // (newer.n - newer.n))
`

const resolverSchema = `
CREATE TABLE marker (id text PRIMARY KEY);
CREATE TABLE odd (id int PRIMARY KEY, v text NOT NULL, n int NOT NULL DEFAULT 0);
CREATE TABLE endless (LIKE odd INCLUDING ALL);
CREATE TABLE divides (LIKE odd INCLUDING ALL);
ALTER TABLE odd REPLICA IDENTITY FULL;
ALTER TABLE endless REPLICA IDENTITY FULL;
ALTER TABLE divides REPLICA IDENTITY FULL;
INSERT INTO odd SELECT i, 'start' FROM generate_series(1, 10) i;
INSERT INTO endless SELECT i, 'start' FROM generate_series(1, 10) i;
INSERT INTO divides SELECT i, 'start' FROM generate_series(1, 10) i;
`

const resolverTables = `
[[table]]
match    = "public.odd"
conflict = "odd.star:odd"

[[table]]
match    = "public.endless"
conflict = "odd.star:endless"

[[table]]
match    = "public.divides"
conflict = "odd.star:divides"

[[table]]
match = "public.*"
`

// A rule that is neither symmetric nor associative is called with the same rows in the
// same order at three sites, under load, with kills and cuts: all end equal. Rules that
// fail park the change at every site that has to decide, with the place in the file.
func TestOddResolversDecideAlike(t *testing.T) {
	m := newMesh(t, 3, pairOptions{versions: []int{15, 18}, schema: resolverSchema, rules: resolverTables, files: map[string]string{"odd.star": oddRules}})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var all []*writers
	for i, s := range m.sites {
		s.start()
		all = append(all, startWriters(t, s, 2, seed+uint64(i), func(ctx context.Context, conn *pgx.Conn, _ int, n int64, r *rand.Rand) error {
			_, err := conn.Exec(ctx, "UPDATE odd SET v = $1 WHERE id = $2", fmt.Sprintf("%s%d", s.name[:1], n), 1+r.IntN(10))
			pause(ctx, 2*time.Millisecond)
			return err
		}))
	}
	kills, cuts := m.trouble(rand.New(rand.NewPCG(seed, 99)), time.Duration(4*scale())*time.Second)
	var commits int64
	for _, w := range all {
		commits += w.end()
	}
	m.quiesce(120 * time.Second)
	m.requireEqual()
	decided := m.sites[0].one("SELECT count(*) FROM concord.conflict WHERE policy = 'odd.star:odd'")
	t.Logf("%d transactions, %d kills, %d cuts, %s conflicts at %s", commits, kills, cuts, decided, m.sites[0].name)
	if decided == "0" {
		t.Error("nothing was decided by the rule")
	}

	for _, s := range m.sites[:2] {
		s.proxy.Cut()
	}
	for i, s := range m.sites[:2] {
		s.exec(fmt.Sprintf("UPDATE endless SET v = '%s', n = %d WHERE id = 1; UPDATE divides SET v = '%s', n = %d WHERE id = 1", s.name, i, s.name, i))
	}
	for _, s := range m.sites[:2] {
		s.proxy.Heal()
	}
	m.quiesce(120 * time.Second)
	for table, want := range map[string]string{"endless": "odd.star:endless: ", "divides": "odd.star:divides: "} {
		for _, s := range m.sites {
			got := strings.Join(s.query("SELECT message FROM concord.parked WHERE table_name = 'public."+table+"'"), "; ")
			if !strings.Contains(got, want) || !strings.Contains(got, "odd.star:") {
				t.Errorf("%s: %s: parked: %q; want the rule named, with the place", s.name, table, got)
			}
			t.Logf("%s: %s", s.name, got)
		}
	}
	// Everything else goes on.
	m.sites[0].exec("UPDATE odd SET v = 'last' WHERE id = 1")
	m.quiesce(60 * time.Second)
	if got := m.sites[2].one("SELECT v FROM odd WHERE id = 1"); got != "last" {
		t.Errorf("the row is %q", got)
	}
}

// writeFiles writes the files that a configuration names beside it.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
