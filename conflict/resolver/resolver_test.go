package resolver

import (
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

var orders = (&change.Table{
	Schema: "public", Name: "orders", Key: []int{0}, Full: true,
	Columns: []change.Column{
		{Name: "id", Type: "bigint", Kind: change.KindInt},
		{Name: "status", Type: "order_status", Kind: change.KindEnum},
		{Name: "total", Type: "numeric(40,20)", Kind: change.KindDecimal},
		{Name: "paid", Type: "boolean", Kind: change.KindBool},
		{Name: "at", Type: "timestamp with time zone", Kind: change.KindTimestampTZ},
		{Name: "raw", Type: "bytea", Kind: change.KindBytes},
		{Name: "ratio", Type: "double precision", Kind: change.KindFloat},
	},
}).Seal()

func image(s string) []change.Value {
	if s == "" {
		return nil
	}
	var out []change.Value
	for f := range strings.SplitSeq(s, "|") {
		if f = strings.TrimSpace(f); f == "NULL" {
			out = append(out, change.NullValue())
		} else {
			out = append(out, change.TextValue(f))
		}
	}
	return out
}

func text(image []change.Value) string {
	var parts []string
	for _, v := range image {
		if v.State == change.Null {
			parts = append(parts, "NULL")
		} else {
			parts = append(parts, v.Text)
		}
	}
	return strings.Join(parts, " | ")
}

const (
	base  = "9007199254740993 | new | 0.10000000000000000001 | false | 2026-01-01 00:00:00+00 | ab | 0.1"
	older = "9007199254740993 | shipped | 0.10000000000000000002 | true | 2026-01-02 00:00:00+00 | ab | 0.1"
	newer = "9007199254740993 | paid | 0.20000000000000000001 | false | 2026-01-03 00:00:00.5+00 | NULL | 1e+300"
)

func TestWhatRulesReturn(t *testing.T) {
	for _, c := range []struct{ name, rule, base, want string }{
		{"one of the rows, every value as it was", "return older", base, older},
		{"a row with values replaced", `return newer.replace(status = older.status, paid = older["paid"] or newer.paid)`, base,
			"9007199254740993 | shipped | 0.20000000000000000001 | true | 2026-01-03 00:00:00.5+00 | NULL | 1e+300"},
		{"a dict is laid on older", `return {"status": newer.status}`, base, strings.Replace(older, "shipped", "paid", 1)},
		{"decimals are exact", "return older.replace(total = older.total + newer.total - base.total)", base, strings.Replace(older, "0.10000000000000000002", "0.20000000000000000002", 1)},
		{"decimals are rounded where it is said", `return older.replace(total = (older.total + 1).div(3, 4) + decimal("0.00005").round(4))`, base, strings.Replace(older, "0.10000000000000000002", "0.3667", 1)},
		{"integers have no limit", "return older if older.id + 1 == 9007199254740994 else newer", base, older},
		{"times are compared", "return newer if newer.at > older.at and older.at > base.at else older", base, newer},
		{"NULL is None", "return newer if newer.raw == None and older.raw == b\"ab\" else older", base, newer},
		{"without a row that both knew base is None", "return older if base == None else newer", "", older},
		{"None removes the row", "return None", base, ""},
		{"columns are iterated in order", `return older if [c for c in older][1] == "status" else newer`, base, older},
	} {
		s, err := Load("orders.star", []byte("def f(older, newer, base):\n    "+c.rule+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Resolver("f")
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Row(orders, image(older), image(newer), image(c.base))
		if err != nil || text(got) != c.want {
			t.Errorf("%s: %s, %v\nwant %s", c.name, text(got), err, c.want)
		}
	}
}

func TestRulesThatFailSayWhere(t *testing.T) {
	for _, c := range []struct{ name, rule, says string }{
		{"for ever", "for i in range(1000000000): pass", "orders.star:2:5: it does not come to an end: it was stopped after 1000000 steps"},
		{"division by zero", "return 1 // 0", "orders.star:2:14: floored division by zero"},
		{"decimal division by zero", "return older.total.div(0, 2)", "division by zero"},
		{"a division that may not be exact", "return older.total / 3", "say how many digits"},
		{"a float for a decimal", "return older.replace(total = 0.1)", "column total needs a decimal, not a float: 0.1"},
		{"a decimal and a float", "return older.total + 0.1", "does not mix with a float"},
		{"it fails by itself", `fail("no idea")`, "orders.star:2:9: fail: no idea"},
		{"a column that is not there", "return older.replace(stat = 1)", `has no column "stat"`},
		{"an attribute that is not there", "return older.stat", "has no .stat"},
		{"no row", "return 7", "a rule returns a row, a dict or None, not a int: 7"},
		{"another key", "return older.replace(id = 1)", "belongs to the key"},
		{"a text for a boolean", `return older.replace(paid = "yes")`, "column paid needs True or False"},
		{"what is frozen", "seen.append(1)", "frozen"},
	} {
		s, err := Load("orders.star", []byte("def f(older, newer, base):\n    "+c.rule+"\nseen = []\n"))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		r, err := s.Resolver("f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Row(orders, image(older), image(newer), image(base)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v\nwant …%s…", c.name, err, c.says)
		}
	}
}

func TestScriptsThatAreWrongSayWhere(t *testing.T) {
	for _, c := range []struct{ name, source, function, says string }{
		{"syntax", "def f(older, newer, base)\n    return older\n", "f", "orders.star:2:1: got newline, want ':'"},
		{"an unknown name", "def f(older, newer, base):\n    return oldest\n", "f", "orders.star:2:12: undefined: oldest"},
		{"recursion", "def f(older, newer, base):\n    return f(older, newer, base)\n", "f", "called recursively"},
		{"another file", `load("x.star", "y")` + "\n", "f", "load not implemented"},
		{"while", "def f(older, newer, base):\n    while True: pass\n", "f", "does not support while loops"},
		{"no such function", "def g(older, newer, base):\n    return older\n", "f", `there is no function "f"`},
		{"no function", "f = 1\n", "f", `"f" is a int, not a function`},
		{"two parameters", "def f(older, newer):\n    return older\n", "f", "orders.star:1:1: f must take three arguments"},
		{"for ever at the top", "x = [i for i in range(1000000000)]\n", "f", "does not come to an end"},
	} {
		s, err := Load("orders.star", []byte(c.source))
		if err == nil {
			var e error
			r, e := s.Resolver(c.function)
			if err = e; e == nil {
				_, err = r.Row(orders, image(older), image(newer), image(base))
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v\nwant …%s…", c.name, err, c.says)
		}
	}
}

func TestRulesForColumns(t *testing.T) {
	s, err := Load("o.star", []byte("def pick(older, newer, base):\n    return newer if base == None else older\ndef helper(x):\n    return x\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Rules(), " "); got != "pick" {
		t.Errorf("rules %q", got)
	}
	r, err := s.Resolver("pick")
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Column(orders, 2, change.TextValue("1.50"), change.TextValue("2"), change.Value{})
	if err != nil || v.Text != "2" {
		t.Errorf("%v, %v", v, err)
	}
	if v, err = r.Column(orders, 2, change.TextValue("1.50"), change.TextValue("2"), change.TextValue("1")); err != nil || v.Text != "1.50" {
		t.Errorf("%v, %v", v, err)
	}
	if r.Name != "o.star:pick" || r.Hash == 0 {
		t.Errorf("%q %d", r.Name, r.Hash)
	}
}
