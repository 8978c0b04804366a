package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// What an operator asks is answered at MySQL and MariaDB as at PostgreSQL: doctor finds the
// site in order with no more rights than init --grants gives, conflicts are listed and
// shown with both rows, a change that the database refuses is parked, shown, and applied
// once what was in its way is gone.
func TestAnOperatorOfMySQLServers(t *testing.T) {
	for _, product := range testcluster.Products(t) {
		t.Run(string(product), func(t *testing.T) {
			p := newPair(t, pairOptions{products: engines{product, product}, role: "concord",
				mysql: mysqlSchema + "CREATE TABLE small (id int PRIMARY KEY, v varchar(40));\n", rules: mysqlRules})
			p.b.exec("ALTER TABLE small ADD CONSTRAINT never CHECK (v <> 'no')")
			for _, s := range p.sites {
				s.start()
			}
			p.quiesce(60 * time.Second)
			out, code := p.run(p.a, "doctor")
			if code != 0 && strings.Contains(out, "critical") {
				t.Errorf("doctor of two healthy sites: exit %d\n%s", code, out)
			}
			says := func(what string, want ...string) {
				t.Helper()
				for _, w := range want {
					if !strings.Contains(out, w) {
						t.Errorf("%s does not say %q:\n%s", what, w, out)
					}
				}
			}

			p.a.exec("INSERT INTO accounts (id, owner, balance) VALUES (1, 'first', 10)")
			p.quiesce(60 * time.Second)
			p.a.proxy.Cut()
			p.b.proxy.Cut()
			p.a.exec("UPDATE accounts SET owner = 'at mumbai' WHERE id = 1")
			p.b.exec("UPDATE accounts SET owner = 'at pune' WHERE id = 1")
			p.a.exec("INSERT INTO small VALUES (1, 'no'), (2, 'yes')")
			p.a.proxy.Heal()
			p.b.proxy.Heal()
			p.quiesce(60 * time.Second)

			out, _ = p.run(p.b, "conflicts", "list", "--site", "pune")
			says("conflicts list", "shop.accounts", "update_origin_differs", "last_write_wins")
			out, _ = p.run(p.b, "conflicts", "show", p.b.one("SELECT max(id) FROM concord.conflict"), "--site", "pune")
			says("conflicts show", "at mumbai", "at pune")
			out, code = p.run(p.b, "parked", "list", "--site", "pune")
			if code != 1 {
				t.Errorf("parked list: exit %d", code)
			}
			says("parked list", "shop.small", "rejected")
			id := p.b.one("SELECT id FROM concord.parked")
			out, _ = p.run(p.b, "parked", "show", id, "--site", "pune")
			says("parked show", "no")
			p.b.exec("ALTER TABLE small DROP CONSTRAINT never")
			out, code = p.run(p.b, "parked", "apply", id, "--site", "pune", "--yes")
			if code != 0 {
				t.Errorf("parked apply: exit %d\n%s", code, out)
			}
			p.quiesce(60 * time.Second)
			p.requireEqual()
			out, code = p.run(p.a, "status")
			if code != 0 {
				t.Errorf("status: exit %d\n%s", code, out)
			}
			says("status", "mumbai→pune", "streaming")
		})
	}
}
