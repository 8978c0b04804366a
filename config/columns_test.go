package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const twoSites = `cluster = "shop"
[site.mumbai]
dsn  = "postgres://concord@10.1.0.5/shop"
http = "10.1.0.9:8480"
bus  = "10.1.0.9:8422"
[site.pune]
dsn  = "postgres://concord@10.2.0.5/shop"
http = "10.2.0.9:8480"
bus  = "10.2.0.9:8422"
`

func TestRulesForColumnsAreRead(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{`columns = { on_hand = "sum", tags = "union", "*" = "last_write_wins" }`, "columns{on_hand = sum, tags = union, * = last_write_wins}"},
		{`columns = { low = "min", high = "max" }`, "columns{low = min, high = max, * = last_write_wins}"},
		{"conflict = \"first_write_wins\"\ncolumns = { n = \"sum\" }", "columns{n = sum, * = first_write_wins}"},
		{"conflict = \"delete_wins+prefer:pune\"\ncolumns = { n = \"sum\" }", "delete_wins+columns{n = sum, * = prefer:pune}"},
		{"conflict = \"update_wins\"\ncolumns = { n = \"a.star:f\", \"*\" = \"b.star:g\" }", "update_wins+columns{n = a.star:f, * = b.star:g}"},
	} {
		cfg, err := Parse("concord.toml", []byte(twoSites+"[[table]]\nmatch = \"public.*\"\n"+tt.rule+"\n"))
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		rule, _ := cfg.Rule("public.orders")
		if got := rule.Policy.String(); got != tt.want || rule.Inherited {
			t.Errorf("%s: %s, inherited %t; want %s", tt.rule, got, rule.Inherited, tt.want)
		}
	}
}

// The scripts that the rules name are read with the file; what is wrong with them is
// told where the file names them.
func TestScriptsAreLoadedWithTheFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("orders.star", "def order_status(older, newer, base):\n    return newer\n")
	write("rules/bad.star", "def f(older, newer, base)\n")
	path := filepath.Join(dir, "concord.toml")
	load := func(rule string) (*Config, error) {
		t.Helper()
		write("concord.toml", twoSites+"[[table]]\nmatch = \"public.*\"\n"+rule+"\n")
		return Load(path)
	}
	cfg, err := load(`conflict = "orders.star:order_status"`)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := cfg.Resolver("orders.star:order_status"); !ok || r.Name != "orders.star:order_status" {
		t.Errorf("the rule is %v, %t", r, ok)
	}
	for _, tt := range []struct{ rule, says string }{
		{`conflict = "missing.star:f"`, "concord.toml:12:12: there is no file " + filepath.Join(dir, "missing.star")},
		{`conflict = "orders.star:order"`, `concord.toml:12:12: orders.star: there is no function "order"`},
		{`conflict = "orders.star:order"`, "its rules are order_status"},
		{`columns = { a = "rules/bad.star:f", b = "rules/bad.star:g" }`, "concord.toml:12:17: rules/bad.star:2:1: got newline, want ':'"},
	} {
		_, err := load(tt.rule)
		var problems Errors
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), tt.says) || len(problems) != 1 {
			t.Errorf("%s: %v\nwant one problem, …%s…", tt.rule, err, tt.says)
		}
	}
}
