package ruletest

import (
	"errors"
	"strings"
	"testing"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/conflict/resolver"
	"github.com/concord-db/concord/internal/change"
)

const further = `
RANK = ["new", "paid", "shipped"]
def f(older, newer, base):
    if RANK.index(older.status) > RANK.index(newer.status):
        return newer.replace(status = older.status)
    return newer
test_f = [
    {"older": {"id": 1, "status": "shipped", "n": 1}, "newer": {"id": 1, "status": "paid", "n": 2}, "base": {"id": 1, "status": "new", "n": 1}, "want": {"status": "shipped", "n": 2}},
    {"name": "two inserts", "older": {"id": 1, "status": "new"}, "newer": {"id": 1, "status": "paid"}, "want": {"status": "paid"}},
]
`

func rule(t *testing.T, source string, o Options) *Rule {
	t.Helper()
	s, err := resolver.Load("f.star", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(s, "f", o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func histories(t *testing.T, r *Rule, n uint64) Report {
	t.Helper()
	report, err := r.Histories(t.Context(), 1, n, func(uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestRulesThatHold(t *testing.T) {
	for name, source := range map[string]string{
		"of rows":                    further,
		"neither symmetric nor such": "def f(older, newer, base):\n    return older.replace(s = older.s + newer.s)\ntest_values = {\"id\": [1], \"s\": [\"a\", \"b\"]}\n",
		"that removes the row":       "def f(older, newer, base):\n    return None\ntest_values = {\"id\": [1], \"n\": [1, None]}\n",
		"of a column":                "def f(older, newer, base):\n    return max(older, newer)\ntest_f = [{\"older\": 3, \"newer\": 2, \"base\": 1, \"want\": 3}]\n",
		"of decimals": "def f(older, newer, base):\n    return older + newer - (base if base != None else 0)\n" +
			"test_f = [{\"older\": decimal(\"1.50\"), \"newer\": decimal(\"2\"), \"base\": decimal(\"1\"), \"want\": decimal(\"2.5\")}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := rule(t, source, Options{})
			if wrong := r.CheckCases(); len(wrong) > 0 {
				t.Errorf("%+v", wrong)
			}
			if report := histories(t, r, 150); report.Broken != nil || report.Orders < 150*10 {
				t.Errorf("%+v", report)
			}
		})
	}
}

func TestCasesThatAreWrongAreShown(t *testing.T) {
	r := rule(t, strings.Replace(further, `"want": {"status": "paid"}}`, `"want": {"status": "new"}},
    {"older": {"status": "lost"}, "newer": {"status": "new"}, "fails": "lost is not in"},
    {"older": {"status": "new"}, "newer": {"status": "new"}, "fails": "why"}`, 1), Options{})
	wrong := r.CheckCases()
	if len(wrong) != 3 {
		t.Fatalf("%+v", wrong)
	}
	if w := wrong[0]; w.Name != "test_f[1] (two inserts)" || w.Base != "no row" || w.Want != `status="new"` || w.Got != `id=1 status="paid" n=NULL` {
		t.Errorf("%+v", w)
	}
	if w := wrong[1]; !strings.Contains(w.Got, "it fails: f.star:4:18: index: value not in list") {
		t.Errorf("%+v", w)
	}
	if w := wrong[2]; w.Want != "it fails: …why…" {
		t.Errorf("%+v", w)
	}
}

// The smallest history has the one value that matters and two writes.
func TestTheSmallestHistoryIsTold(t *testing.T) {
	for _, c := range []struct {
		name, source, what, detail string
		lines                      []string
	}{
		{
			"a value that the rule does not know", further + "test_values = {\"status\": [\"lost\"]}\n",
			Fails, "index: value not in list",
			[]string{`a1 insert    id=1 status="shipped" n=1`, `b1 insert    id=1 status="lost" n=1, not knowing a1`},
		},
		{
			"a base that is taken for granted",
			"def f(older, newer, base):\n    return newer.replace(n = older.n + newer.n - base.n)\ntest_values = {\"id\": [1], \"n\": [1]}\n",
			Fails, "None", []string{"a1 insert    id=1 n=1", "b1 insert    id=1 n=1, not knowing a1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := histories(t, rule(t, c.source, Options{}), 500).Broken
			if broken == nil || broken.What != c.what || !strings.Contains(broken.Detail, c.detail) || strings.Join(broken.Lines, "\n") != strings.Join(c.lines, "\n") {
				t.Errorf("%+v", broken)
			}
		})
	}
}

func TestWhatTheTableRefusesIsFound(t *testing.T) {
	table := (&change.Table{Schema: "public", Name: "t", Full: true, Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "uuid", Kind: change.KindUUID}, {Name: "mood", Type: "public.mood", Kind: change.KindEnum}, {Name: "n", Type: "smallint", Kind: change.KindInt},
	}}).Seal()
	columns := func() []Column {
		return []Column{{NotNull: true}, {NotNull: true, Labels: []string{"glad", "sad"}}, {NotNull: true}}
	}
	for returns, says := range map[string]string{
		`mood = "angry"`:    `"angry" is no value of public.mood`,
		`mood = None`:       "column mood is NOT NULL",
		`n = newer.n+40000`: "is out of range of smallint",
	} {
		r := rule(t, "def f(older, newer, base):\n    return newer.replace("+returns+")\n", Options{Table: table, Columns: columns()})
		broken := histories(t, r, 100).Broken
		if broken == nil || broken.What != Refused || !strings.Contains(broken.Detail, says) || len(broken.Lines) > 3 {
			t.Errorf("%s: %+v", returns, broken)
		}
	}
}

// What no rule can do by itself a broken fold does: the examination notices.
func TestAFoldThatIsBrokenIsNoticed(t *testing.T) {
	rules := conflict.DefaultRules()
	for name, fold := range map[string]func(conflict.Policy, conflict.State, []*conflict.Write, int) conflict.State{
		"the last to arrive wins": func(p conflict.Policy, base conflict.State, writes []*conflict.Write, arrived int) conflict.State {
			if arrived >= 0 {
				return conflict.State{Image: writes[arrived].Image}
			}
			return conflict.Fold(p, base, writes)
		},
		"the last write is left out": func(p conflict.Policy, base conflict.State, writes []*conflict.Write, _ int) conflict.State {
			return conflict.Fold(p, base, writes[:len(writes)-1])
		},
	} {
		r := rule(t, further, Options{})
		r.rules = rules
		r.rules.Fold = fold
		if broken := histories(t, r, 300).Broken; broken == nil || broken.What == Fails {
			t.Errorf("%s: %+v", name, broken)
		}
	}
}

func TestWhatCannotBeExaminedSaysWhy(t *testing.T) {
	const f = "def f(older, newer, base):\n    return newer\n"
	for _, c := range []struct{ name, source, says string }{
		{"no columns", f, ErrNoColumns.Error()},
		{"no list", f + "test_f = 3\n", "test_f must be a list of cases"},
		{"another word", f + `test_f = [{"old": 1}]`, `a case has older, newer, base, want, fails and name, not "old"`},
		{"nothing wanted", f + `test_f = [{"older": 1, "newer": 2}]`, "say either what you want or with which words it fails"},
		{"rows and values", f + `test_f = [{"older": 1, "newer": {"a": 1}, "want": 1}]`, "rows are dicts"},
		{"a value of another type", f + `test_f = [{"older": {"a": 1}, "newer": {"a": "x"}, "want": None}]`, "column a needs an integer, not a string"},
	} {
		s, err := resolver.Load("f.star", []byte(c.source))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(s, "f", Options{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s, err := resolver.Load("f.star", []byte(f))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(s, "f", Options{}); !errors.Is(err, ErrNoColumns) {
		t.Error(err)
	}
}
