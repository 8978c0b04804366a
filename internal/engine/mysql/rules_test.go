package mysql

import (
	"errors"
	"reflect"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

func TestRulesAreRemembered(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{})
		rules := change.Rules{
			{Match: []string{"shop.audit_*", `odd."\.*`}, Text: "not replicated"},
			{Match: []string{"shop.*"}, Hash: 1<<64 - 1, Text: `it's "text"`},
		}
		save := func(of change.Site, r change.Rules) {
			a.t.Helper()
			if err := db.SaveRules(a.ctx, of, r); err != nil {
				a.t.Fatal(err)
			}
		}
		save("mumbai", rules)
		save("pune", rules[1:])
		first, err := db.Rules(a.ctx)
		if err != nil {
			a.t.Fatal(err)
		}
		if !reflect.DeepEqual(first["mumbai"].Rules, rules) || !reflect.DeepEqual(first["pune"].Rules, rules[1:]) || first["pune"].Since.IsZero() {
			a.t.Errorf("remembered %+v", first)
		}
		save("mumbai", rules)
		save("pune", rules)
		again, err := db.Rules(a.ctx)
		if err != nil {
			a.t.Fatal(err)
		}
		if !again["mumbai"].Since.Equal(first["mumbai"].Since) || !again["pune"].Since.After(first["pune"].Since) || !reflect.DeepEqual(again["pune"].Rules, rules) {
			a.t.Errorf("remembered %+v, before %+v", again, first)
		}
		a.app.run("DROP TABLE concord.rules")
		if _, err := db.Rules(a.ctx); !errors.Is(err, change.ErrRefused) {
			a.t.Errorf("where init has not made the table: %v", err)
		}
		if report, err := db.Init(a.ctx, InitOptions{}); err != nil || len(report) != 0 {
			a.t.Errorf("init: %q, %v", report, err)
		}
		save("pune", rules)
	})
}
