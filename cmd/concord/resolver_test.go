package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/conflict/resolver"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/ruletest"
)

// The rules that are shipped as examples hold.
func TestTheExampleRulesHold(t *testing.T) {
	for _, file := range []string{"orders.star", "stock.star"} {
		source, err := os.ReadFile("../../examples/" + file)
		if err != nil {
			t.Fatal(err)
		}
		script, err := resolver.Load(file, source)
		if err != nil {
			t.Fatal(err)
		}
		for _, function := range script.Rules() {
			r, err := ruletest.New(script, function, ruletest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if wrong := r.CheckCases(); len(wrong) > 0 || len(r.Cases) == 0 {
				t.Errorf("%s:%s: %d cases, wrong %+v", file, function, len(r.Cases), wrong)
			}
			report, err := r.Histories(t.Context(), 1, 200, func(uint64) {})
			if err != nil || report.Broken != nil {
				t.Errorf("%s:%s: %+v, %v", file, function, report.Broken, err)
			}
		}
	}
}

func TestATableGivesItsColumnsAndItsPolicy(t *testing.T) {
	o, err := shapeOf(&enginesite.Table{Name: "public.orders", Key: []string{"id"}, Columns: []enginesite.Column{
		{Name: "status", Type: "public.state", Kind: change.KindEnum, NotNull: true, Labels: []string{"new", "paid"}},
		{Name: "id", Type: "bigint", Kind: change.KindInt, NotNull: true},
	}})
	if err != nil || o.Table.QualifiedName() != "public.orders" || !o.Table.IsKey(1) || o.Table.IsKey(0) || len(o.Columns[0].Labels) != 2 || o.Table.ID == 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	rt := &resolverTest{file: "rules/orders.star", function: "status"}
	rt.configured(&o, config.Policy{Deletes: config.DeleteWins, Columns: &config.Columns{Named: []config.Column{
		{Name: "note", ColumnRule: config.ColumnRule{Kind: config.Custom, Resolver: "orders.star:note"}},
		{Name: "status", ColumnRule: config.ColumnRule{Kind: config.Custom, Resolver: "orders.star:status"}},
	}}})
	if o.Column != "status" || o.Deletes != conflict.DeleteWins {
		t.Errorf("%+v", o)
	}
	if _, err := shapeOf(&enginesite.Table{Name: "public.log"}); err == nil {
		t.Error("a table without a key has a shape")
	}
}

func TestTheProgressSaysHowFastAndHowLongStill(t *testing.T) {
	var out strings.Builder
	now := time.Unix(1, 0)
	progress, done := progressLine(&out, 1000, func() time.Time { return now })
	progress(1)
	now = now.Add(100 * time.Millisecond)
	progress(100) // too soon
	now = now.Add(900 * time.Millisecond)
	progress(250)
	done()
	if got := out.String(); !strings.Contains(got, "250 of 1000 histories, 250/s, 3s left") || strings.Contains(got, "100 of") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("%q", got)
	}
}
