package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// notebook is a database that remembers rules.
type notebook struct {
	saved map[change.Site]enginesite.Rules
	fails error
	times int
}

func (n *notebook) SaveRules(_ context.Context, of change.Site, rules change.Rules) error {
	if n.fails != nil {
		return n.fails
	}
	n.times++
	n.saved[of] = enginesite.Rules{Rules: rules}
	return nil
}

func (n *notebook) Rules(context.Context) (map[change.Site]enginesite.Rules, error) {
	return maps.Clone(n.saved), n.fails
}

// shop is a configuration of three sites with these [[table]] sections.
func shop(t *testing.T, rules ...string) *config.Config {
	t.Helper()
	text := "cluster = \"shop\"\n"
	for i, name := range []string{"mumbai", "pune", "delhi"} {
		text += fmt.Sprintf("[site.%s]\ndsn = \"postgres://u@h%d/shop\"\nhttp = \"h:%d\"\nbus = \"h:%d\"\n", name, i, 8480+i, 8580+i)
	}
	path := filepath.Join(t.TempDir(), "concord.toml")
	if err := os.WriteFile(path, []byte(text+strings.Join(rules, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const (
	ordersFirst = "[[table]]\nmatch = \"public.orders\"\nconflict = \"first_write_wins\""
	everything  = "[[table]]\nmatch = \"public.*\""
)

func TestATableIsDisputedWhileAnySiteDecidesItDifferently(t *testing.T) {
	orders, items := &change.Table{Schema: "public", Name: "orders"}, &change.Table{Schema: "public", Name: "items"}
	same, other := shop(t, everything).RuleSet(), shop(t, ordersFirst, everything).RuleSet()
	db := &notebook{saved: map[change.Site]enginesite.Rules{}}
	begin := func() *peerRules {
		t.Helper()
		p := newPeerRules(db, shop(t, everything), "mumbai")
		if err := p.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p
	}
	disputed := func(p *peerRules, what string, want bool) {
		t.Helper()
		err := p.dispute(orders)
		if (err != nil) != want || want && (!errors.Is(err, apply.ErrRulesDiffer) || !strings.Contains(err.Error(), "mumbai decides conflicts on public.orders by last_write_wins, delhi by first_write_wins")) {
			t.Errorf("%s: %v", what, err)
		}
		if err := p.dispute(items); err != nil {
			t.Errorf("%s: a table with one rule everywhere: %v", what, err)
		}
	}
	note := func(p *peerRules, from change.Site, rules change.Rules) {
		t.Helper()
		if err := p.note(t.Context(), from, rules); err != nil {
			t.Fatal(err)
		}
	}
	p := begin()
	disputed(p, "before anything was told", false)
	note(p, "pune", same)
	disputed(p, "with one rule at two sites", false)
	note(p, "delhi", other)
	disputed(p, "with another rule at the third", true)
	if d := p.differences("delhi"); len(d) != 1 || d[0] != (config.RuleDifference{Tables: "public.orders", Here: "last_write_wins", There: "first_write_wins"}) {
		t.Errorf("differences from delhi %v", d)
	}
	if d := p.differences("pune"); len(d) != 0 {
		t.Errorf("differences from pune %v", d)
	}
	p = begin()
	disputed(p, "after a restart, before delhi is heard of again", true)
	times := db.times
	note(p, "delhi", other)
	if db.times != times {
		t.Error("what was told again is written again")
	}
	db.fails = errors.New("the database is away")
	if err := p.note(t.Context(), "delhi", same); !errors.Is(err, db.fails) {
		t.Errorf("noting without the database: %v", err)
	}
	disputed(p, "what could not be remembered is not believed", true)
	db.fails = nil
	note(p, "delhi", same)
	disputed(p, "when all have one rule again", false)
}
