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

func TestRulesAreComparedWithTheTables(t *testing.T) {
	stock := func(full bool, columns ...enginesite.Column) enginesite.Table {
		id := enginesite.Column{Name: "id", Type: "bigint", Kind: change.KindInt, NotNull: true}
		return enginesite.Table{Name: "public.stock", Key: []string{"id"}, Full: full, Columns: append([]enginesite.Column{id}, columns...)}
	}
	n := enginesite.Column{Name: "on_hand", Type: "integer", Kind: change.KindInt}
	tags := enginesite.Column{Name: "tags", Type: "text", Kind: change.KindText}
	price := enginesite.Column{Name: "price", Type: "money", Kind: change.KindNative}
	mood := enginesite.Column{Name: "mood", Type: "public.mood", Kind: change.KindEnum}
	const full = `ALTER TABLE "public"."stock" REPLICA IDENTITY FULL`
	for _, c := range []struct {
		name   string
		rule   string
		table  enginesite.Table
		status enginesite.Status // OK: one check says so
		says   string
		remedy string
	}{
		{"a sum with the row before", `columns = { on_hand = "sum" }`, stock(true, n), enginesite.OK, "the tables of mumbai, pune have what their rules need", ""},
		{"a sum without it", `columns = { on_hand = "sum" }`, stock(false, n), enginesite.Critical, "lacks the row before a change: what a write changed is the difference", "at mumbai: " + full},
		{"a rule in Starlark", `conflict = "r.star:f"`, stock(false, n), enginesite.Critical, "the rule is told the row that both writes knew", full},
		{"whole rows", `conflict = "first_write_wins"`, stock(false, n), enginesite.OK, "", ""},
		{"deletes", `conflict = "delete_wins"`, stock(false, n), enginesite.OK, "", ""},
		{"the default", `conflict = "last_write_wins"`, stock(false, n), enginesite.OK, "", ""},
		{"one way", "from = \"mumbai\"\nconflict = \"r.star:f\"", stock(false, n), "", "", ""},
		{"a sum of money", `columns = { price = "sum" }`, stock(true, price), enginesite.Critical, "column price of public.stock cannot be settled by sum: sum counts integers and numeric, not money", `ALTER COLUMN "price" TYPE numeric`},
		{"a sum of all others", `columns = { on_hand = "sum", "*" = "sum" }`, stock(true, n, tags), enginesite.Critical, `column tags of public.stock cannot be settled by sum of "*"`, ""},
		{"a union of a text", `columns = { tags = "union" }`, stock(true, tags), enginesite.Critical, "union is for arrays and JSON arrays, not text", "another rule"},
		{"the least of moods", `columns = { mood = "min" }`, stock(true, mood), enginesite.Critical, "public.mood have no order", "FILE.star:FUNCTION"},
		{"a column that is not there", `columns = { on_hnad = "sum" }`, stock(true, n), enginesite.Critical, `has the column "on_hnad"; did you mean "on_hand"?`, "id, on_hand"},
		{"a column of the key", `columns = { id = "max" }`, stock(true, n), enginesite.Warning, "column id has the rule max, but it belongs to the key of public.stock", "take id out of columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			head, _, _ := strings.Cut(twoSites, "[[table]]")
			for name, text := range map[string]string{"concord.toml": head + "[[table]]\nmatch = \"public.stock\"\n" + c.rule + "\n", "r.star": "def f(older, newer, base):\n    return newer\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cfg, err := config.Load(filepath.Join(dir, "concord.toml"))
			if err != nil {
				t.Fatal(err)
			}
			got := fitChecks(cfg, map[change.Site][]enginesite.Table{"mumbai": {c.table}, "pune": {c.table}})
			switch {
			case c.status == "":
				if len(got) > 0 {
					t.Fatalf("%+v", got)
				}
				return
			case len(got) == 0 || got[0].Status != c.status || !strings.Contains(got[0].Detail, c.says) || !strings.Contains(got[0].Remedy, c.remedy):
				t.Fatalf("%+v", got)
			}
			if got[0].Status != enginesite.OK && got[0].Remedy == "" {
				t.Errorf("no remedy: %+v", got[0])
			}
		})
	}
}
