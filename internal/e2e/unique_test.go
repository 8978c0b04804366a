package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const uniqueSchema = `
CREATE TABLE marker (id text PRIMARY KEY);
CREATE TABLE person (id int PRIMARY KEY, email text UNIQUE, note text);
CREATE TABLE first (id int PRIMARY KEY, email text UNIQUE, note text);
ALTER TABLE first REPLICA IDENTITY FULL;
CREATE TABLE mixed (id int PRIMARY KEY, email text);
CREATE UNIQUE INDEX ON mixed (lower(email));
CREATE TABLE living (id int PRIMARY KEY, email text, deleted_at timestamptz);
CREATE UNIQUE INDEX ON living (email) WHERE deleted_at IS NULL;
CREATE TABLE single (id int PRIMARY KEY, email text, UNIQUE NULLS NOT DISTINCT (email));
CREATE TABLE late (id int PRIMARY KEY, email text, UNIQUE (email) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE odd (id int PRIMARY KEY, email text);
CREATE UNIQUE INDEX odd_half ON odd (substr(email, 1, 3));
`

const uniqueRules = `
[[table]]
match    = "public.first"
conflict = "first_write_wins"

[[table]]
match = "public.*"
`

// Two sites take one value of a unique key while the line is cut: both end with the
// same rows, one of which has the value, and a record of what met.
func TestATakenValueIsSettledAlike(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: uniqueSchema, rules: uniqueRules})
	p.a.start()
	p.b.start()
	p.a.exec(`
		INSERT INTO person VALUES (1, 'old1', ''), (2, 'old2', ''), (3, 'old3', '');
		INSERT INTO late VALUES (1, 'one'), (2, 'two'), (3, 'three')`)
	p.quiesce(60 * time.Second)
	cases := []struct{ name, first, second, table, want string }{
		{"inserted at both", "INSERT INTO person VALUES (10, 'ada', 'a')", "INSERT INTO person VALUES (11, 'ada', 'b')",
			"person WHERE id IN (10, 11)", "11 ada b"},
		{"the first stands", "INSERT INTO first VALUES (10, 'ada', 'a')", "INSERT INTO first VALUES (11, 'ada', 'b')",
			"first WHERE id IN (10, 11)", "10 ada a"},
		{"updated to what is taken", "UPDATE person SET email = 'eve' WHERE id = 1", "UPDATE person SET email = 'eve' WHERE id = 2",
			"person WHERE id IN (1, 2)", "2 eve "},
		// 20 takes x; at the other site 21 takes x and then y, which 22 took here: 22 is
		// displaced, and 20 keeps what was given up.
		{"a value given up meanwhile", "INSERT INTO person VALUES (20, 'x', 'a'), (22, 'y', 'a')",
			"INSERT INTO person VALUES (21, 'x', 'b'); UPDATE person SET email = 'y' WHERE id = 21; DELETE FROM person WHERE id = 3",
			"person WHERE id IN (3, 20, 21, 22)", "21 y b"},
		{"lower case", "INSERT INTO mixed VALUES (1, 'Ada@x')", "INSERT INTO mixed VALUES (2, 'ada@X')", "mixed", "2 ada@X"},
		{"only the living", "INSERT INTO living VALUES (1, 'ada', NULL), (2, 'bob', now())", "INSERT INTO living VALUES (3, 'ada', NULL), (4, 'bob', NULL)",
			"living", "2 bob; 3 ada; 4 bob"},
		{"one null", "INSERT INTO single VALUES (1, NULL)", "INSERT INTO single VALUES (2, NULL)", "single", "2"},
		{"at the end of the transaction", "BEGIN; UPDATE late SET email = 'two' WHERE id = 1; UPDATE late SET email = 'one' WHERE id = 2; COMMIT",
			"UPDATE late SET email = 'four' WHERE id = 3", "late", "1 two; 2 one; 3 four"},
	}
	p.a.proxy.Cut()
	p.b.proxy.Cut()
	for _, c := range cases {
		for sql := range strings.SplitSeq(c.first, "; ") {
			if strings.HasPrefix(c.first, "BEGIN") {
				p.a.exec(c.first)
				break
			}
			p.a.exec(sql)
		}
		for sql := range strings.SplitSeq(c.second, "; ") {
			p.b.exec(sql)
		}
	}
	p.a.proxy.Heal()
	p.b.proxy.Heal()
	p.quiesce(60 * time.Second)
	p.requireEqual()
	for _, c := range cases {
		columns := "concat_ws(' ', id, email, note)"
		if !strings.HasPrefix(c.table, "person") && !strings.HasPrefix(c.table, "first") {
			columns = "concat_ws(' ', id, email)"
		}
		if got := strings.Join(p.a.query("SELECT "+columns+" FROM "+c.table+" ORDER BY id"), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	q := "SELECT table_name, kind, policy, resolution, older_origin, older_row, newer_origin, newer_row, result_row FROM concord.conflict WHERE kind = 'multiple_unique_conflicts' ORDER BY table_name, older_row::text, newer_row::text"
	a, b := p.a.query(q), p.b.query(q)
	if n := diff(t, "concord.conflict", p.b.name, a, b); n > 0 || len(a) < 7 {
		t.Errorf("%d records of taken values at mumbai, %d at pune, %d differ", len(a), len(b), n)
	}
	for _, s := range []*site{p.a, p.b} {
		if n := s.one("SELECT count(*) FROM concord.parked"); n != "0" {
			t.Errorf("%s: %s changes are parked: %v", s.name, n, s.query("SELECT message FROM concord.parked"))
		}
	}
}

// A unique index whose values cannot be told from a row is the database's to judge: what
// it refuses is parked, with the index named, and nothing is lost.
func TestAnOddIndexParksWhatItRefuses(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: uniqueSchema, rules: uniqueRules})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	if out, _ := p.run(p.a, "doctor"); !strings.Contains(out, "odd_half") {
		t.Errorf("doctor does not name the index:\n%s", out)
	}
	p.a.proxy.Cut()
	p.b.proxy.Cut()
	p.a.exec("INSERT INTO odd VALUES (1, 'abc1')")
	p.b.exec("INSERT INTO odd VALUES (2, 'abc2')")
	p.a.proxy.Heal()
	p.b.proxy.Heal()
	p.quiesce(60 * time.Second)
	for _, s := range []*site{p.a, p.b} {
		if got := strings.Join(s.query("SELECT reason || ' ' || message FROM concord.parked"), "; "); !strings.Contains(got, "odd_half") {
			t.Errorf("%s: parked: %q; want the change that odd_half refuses", s.name, got)
		}
	}
}

