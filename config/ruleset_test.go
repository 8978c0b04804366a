package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const keepOlder = "def keep(older, newer, base):\n    return older\n"

// rulesOf loads a file with these [[table]] sections beside a script.
func rulesOf(t *testing.T, script string, rules ...string) *Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "keep.star", script, 0o600)
	write(t, dir, "rules/keep.star", script, 0o600)
	data := sites
	for _, r := range rules {
		data += "[[table]]\n" + r + "\n"
	}
	path := write(t, dir, "concord.toml", data, 0o600)
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestRulesHaveOneFingerprintWhereSitesDecideAlike(t *testing.T) {
	const changed = keepOlder + "\nx = 1\n"
	for _, c := range []struct {
		name        string
		one, other  string
		script      string // of the other
		same        bool
		here, there string
	}{
		{name: "the same words", one: `match = "public.a"`, other: `match = "public.a"`, same: true},
		{name: "the default written out", one: `match = "public.a"`, other: "match = \"public.a\"\nconflict = \"last_write_wins\"", same: true},
		{name: "another pattern", one: `match = "public.*"`, other: `match = ["public.b", "public.a"]`, same: true},
		{name: "a policy in another order", one: "match = \"public.a\"\nconflict = \"delete_wins+prefer:pune\"", other: "match = \"public.a\"\nconflict = \"prefer:pune+delete_wins\"", same: true},
		{name: "columns in another order, one written out", one: "match = \"public.a\"\ncolumns = { x = \"sum\", y = \"max\" }", other: "match = \"public.a\"\ncolumns = { y = \"max\", z = \"last_write_wins\", x = \"sum\" }", same: true},
		{name: "the script elsewhere", one: "match = \"public.a\"\nconflict = \"keep.star:keep\"", other: "match = \"public.a\"\nconflict = \"rules/keep.star:keep\"", same: true},
		{name: "excluded and not matched", one: "match = \"public.a\"\nexclude = true", other: `match = "public.b"`, same: true},
		{name: "another policy", one: `match = "public.a"`, other: "match = \"public.a\"\nconflict = \"first_write_wins\"", here: "last_write_wins", there: "first_write_wins"},
		{name: "another site preferred", one: "match = \"public.a\"\nconflict = \"prefer:mumbai\"", other: "match = \"public.a\"\nconflict = \"prefer:pune\"", here: "prefer:mumbai", there: "prefer:pune"},
		{name: "one way", one: `match = "public.a"`, other: "match = \"public.a\"\nfrom = \"pune\"", here: "last_write_wins", there: "last_write_wins, from pune only"},
		{name: "another rule for a column", one: "match = \"public.a\"\ncolumns = { x = \"sum\" }", other: "match = \"public.a\"\ncolumns = { x = \"max\" }", here: "columns{x = sum, * = last_write_wins}", there: "columns{x = max, * = last_write_wins}"},
		{name: "excluded", one: `match = "public.*"`, other: "match = \"public.a\"\nexclude = true", here: "last_write_wins", there: "not replicated"},
		{name: "the script changed", one: "match = \"public.a\"\nconflict = \"keep.star:keep\"", other: "match = \"public.a\"\nconflict = \"keep.star:keep\"", script: changed, here: "keep.star:keep (keep.star ", there: "keep.star:keep (keep.star "},
		{name: "the script of a column changed", one: "match = \"public.a\"\ncolumns = { x = \"keep.star:keep\" }", other: "match = \"public.a\"\ncolumns = { x = \"keep.star:keep\" }", script: changed, here: "(keep.star ", there: "(keep.star "},
	} {
		script := c.script
		if script == "" {
			script = keepOlder
		}
		one, other := NewRuleBook(rulesOf(t, keepOlder, c.one).RuleSet()), NewRuleBook(rulesOf(t, script, c.other).RuleSet())
		here, there := one.Of("public.a"), other.Of("public.a")
		if (here.Hash == there.Hash) != c.same {
			t.Errorf("%s: fingerprints %016x and %016x", c.name, here.Hash, there.Hash)
		}
		if !strings.Contains(here.Text, c.here) || !strings.Contains(there.Text, c.there) || !c.same && here.Text == there.Text {
			t.Errorf("%s: described as %q and %q", c.name, here.Text, there.Text)
		}
	}
}

func TestDifferencesNameTheTables(t *testing.T) {
	first, last, exclude := "\nconflict = \"first_write_wins\"", "\nconflict = \"last_write_wins\"", "\nexclude = true"
	for _, c := range []struct {
		name       string
		one, other []string
		tables     []string // known by name
		want       string
	}{
		{"nothing", []string{`match = "public.*"`}, []string{`match = "public.*"`}, nil, ""},
		{"rules that have nothing in common in another order", []string{`match = "public.a"` + first, `match = "public.b"`}, []string{`match = "public.b"`, `match = "public.a"` + first}, nil, ""},
		{"a rule for one table", []string{`match = "public.a"` + first, `match = "public.*"`}, []string{`match = "public.*"`}, nil, "public.a"},
		{"the general rule, and not the special one", []string{`match = "public.a"` + first, `match = "public.*"` + last}, []string{`match = "public.a"` + first, `match = "public.*"` + first}, nil, "public.*"},
		{"a special rule behind the general one", []string{`match = "public.a"` + first, `match = "public.*"`}, []string{`match = "public.*"`, `match = "public.a"` + first}, nil, "public.a"},
		{"tables that one site leaves out", []string{`match = "public.log_*"` + exclude, `match = "public.*"`}, []string{`match = "public.*"`}, nil, "public.log_*"},
		{"patterns that overlap, in another order", []string{`match = "public.a*"` + first, `match = "public.*b"`}, []string{`match = "public.*b"`, `match = "public.a*"` + first}, []string{"public.ab", "public.b"}, "public.ab"},
	} {
		one, other := NewRuleBook(rulesOf(t, keepOlder, c.one...).RuleSet()), NewRuleBook(rulesOf(t, keepOlder, c.other...).RuleSet())
		var got []string
		for _, d := range one.Differences(other, c.tables...) {
			got = append(got, d.Tables)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// The book of a site's rules gives each table the rule that the configuration does.
func TestTheBookFindsTheRuleOfTheConfiguration(t *testing.T) {
	cfg, err := Load("testdata/good/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	set := cfg.RuleSet()
	book := NewRuleBook(set)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"public", "app"}).Draw(rt, "schema") + "." +
			rapid.SampledFrom([]string{"audit_1", "sessions", "customers_pn", "price_list", "orders", "schema_migrations", "x"}).Draw(rt, "table")
		rule, ok := cfg.Rule(name)
		got := book.Of(name)
		if !ok {
			if got.Hash != 0 {
				rt.Fatalf("%s: %+v where no rule matches", name, got)
			}
			return
		}
		if want := set[rule.Index-1]; got.Hash != want.Hash || got.Text != want.Text {
			rt.Fatalf("%s: %+v, want %+v", name, got, want)
		}
	})
}
