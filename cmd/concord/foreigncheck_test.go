package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

func TestDoctorExplainsWhatALostParentMeans(t *testing.T) {
	key := func(child, parent, action string) enginesite.ForeignKey {
		return enginesite.ForeignKey{Name: "fk", Child: child, Parent: parent, Columns: []string{"order_id"}, ParentColumns: []string{"id"}, OnDelete: action}
	}
	lines, orders := "public.lines", "public.orders"
	both := func(action string, unique ...string) []enginesite.Table {
		return []enginesite.Table{
			{Name: lines, ForeignKeys: []enginesite.ForeignKey{key(lines, orders, action)}}, {Name: orders, Unique: unique},
		}
	}
	for _, c := range []struct {
		name   string
		rules  string
		tables []enginesite.Table
		status enginesite.Status
		says   []string
	}{
		{"a delete is a write", "", both("NO ACTION"), enginesite.OK, []string{"public.lines (order_id) refers to public.orders", "stays deleted, as nobody else wrote the parent itself (last_write_wins)", "knew of no child", "at every site alike"}},
		{"a cascade", "", both("CASCADE"), enginesite.OK, []string{"the cascade has deleted only the children that the deleting site knew"}},
		{"children are set free", "", both("SET NULL"), enginesite.OK, []string{"SET NULL has changed only the children"}},
		{"updates win", "[[table]]\nmatch = \"public.orders\"\nconflict = \"update_wins\"\n", both("RESTRICT"), enginesite.OK, []string{"unless the parent itself was changed, too (update_wins)"}},
		{"a site is preferred", "[[table]]\nmatch = \"public.orders\"\nconflict = \"prefer:pune\"\n", both("RESTRICT"), enginesite.OK, []string{"unless pune has changed the parent itself"}},
		{"conflicts wait", "[[table]]\nmatch = \"public.orders\"\nconflict = \"park\"\n", both("RESTRICT"), enginesite.OK, []string{"is parked, its children are not"}},
		{"a parent with a unique value", "", both("RESTRICT", "orders_number"), enginesite.OK, []string{"gives way to another row with its value of orders_number"}},
		{"one site writes both", "[[table]]\nmatch = \"public.*\"\nfrom = \"mumbai\"\n", both("RESTRICT"), enginesite.OK, []string{"both are written by mumbai only: no parent is lost"}},
		{"the parent is not replicated", "", both("RESTRICT")[:1], enginesite.Warning, []string{"which is not replicated: what other sites write is applied whether"}},
		{"the child is not replicated", "", []enginesite.Table{{Name: orders, ForeignKeys: []enginesite.ForeignKey{key("app.audit", orders, "CASCADE")}}}, enginesite.Warning, []string{"app.audit is not replicated", "nothing cascades"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, _, _ := strings.Cut(twoSites, "[[table]]")
			file := filepath.Join(t.TempDir(), "concord.toml")
			if err := os.WriteFile(file, []byte(head+c.rules+"[[table]]\nmatch = \"public.*\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			got := foreignChecks(cfg, map[change.Site][]enginesite.Table{"mumbai": c.tables, "pune": c.tables})
			if len(got) != 1 || got[0].Status != c.status || (got[0].Remedy == "") != (c.status == enginesite.OK) ||
				slices.ContainsFunc(c.says, func(s string) bool { return !strings.Contains(got[0].Detail, s) }) {
				t.Errorf("%+v", got)
			}
		})
	}
}