// Names are taken, given up and swapped at all sites at once, with agents killed and
// lines cut: all sites end alike, and nothing is parked.
func TestTakenNamesUnderLoad(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d sites", n), func(t *testing.T) {
			m := newMesh(t, n, pairOptions{versions: []int{15, 18}, schema: uniqueSchema, rules: uniqueRules})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var all []*writers
			for i, s := range m.sites {
				s.start()
				all = append(all, startWriters(t, s, 2, seed+uint64(i), nameTaker))
			}
			kills, cuts := m.trouble(rand.New(rand.NewPCG(seed, 99)), time.Duration(3*scale())*time.Second)
			var commits int64
			for _, w := range all {
				commits += w.end()
			}
			m.quiesce(240 * time.Second)
			m.requireEqual()
			for _, s := range m.sites {
				if parked := s.one("SELECT count(*) FROM concord.parked"); parked != "0" {
					t.Errorf("%s: %s changes are parked: %v", s.name, parked, s.query("SELECT DISTINCT message FROM concord.parked LIMIT 5"))
				}
				// The index itself must be sound: a scan of the table finds no name twice.
				twice := s.query("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; SELECT email, count(*) FROM late WHERE email IS NOT NULL GROUP BY 1 HAVING count(*) > 1")
				if len(twice) > 0 {
					t.Errorf("%s: names that two rows have: %v", s.name, twice)
				}
			}
			t.Logf("%d transactions, %d kills, %d cuts, %s conflicts at %s, %s of them of unique keys", commits, kills, cuts,
				m.sites[0].one("SELECT count(*) FROM concord.conflict"), m.sites[0].name,
				m.sites[0].one("SELECT count(*) FROM concord.conflict WHERE kind = 'multiple_unique_conflicts'"))
		})
	}
}

// nameTaker changes a person or two; a name that is taken here already is left alone.
func nameTaker(ctx context.Context, conn *pgx.Conn, _ int, n int64, r *rand.Rand) error {
	table := []string{"person", "first", "late"}[r.IntN(3)]
	id, other, name := 100+r.IntN(40), 100+r.IntN(40), fmt.Sprintf("name%d", r.IntN(30))
	note := ""
	if table != "late" {
		note = ", note = 'n'"
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		switch r.IntN(6) {
		case 0:
			_, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE id = $1", id)
			return err
		case 1: // swap
			if table != "late" {
				return nil
			}
			_, err := tx.Exec(ctx, `UPDATE late a SET email = b.email FROM late b WHERE a.id IN ($1, $2) AND b.id IN ($1, $2) AND a.id <> b.id`, id, other)
			return err
		case 2: // given up by one, taken by another
			if _, err := tx.Exec(ctx, "UPDATE "+table+" SET email = NULL"+note+" WHERE email = $1", name); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "UPDATE "+table+" SET email = $1 WHERE id = $2", name, id)
			return err
		default:
			_, err := tx.Exec(ctx, "INSERT INTO "+table+" (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = excluded.email", id, name)
			return err
		}
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "23505" || pg.Code == "40P01") {
		return nil // taken here, or two writers in a circle
	}
	return err
}
