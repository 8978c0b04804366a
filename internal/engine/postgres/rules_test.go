package postgres

import (
	"errors"
	"reflect"
	"testing"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestRulesAreRemembered(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{})
		rules := change.Rules{
			{Match: []string{"public.audit_*", `odd."\.*`}, Text: "not replicated"},
			{Match: []string{"public.*"}, Hash: 1<<64 - 1, Text: `it's "text"`},
		}
		save := func(of change.Site, r change.Rules) {
			t.Helper()
			if err := f.SaveRules(f.ctx, of, r); err != nil {
				t.Fatal(err)
			}
		}
		save("mumbai", rules)
		save("pune", rules[1:])
		first, err := f.Rules(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(first["mumbai"].Rules, rules) || !reflect.DeepEqual(first["pune"].Rules, rules[1:]) || first["pune"].Since.IsZero() {
			t.Errorf("remembered %+v", first)
		}
		save("mumbai", rules)
		save("pune", rules)
		again, err := f.Rules(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !again["mumbai"].Since.Equal(first["mumbai"].Since) || !again["pune"].Since.After(first["pune"].Since) || !reflect.DeepEqual(again["pune"].Rules, rules) {
			t.Errorf("remembered %+v, before %+v", again, first)
		}
		f.app.run(`DROP TABLE concord.rules`)
		if _, err := f.Rules(f.ctx); !errors.Is(err, change.ErrRefused) {
			t.Errorf("where init has not made the table: %v", err)
		}
		if report, err := f.Init(f.ctx, InitOptions{}); err != nil || len(report) != 0 {
			t.Errorf("init: %q, %v", report, err)
		}
		save("pune", rules)
	})
}
