package config

import (
	"testing"

	"pgregory.net/rapid"
)

const namesHead = `cluster = "shop"
[site.mumbai]
dsn  = "postgres://concord@10.1.0.5/shop"
http = "10.1.0.9:8480"
bus  = "10.1.0.9:8422"
[site.pune]
dsn  = "mariadb://concord@10.2.0.5/shop"
http = "10.2.0.9:8480"
bus  = "10.2.0.9:8422"
`

func namesOf(t *testing.T, tables string) (mumbai, pune Names) {
	t.Helper()
	cfg, err := Parse("concord.toml", []byte(namesHead+tables))
	if err != nil {
		t.Fatal(err)
	}
	return cfg.NamesAt("mumbai"), cfg.NamesAt("pune")
}

func TestTablesHaveOtherNamesAtSites(t *testing.T) {
	mumbai, pune := namesOf(t, `
[[table]]
match = "public.legacy_orders"
names = { pune = "archive.orders" }
column_names = { pune = { total = "total_amount", a = "b", b = "a", gone = "was" } }
[[table]]
match = "public.secret"
exclude = true
[[table]]
match = "public.*"
names = { pune = "shop.*" }
[[table]]
match = "shop.*"
[[table]]
match = "both.*"
`)
	if !mumbai.Plain() || pune.Plain() {
		t.Errorf("plain: %t at mumbai, %t at pune", mumbai.Plain(), pune.Plain())
	}
	for _, c := range []struct{ cluster, local string }{
		{"public.legacy_orders", "archive.orders"},
		{"public.orders", "shop.orders"},
		{"public.a.b", "shop.a.b"},
		{"both.x", "both.x"},
	} {
		if local, ok := pune.Local(c.cluster); local != c.local || !ok {
			t.Errorf("%s is %s, %t at pune, want %s", c.cluster, local, ok, c.local)
		}
		if back, ok := pune.Cluster(c.local); back != c.cluster || !ok {
			t.Errorf("%s of pune is %s, %t, want %s", c.local, back, ok, c.cluster)
		}
		if local, ok := mumbai.Local(c.cluster); local != c.cluster || !ok {
			t.Errorf("%s is %s, %t at mumbai", c.cluster, local, ok)
		}
	}
	if local, ok := pune.Local("shop.orders"); ok {
		t.Errorf("shop.orders is %s at pune, a name that public.orders has", local)
	}
	for _, none := range []string{"public.orders", "archive.other", "none.x", "concord.x", "x"} {
		if cluster, ok := pune.Cluster(none); ok {
			t.Errorf("%s of pune is %s", none, cluster)
		}
	}
	for column, local := range map[string]string{"total": "total_amount", "a": "b", "b": "a", "id": "id"} {
		if got := pune.LocalColumn("public.legacy_orders", column); got != local {
			t.Errorf("column %s is %s, want %s", column, got, local)
		}
		if got := pune.ClusterColumn("public.legacy_orders", local); got != column {
			t.Errorf("column %s of pune is %s, want %s", local, got, column)
		}
		if got := pune.LocalColumn("public.orders", column); got != column {
			t.Errorf("column %s of another table is %s", column, got)
		}
	}
	if got := pune.ClusterColumn("public.legacy_orders", "gone"); got == "gone" {
		t.Error("a column of pune takes the name that another one has in the cluster")
	}
}

// Whatever is configured, no two tables of the cluster are one table at a site.
func TestNamesGoBothWays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		schema := rapid.SampledFrom([]string{"a", "b", "c"})
		table := rapid.SampledFrom([]string{"x", "y", "*"})
		text := ""
		for range rapid.IntRange(1, 4).Draw(r, "rules") {
			match := table.Draw(r, "table")
			to := match
			if match != "*" {
				to = rapid.SampledFrom([]string{"x", "y"}).Draw(r, "to")
			}
			text += "[[table]]\nmatch = \"" + schema.Draw(r, "schema") + "." + match + "\"\n"
			if rapid.Bool().Draw(r, "renamed") {
				text += "names = { pune = \"" + schema.Draw(r, "other") + "." + to + "\" }\n"
			}
		}
		cfg, err := Parse("concord.toml", []byte(namesHead+text))
		if err != nil {
			return // two rules with one name
		}
		n := cfg.NamesAt("pune")
		taken := map[string]string{}
		for _, s := range []string{"a", "b", "c"} {
			for _, table := range []string{"x", "y", "z"} {
				name := s + "." + table
				if _, ok := cfg.Rule(name); !ok {
					continue
				}
				local, ok := n.Local(name)
				if !ok {
					continue
				}
				if other := taken[local]; other != "" {
					r.Fatalf("%s and %s are both %s at pune", name, other, local)
				}
				taken[local] = name
				if back, ok := n.Cluster(local); !ok || back != name {
					r.Fatalf("%s is %s at pune, which is %s, %t", name, local, back, ok)
				}
			}
		}
	})
}
