package config

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTheFirstMatchDecides(t *testing.T) {
	cfg, err := Load("testdata/good/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		table   string
		index   int // 0: no rule
		match   string
		exclude bool
		policy  string
		from    string
	}{
		{table: "public.audit_2026", index: 1, match: "public.audit_*", exclude: true},
		{table: "app.schema_migrations", index: 1, match: "*.schema_migrations", exclude: true},
		{table: "public.sessions", index: 2, match: "public.sessions", policy: "delete_wins"},
		{table: "public.customers_pn", index: 3, match: "public.customers_pn", policy: "update_wins+prefer:pune"},
		{table: "public.price_list", index: 4, match: "public.price_list", policy: "last_write_wins", from: "mumbai"},
		{table: "public.orders", index: 5, match: "public.*", policy: "last_write_wins"},
		{table: "public.orders.old", index: 5, match: "public.*", policy: "last_write_wins"}, // a name with a dot in it
		{table: "Public.orders"},
		{table: "app.orders"},
		{table: "orders"},
		{table: "public."},
		{table: ""},
		{table: "concord.schema_migrations"},
		{table: "pg_catalog.schema_migrations"},
	} {
		rule, ok := cfg.Rule(tt.table)
		if ok != (tt.index > 0) || rule.Index != tt.index || rule.Match != tt.match || rule.Excluded != tt.exclude {
			t.Errorf("%q: got %+v, %v", tt.table, rule, ok)
			continue
		}
		if ok && !rule.Excluded && rule.Policy.String() != tt.policy || string(rule.From) != tt.from {
			t.Errorf("%q: policy %s from %q, want %s from %q", tt.table, rule.Policy, rule.From, tt.policy, tt.from)
		}
		if want := ok && !tt.exclude && tt.from != "pune"; cfg.Replicated(tt.table, "mumbai") != want {
			t.Errorf("%q: writes at mumbai are replicated: %v", tt.table, !want)
		}
		if want := ok && !tt.exclude && tt.from != "mumbai"; cfg.Replicated(tt.table, "pune") != want {
			t.Errorf("%q: writes at pune are replicated: %v", tt.table, !want)
		}
	}
	rule, _ := cfg.Rule("public.audit_2026")
	if rule.Line != 33 || len(rule.Patterns) != 2 {
		t.Errorf("the first rule is %+v", rule)
	}
}

func TestARuleWithoutPolicyHasTheDefault(t *testing.T) {
	cfg := parse(t, sites+rule("a.*")+rule("b.*", `conflict = "park"`)+"[defaults]\nconflict = \"prefer:pune\"\n")
	a, _ := cfg.Rule("a.x")
	b, _ := cfg.Rule("b.x")
	if a.Policy.String() != "prefer:pune" || !a.Inherited || b.Policy.String() != "park" || b.Inherited {
		t.Errorf("got %+v and %+v", a, b)
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern  string
		yes, not string // tables, space separated
	}{
		{"public.orders", "public.orders", "public.Orders public.orders2 xpublic.orders public.order"},
		{"public.*", "public.a public.a.b public.", "publicx.a app.a"},
		{"*.*", "a.b public.x.y", ""},
		{"*.t", "a.t", "a.tt a.b.t"},
		{"p*.o?", "p.ox public.oy", "p.o p.oxx q.ox"},
		{"a.[a-c]*[^0-9]", "a.ab a.b_x", "a.d a.a1 a.a"},
		{`a.\*`, "a.*", "a.x"},
		{`a.[\]x]`, "a.] a.x", "a.y"},
		{"a.[a-]", "a.a a.-", "a.b"},
		{"a.é?", "a.éü", "a.é a.éüü"},
		{"a.*b*c*", "a.bc a.xbxcx a.bbcc", "a.cb a.b a.c"},
	} {
		p, f := parsePattern(tt.pattern)
		if f != nil {
			t.Errorf("%q: %s", tt.pattern, f.message)
			continue
		}
		try := func(tables string, want bool) {
			for name := range strings.FieldsSeq(tables) {
				schema, table, _ := strings.Cut(name, ".")
				if p.matches(schema, table) != want {
					t.Errorf("%q matches %q: %v", tt.pattern, name, !want)
				}
			}
		}
		try(tt.yes, true)
		try(tt.not, false)
	}
}

var (
	globs = rapid.StringMatching(`([ab*?]|\[a\]|\[\^a\]|\[ab\]|\\\*){1,6}`)
	names = rapid.StringMatching(`[abc*]{0,7}`)
)

// A glob matches what the regular expression for it matches.
func TestGlobsAreRegularExpressions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		glob, name := globs.Draw(t, "glob"), names.Draw(t, "name")
		p, f := parsePattern("s." + glob)
		if f != nil {
			t.Fatalf("%q: %s", glob, f.message)
		}
		re := regexp.MustCompile("^(?:" + strings.NewReplacer(`\*`, `\*`, "*", ".*", "?", ".").Replace(glob) + ")$")
		if got, want := p.matches("s", name), re.MatchString(name); got != want {
			t.Fatalf("%q matches %q: %v, want %v", glob, name, got, want)
		}
	})
}

// A warning that a pattern never decides is never false.
func TestCoverMeansAllAreMatched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wide, narrow := globs.Draw(t, "wide"), globs.Draw(t, "narrow")
		p, f := parsePattern("s." + wide)
		q, g := parsePattern("s." + narrow)
		if f != nil || g != nil || !p.covers(q) {
			return
		}
		for _, name := range rapid.SliceOfN(names, 20, 20).Draw(t, "names") {
			if q.matches("s", name) && !p.matches("s", name) {
				t.Fatalf("%q is said to cover %q, but does not match %q", wide, narrow, name)
			}
		}
	})
}

func TestCover(t *testing.T) {
	for _, tt := range []struct {
		wide, narrow string
		want         bool
	}{
		{"*.*", "public.a", true}, {"public.*", "public.*", true}, {"public.a*", "public.ab*", true},
		{"public.?", "public.[a-z]", true}, {"public.[^0-9]*", "public.a1", true}, {"*.t", "public.t", true},
		{"public.a*", "public.*", false}, {"public.*", "*.*", false}, {"public.?", "public.*", false},
		{"public.[a-c]", "public.?", false}, {"public.a", "public.b", false},
	} {
		p, _ := parsePattern(tt.wide)
		q, _ := parsePattern(tt.narrow)
		if got := p.covers(q); got != tt.want {
			t.Errorf("%q covers %q: %v", tt.wide, tt.narrow, got)
		}
	}
}
