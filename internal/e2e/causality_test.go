package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const rowSchema = `
CREATE TABLE marker (id varchar(60) PRIMARY KEY);
CREATE TABLE item (id int PRIMARY KEY, v text NOT NULL);
`

// Both sides of one row are updated while the link is cut, in both orders of
// reconnecting and with one site's clock ten minutes ahead: both end equal, and a
// write made after seeing the other side's value survives, whatever the clocks.
func TestCausalityBeatsClocks(t *testing.T) {
	for _, c := range []struct {
		on     servers
		clocks []string
	}{
		{postgres15, []string{"", ""}}, {postgres15, []string{"+10m", ""}}, {postgres15, []string{"", "+10m"}},
		{mariaDB, []string{"", "+10m"}}, {mySQL, []string{"+10m", ""}},
	} {
		t.Run(fmt.Sprintf("%s clocks %q %q", c.on, c.clocks[0], c.clocks[1]), func(t *testing.T) {
			rules := defaultRules
			if turn(c.on.products, 0) != "" {
				rules = mysqlRules
			}
			p := newPair(t, pairOptions{versions: c.on.versions, products: c.on.products, faketime: c.clocks, schema: rowSchema, mysql: rowSchema, rules: rules})
			p.a.exec("INSERT INTO item VALUES (1, 'start'), (2, 'start')")
			p.a.start()
			p.b.start()
			p.quiesce(60 * time.Second)
			for i, order := range [][2]*site{{p.a, p.b}, {p.b, p.a}} {
				p.a.proxy.Cut()
				p.b.proxy.Cut()
				p.a.exec(fmt.Sprintf("UPDATE item SET v = 'mumbai %d' WHERE id = 1", i))
				p.b.exec(fmt.Sprintf("UPDATE item SET v = 'pune %d' WHERE id = 1", i))
				order[0].proxy.Heal()
				<-time.After(500 * time.Millisecond)
				order[1].proxy.Heal()
				p.quiesce(60 * time.Second)
				p.requireEqual()
				// Each site in turn overwrites what it sees of the other.
				p.a.exec("UPDATE item SET v = 'a' WHERE id = 2")
				for n, s := range []*site{p.b, p.a, p.b, p.a} {
					want := fmt.Sprintf("%s saw it, round %d.%d", s.name, i, n)
					p.quiesce(60 * time.Second)
					s.exec("UPDATE item SET v = '" + want + "' WHERE id = 2")
					p.quiesce(60 * time.Second)
					p.requireEqual()
					if got := p.a.one("SELECT v FROM item WHERE id = 2"); got != want {
						t.Errorf("the row is %q, the last write that saw everything was %q", got, want)
					}
				}
			}
			for _, s := range []*site{p.a, p.b} {
				if n := s.one("SELECT count(*) FROM concord.conflict"); n != "2" {
					t.Errorf("%s recorded %s conflicts, want 2", s.name, n)
				}
			}
		})
	}
}

// Delete here, update there; delete here, insert there; insert both; update both:
// each with each policy. Equal, and one record at each side with the same result.
func TestPoliciesSettleAlike(t *testing.T) {
	policies := []string{"last_write_wins", "first_write_wins", "prefer:mumbai", "prefer:pune", "delete_wins", "update_wins", "delete_wins+prefer:pune", "update_wins+first_write_wins"}
	var schema, rules strings.Builder
	schema.WriteString("CREATE TABLE marker (id text PRIMARY KEY);\n")
	for i, policy := range policies {
		fmt.Fprintf(&schema, "CREATE TABLE t%d (id int PRIMARY KEY, v text NOT NULL); INSERT INTO t%d SELECT i, 'start' FROM generate_series(1, 10) i;\n", i, i)
		fmt.Fprintf(&rules, "[[table]]\nmatch = \"public.t%d\"\nconflict = %q\n\n", i, policy)
	}
	rules.WriteString(defaultRules)
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: schema.String(), rules: rules.String()})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	p.a.proxy.Cut()
	p.b.proxy.Cut()
	cases := []struct{ id, a, b string }{
		{"1", "UPDATE %s SET v = 'mumbai' WHERE id = 1", "UPDATE %s SET v = 'pune' WHERE id = 1"},
		{"2", "DELETE FROM %s WHERE id = 2", "UPDATE %s SET v = 'pune' WHERE id = 2"},
		{"3", "UPDATE %s SET v = 'mumbai' WHERE id = 3", "DELETE FROM %s WHERE id = 3"},
		{"4", "DELETE FROM %s WHERE id = 4", "DELETE FROM %s WHERE id = 4"},
		{"20", "INSERT INTO %s VALUES (20, 'mumbai')", "INSERT INTO %s VALUES (20, 'pune')"},
		{"5", "DELETE FROM %s WHERE id = 5", "INSERT INTO %s VALUES (5, 'pune') ON CONFLICT (id) DO UPDATE SET v = excluded.v"},
	}
	for i := range policies {
		table := fmt.Sprintf("t%d", i)
		for n, c := range cases {
			first, second := p.a, p.b
			sqlFirst, sqlSecond := c.a, c.b
			if n%2 == 1 { // the other site writes first
				first, second, sqlFirst, sqlSecond = p.b, p.a, c.b, c.a
			}
			first.exec(fmt.Sprintf(sqlFirst, table))
			second.exec(fmt.Sprintf(sqlSecond, table))
		}
	}
	p.a.proxy.Heal()
	p.b.proxy.Heal()
	p.quiesce(60 * time.Second)
	p.requireEqual()
	q := "SELECT table_name, key, kind, policy, resolution, older_origin, older_op, older_row, newer_origin, newer_op, newer_row, result_row FROM concord.conflict ORDER BY table_name, key::text"
	a, b := p.a.query(q), p.b.query(q)
	if n := diff(t, "concord.conflict", p.b.name, a, b); n > 0 {
		t.Errorf("%d conflict records differ between the sites", n)
	}
	if want := len(policies) * len(cases); len(a) != want || len(b) != want {
		t.Errorf("%d and %d conflicts recorded, want %d at each side", len(a), len(b), want)
	}
	for i, policy := range policies {
		t.Logf("%-32s %s", policy, strings.Join(p.a.query(fmt.Sprintf("SELECT id || '=' || v FROM t%d WHERE id IN (1,2,3,4,5,20) ORDER BY id", i)), " "))
	}
}
