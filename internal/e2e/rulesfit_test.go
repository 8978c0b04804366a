package e2e

import (
	"strings"
	"testing"
)

// doctor compares the rules with the tables as they are, and names each remedy; when it
// has been done it has no complaint. A rule in Starlark is tried with the columns, the
// enumerations and the NOT NULLs of its table.
func TestDoctorSaysWhereRulesAndTablesDoNotFit(t *testing.T) {
	p := newPair(t, pairOptions{
		versions: []int{15, 18},
		schema: `CREATE TYPE state AS ENUM ('new', 'paid', 'shipped');
			CREATE TABLE stock (id int PRIMARY KEY, on_hand int NOT NULL, price money, weight real, tags text, spot point);
			CREATE TABLE orders (id uuid PRIMARY KEY, state state NOT NULL, note varchar(40));
			CREATE TABLE words (id int PRIMARY KEY, v text)`,
		files: map[string]string{"orders.star": `
RANK = ["new", "paid", "shipped"]
def further(older, newer, base):
    if RANK.index(older.state) > RANK.index(newer.state):
        return newer.replace(state = older.state)
    return newer
def careless(older, newer, base):
    return newer.replace(state = None)
def longer(older, newer, base):
    return older if len(older) > len(newer) else newer
`},
		rules: `[[table]]
match = "public.stock"
columns = { on_hnad = "sum", price = "sum", weight = "sum", tags = "union", spot = "max", id = "sum" }
[[table]]
match = "public.orders"
conflict = "orders.star:further"
[[table]]
match = "public.words"
conflict = "first_write_wins"
`,
	})
	out, code := p.run(p.a, "doctor")
	if code != 1 {
		t.Errorf("doctor: exit %d", code)
	}
	for _, says := range []string{
		`no table that matches public.stock has the column "on_hnad"; did you mean "on_hand"?`,
		"sum counts integers and numeric, not money", "real is rounded", "union is for arrays and JSON arrays, not text", "those of point have no order",
		"column id has the rule sum, but it belongs to the key",
		"public.stock is settled by columns", `at mumbai: ALTER TABLE "public"."stock" REPLICA IDENTITY FULL`,
		"public.orders is settled by orders.star:further", `at pune: ALTER TABLE "public"."orders" REPLICA IDENTITY FULL`,
	} {
		if !strings.Contains(out, says) {
			t.Errorf("doctor does not say %q", says)
		}
	}
	if strings.Contains(out, "public.words is settled") {
		t.Error("doctor asks for more than first_write_wins needs")
	}
	if t.Failed() {
		t.Log(out)
	}
	for _, s := range p.sites {
		s.exec(`ALTER TABLE orders REPLICA IDENTITY FULL`)
	}
	if out, _ := p.run(p.a, "doctor"); strings.Contains(out, "public.orders is settled") {
		t.Errorf("doctor after the remedy:\n%s", out)
	}

	rules := strings.TrimSuffix(p.a.config, "mumbai.toml") + "orders.star"
	if out, code := p.run(p.a, "resolver", "test", rules+":further", "--table", "public.orders", "--seeds", "100"); code != 0 || !strings.Contains(out, "for rows of public.orders") {
		t.Errorf("resolver test: exit %d\n%s", code, out)
	}
	if out, code := p.run(p.a, "resolver", "test", rules+":careless", "--table", "public.orders", "--site", "pune"); code != 1 || !strings.Contains(out, "column state is NOT NULL") {
		t.Errorf("resolver test of a rule that the table refuses: exit %d\n%s", code, out)
	}
	if out, code := p.run(p.a, "resolver", "test", rules+":longer", "--table", "public.orders", "--column", "note"); code != 1 || !strings.Contains(out, "NULL") {
		t.Errorf("resolver test of a rule that forgets NULL: exit %d\n%s", code, out)
	}
	if out, code := p.run(p.a, "resolver", "test", rules+":longer", "--table", "public.order"); code != 2 || !strings.Contains(out, "is not among the 3 tables") {
		t.Errorf("resolver test of no table: exit %d\n%s", code, out)
	}
}
