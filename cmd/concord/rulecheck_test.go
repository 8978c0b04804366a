package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

func TestDoctorComparesTheRulesThatAgentsRunBy(t *testing.T) {
	const first, all = "[[table]]\nmatch = \"public.orders\"\nconflict = \"first_write_wins\"\n", "[[table]]\nmatch = \"public.*\"\n"
	load := func(rules string) *config.Config {
		t.Helper()
		path := filepath.Join(t.TempDir(), "concord.toml")
		text := "cluster = \"shop\"\n"
		for i, name := range []string{"mumbai", "pune"} {
			text += fmt.Sprintf("[site.%s]\ndsn = \"postgres://u@h%d/shop\"\nhttp = \"h:%d\"\nbus = \"h:%d\"\n", name, i, 8480+i, 8580+i)
		}
		if err := os.WriteFile(path, []byte(text+rules), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	for _, c := range []struct {
		name               string
		file, mumbai, pune string // "": the agent never ran
		want               []string
	}{
		{"no agent has run", all, "", "", nil},
		{"all the same", all, all, all, []string{"ok: 1 rules, the same at mumbai, pune"}},
		{"two sites differ", all, first + all, all, []string{"critical: rules differ: conflicts on public.orders are decided at mumbai by first_write_wins, at pune by last_write_wins"}},
		{"the file is newer than what runs", first + all, all, all, []string{
			"warning: the agent of mumbai runs by other rules than this file, since 0001-01-01T00:00:00Z: public.orders is last_write_wins there, first_write_wins here", "warning: the agent of pune"}},
		{"one agent has run, by another file", first + all, all, "", []string{"warning: the agent of mumbai"}},
	} {
		ran := map[change.Site]enginesite.Rules{}
		for site, rules := range map[change.Site]string{"mumbai": c.mumbai, "pune": c.pune} {
			if rules != "" {
				ran[site] = enginesite.Rules{Rules: load(rules).RuleSet()}
			}
		}
		got := ruleChecks(load(c.file), ran, []string{"public.orders"})
		ok := len(got) == len(c.want)
		for i := range c.want {
			ok = ok && strings.HasPrefix(string(got[i].Status)+": "+got[i].Detail, c.want[i])
		}
		if !ok {
			t.Errorf("%s: %+v\nwant %q", c.name, got, c.want)
		}
	}
}
