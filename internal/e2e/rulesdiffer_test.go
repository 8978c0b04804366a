package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

const orderRules = `
RANK = ["new", "paid", "packed", "shipped"]

def status(older, newer, base):
    return newer if RANK.index(newer.status) > RANK.index(older.status) else older
`

// Two sites whose script for one table differs: conflicts on that table wait at both,
// with the reason; status, metrics and doctor name peer and table; all other tables go
// on. With one script again what is parked is settled by a person, and both end equal.
func TestConflictsWaitWhileRulesDiffer(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{15, 18}, files: map[string]string{"orders.star": orderRules},
		schema: `CREATE TABLE marker (id text PRIMARY KEY);
			CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL);
			ALTER TABLE orders REPLICA IDENTITY FULL;
			CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL);
			INSERT INTO orders VALUES (1, 'new'), (2, 'new');
			INSERT INTO items VALUES (1, 0);`,
		rules: "[[table]]\nmatch = \"public.orders\"\nconflict = \"orders.star:status\"\n\n[[table]]\nmatch = \"public.*\"\n"})
	good, err := os.ReadFile(p.b.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, "", map[string]string{p.b.config: strings.ReplaceAll(string(good), "orders.star:status", "older.star:status"),
		strings.TrimSuffix(p.b.config, "pune.toml") + "older.star": strings.Replace(orderRules, ">", "<", 1)})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)

	conflict := func(id, a, b string) {
		p.a.proxy.Cut()
		p.b.proxy.Cut()
		p.a.exec("UPDATE orders SET status = '" + a + "' WHERE id = " + id + "; UPDATE items SET n = n + 1")
		p.b.exec("UPDATE orders SET status = '" + b + "' WHERE id = " + id + "; UPDATE items SET n = n + 10")
		p.a.proxy.Heal()
		p.b.proxy.Heal()
		p.quiesce(60 * time.Second)
	}
	conflict("1", "shipped", "paid")
	for _, s := range []*site{p.a, p.b} {
		if got := s.one("SELECT string_agg(table_name || ' ' || reason, ',') FROM concord.parked"); got != "public.orders rules" {
			t.Errorf("%s has parked %q", s.name, got)
		}
		message := s.one("SELECT string_agg(message, ',') FROM concord.parked")
		for _, says := range []string{"rules differ: ", "public.orders", "orders.star:status (orders.star ", "older.star:status (older.star ", "concord parked apply"} {
			if !strings.Contains(message, says) {
				t.Errorf("%s: the reason does not say %q: %s", s.name, says, message)
			}
		}
		t.Logf("%s: %s", s.name, message)
	}
	if got := p.b.one("SELECT n FROM items"); got != p.a.one("SELECT n FROM items") {
		t.Error("a table with one rule at both sites is not decided alike")
	}
	var status struct {
		Links []struct {
			From        string
			RulesDiffer []struct{ Tables, Here, There string } `json:"rules_differ"`
		}
		Next string
	}
	body, _, err := p.a.get("/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	if d := status.Links[0].RulesDiffer; status.Links[0].From != "pune" || len(d) != 1 || d[0].Tables != "public.orders" || !strings.Contains(status.Next, "rules differ from pune's") {
		t.Errorf("the status does not name peer and table: %s", body)
	}
	if body, _, err := p.b.get("/metrics"); err != nil || !strings.Contains(body, `concord_rules_differ{from="mumbai"} 1`) {
		t.Errorf("the metric is not there (%v)", err)
	}
	if out, code := p.run(p.a, "status"); code != 1 || !strings.Contains(out, "rules differ, public.orders: orders.star:status") {
		t.Errorf("status: exit %d\n%s", code, out)
	}
	out, code := p.run(p.a, "doctor")
	if code != 1 || !strings.Contains(out, "rules differ: conflicts on public.orders are decided at mumbai by orders.star:status") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}

	p.b.kill()
	writeFiles(t, "", map[string]string{p.b.config: string(good)})
	p.b.start()
	eventually(t, 30*time.Second, "mumbai has heard of pune's new rules", func() bool {
		body, _, err := p.a.get("/v1/status")
		return err == nil && !strings.Contains(body, "rules_differ")
	})
	conflict("2", "packed", "paid")
	for _, s := range []*site{p.a, p.b} {
		if got := s.one("SELECT status FROM orders WHERE id = 2"); got != "packed" {
			t.Errorf("%s: with one rule again the order is %q", s.name, got)
		}
	}
	p.settle()
	p.requireEqual()
	t.Logf("after settling: %s", p.a.one("SELECT status FROM orders WHERE id = 1"))
	if out, code := p.run(p.a, "doctor"); strings.Contains(out, "rules differ") || !strings.Contains(out, "rules, the same at mumbai, pune") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}
}

// settle applies what is parked, oldest first, at the first site that has any, until
// nothing is parked anywhere.
func (p *mesh) settle() {
	p.t.Helper()
	for range 20 {
		p.quiesce(60 * time.Second)
		settled := false
		for _, s := range p.sites {
			if ids := s.query("SELECT id FROM concord.parked ORDER BY id LIMIT 1"); len(ids) == 1 && !settled {
				p.mustRun(s, "parked", "apply", ids[0], "--site", s.name, "--yes")
				settled = true
			}
		}
		if !settled {
			return
		}
	}
	p.t.Fatal("there is no end of parked changes")
}
