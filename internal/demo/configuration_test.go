package demo

import (
	"os"
	"testing"

	"github.com/concord-db/concord/config"
)

func TestConfigurationsAreValid(t *testing.T) {
	example, err := os.ReadFile("../../examples/concord.toml")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"examples/concord.toml": string(example)}
	for db, schemes := range map[Databases][2]string{
		Postgres: {"postgres", "postgres"}, MariaDB: {"mariadb", "mariadb"}, MySQL: {"mysql", "mysql"}, Mixed: {"postgres", "mariadb"},
	} {
		texts["the demo's with "+string(db)] = configuration("/srv/demo", [2]*site{
			{name: names[0], dsn: schemes[0] + "://root@127.0.0.1:5001/shop", http: "127.0.0.1:5002", bus: "127.0.0.1:5003"},
			{name: names[1], dsn: schemes[1] + "://root@127.0.0.1:6001/shop", http: "127.0.0.1:6002", bus: "127.0.0.1:6003"},
		}, db)
	}
	for name, text := range texts {
		c, err := config.Parse(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Sites) != 2 || len(c.Warnings) != 0 {
			t.Errorf("%s: sites %v, warnings %v", name, c.Names(), c.Warnings)
		}
		orders := "shop.orders"
		if c.Sites[0].DSN.Engine() == "postgres" {
			orders = "public.orders"
		}
		if r, ok := c.Rule(orders); !ok || r.Excluded {
			t.Errorf("%s: no rule for %s", name, orders)
		}
		if local, ok := c.NamesAt(c.Sites[1].Name).Local(orders); !ok || c.Mixed() && local != "shop.orders" {
			t.Errorf("%s: %s is %s at %s", name, orders, local, c.Sites[1].Name)
		}
	}
	if _, err := ParseDatabases("oracle"); err == nil {
		t.Error("a database that there is none of is taken")
	}
}
