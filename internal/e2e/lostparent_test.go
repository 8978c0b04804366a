package e2e

import (
	"strings"
	"testing"
	"time"
)

// A parent is deleted at one site while a child of it is written at the other: the child
// stands without it at both sites alike. doctor explains the foreign key, finds such rows
// with an example and the statement that lists them, and is content when the parent is
// there again.
func TestALostParentIsTheSameEverywhereAndDoctorFindsIt(t *testing.T) {
	p := newPair(t, pairOptions{
		versions: []int{15, 18},
		schema: `CREATE TABLE marker (id text PRIMARY KEY);
			CREATE TABLE orders (id int PRIMARY KEY, v text);
			CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, v text);
			INSERT INTO orders VALUES (1, 'kept'), (2, 'deleted')`,
	})
	for _, s := range p.sites {
		s.start()
	}
	p.quiesce(60 * time.Second)
	out, _ := p.run(p.a, "doctor")
	for _, says := range []string{"public.lines (order_id) refers to public.orders, ON DELETE CASCADE", "no row of a replicated table stands without its parent (1 foreign keys)"} {
		if !strings.Contains(out, says) {
			t.Errorf("doctor does not say %q:\n%s", says, out)
		}
	}

	p.a.proxy.Cut()
	p.b.proxy.Cut()
	p.a.exec("DELETE FROM orders WHERE id = 2")
	p.b.exec("INSERT INTO lines VALUES (7, 2, 'of a lost order'), (8, 1, 'of the other'), (9, NULL, 'of none')")
	p.a.proxy.Heal()
	p.b.proxy.Heal()
	p.quiesce(60 * time.Second)
	p.requireEqual()
	if n := p.a.one("SELECT count(*) FROM lines"); n != "3" {
		t.Errorf("%s lines", n)
	}
	out, _ = p.run(p.a, "doctor")
	if n := strings.Count(out, "rows of public.lines stand without their public.orders, for example (7,2,\"of a lost order\")"); n != 2 || !strings.Contains(out, `NOT EXISTS (SELECT FROM "public"."orders" p`) {
		t.Errorf("doctor names the lost parent %d times, want once for each site:\n%s", n, out)
	}

	p.b.exec("INSERT INTO orders VALUES (2, 'again')")
	p.quiesce(60 * time.Second)
	p.requireEqual()
	if out, _ := p.run(p.a, "doctor"); strings.Contains(out, "stand without their") {
		t.Errorf("doctor after the remedy:\n%s", out)
	}
}
