package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

const twoSites = `cluster = "shop"
[site.mumbai]
dsn = "postgres://concord@127.0.0.1:5001/shop"
http = "127.0.0.1:8480"
bus = "127.0.0.1:8422"
[site.pune]
dsn = "postgres://concord@127.0.0.1:5002/shop"
http = "127.0.0.1:8481"
bus = "127.0.0.1:8423"
[[table]]
match = "public.price_list"
from = "mumbai"
[[table]]
match = "public.*"
`

func TestSchemasAreComparedAcrossSites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "concord.toml")
	if err := os.WriteFile(file, []byte(twoSites), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	column := func(name, kind string) enginesite.Column { return enginesite.Column{Name: name, Type: kind} }
	orders := func(change ...func(*enginesite.Table)) []enginesite.Table {
		o := enginesite.Table{
			Name: "public.orders", Columns: []enginesite.Column{column("id", "bigint"), column("note", "text")}, Key: []string{"id"},
			Sequences: []enginesite.Sequence{{Column: "id", Name: `"public"."orders_id_seq"`, Increment: 2, Last: 11}},
		}
		for _, c := range change {
			c(&o)
		}
		return []enginesite.Table{o}
	}
	second := func(o *enginesite.Table) { o.Sequences[0].Last = 12 }
	for _, tt := range []struct {
		name         string
		mumbai, pune []enginesite.Table
		status       enginesite.Status
		at           change.Site
		says         []string
		remedy       string
	}{
		{name: "alike", mumbai: orders(), pune: orders(second), status: enginesite.OK, says: []string{"1 tables alike at mumbai, pune"}},
		{
			name: "a table is missing", mumbai: orders(), status: enginesite.Critical, at: "pune",
			says: []string{"public.orders is at mumbai and not at pune"}, remedy: `--table='"public"."orders"'`,
		},
		{
			name: "a column is missing here", pune: orders(second), mumbai: orders(func(o *enginesite.Table) { o.Columns = o.Columns[:1] }), status: enginesite.Critical, at: "mumbai",
			says: []string{"public.orders.note is at pune and not at mumbai"}, remedy: `at mumbai: ALTER TABLE "public"."orders" ADD COLUMN "note" text`,
		},
		{
			name: "another type", mumbai: orders(), pune: orders(second, func(o *enginesite.Table) { o.Columns[1].Type = "character varying(10)" }), status: enginesite.Warning, at: "pune",
			says: []string{"is text at mumbai and character varying(10) at pune"}, remedy: `ALTER COLUMN "note" TYPE text`,
		},
		{
			name: "another key", mumbai: orders(), pune: orders(second, func(o *enginesite.Table) { o.Key = []string{"id", "note"} }), status: enginesite.Critical, at: "pune",
			says: []string{"(id) at mumbai", "(id, note) at pune"}, remedy: "same primary key",
		},
		{
			name: "the same numbers of a key", mumbai: orders(), pune: orders(), status: enginesite.Critical,
			says:   []string{"takes the same numbers"},
			remedy: `at mumbai: ALTER SEQUENCE "public"."orders_id_seq" INCREMENT BY 2 RESTART WITH 13; at pune: ALTER SEQUENCE "public"."orders_id_seq" INCREMENT BY 2 RESTART WITH 12`,
		},
		{
			name: "the same numbers, by the settings of a server", status: enginesite.Critical,
			mumbai: orders(func(o *enginesite.Table) { o.Sequences[0].Server = true }), pune: orders(),
			says:   []string{"takes the same numbers"},
			remedy: `at mumbai: SET GLOBAL auto_increment_increment = 2, GLOBAL auto_increment_offset = 1, and both in the server's configuration; at pune: ALTER SEQUENCE`,
		},
		{
			name:   "steps that have nothing in common meet",
			mumbai: orders(), pune: orders(second, func(o *enginesite.Table) { o.Sequences[0].Increment = 3 }), status: enginesite.Critical,
			says: []string{"in steps of 3"}, remedy: "ALTER SEQUENCE",
		},
		{
			name: "the same numbers elsewhere than in the key", status: enginesite.Warning,
			mumbai: orders(func(o *enginesite.Table) { o.Key = []string{"note"} }), pune: orders(func(o *enginesite.Table) { o.Key = []string{"note"} }),
			says: []string{"takes the same numbers"}, remedy: "ALTER SEQUENCE",
		},
		{
			name: "one way", status: enginesite.OK, says: []string{"0 tables"},
			mumbai: []enginesite.Table{{Name: "public.price_list", Key: []string{"id"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := schemaChecks(cfg, cfg.Names(), map[change.Site][]enginesite.Table{"mumbai": tt.mumbai, "pune": tt.pune})
			if len(got) != 1 {
				t.Fatalf("%d checks: %+v", len(got), got)
			}
			c := got[0]
			if c.Status != tt.status || c.Site != tt.at || !strings.Contains(c.Remedy, tt.remedy) || (tt.remedy == "") != (c.Remedy == "") {
				t.Errorf("%+v", c)
			}
			for _, s := range tt.says {
				if !strings.Contains(c.Detail, s) {
					t.Errorf("%q does not say %q", c.Detail, s)
				}
			}
		})
	}
	if got := schemaChecks(cfg, cfg.Names(), map[change.Site][]enginesite.Table{"mumbai": orders()}); got != nil {
		t.Errorf("with one site's answer: %+v", got)
	}
}
