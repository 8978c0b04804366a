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
	sites := [2]*site{
		{name: names[0], dsn: "postgres://postgres@127.0.0.1:5001/shop", http: "127.0.0.1:5002", bus: "127.0.0.1:5003"},
		{name: names[1], dsn: "postgres://postgres@127.0.0.1:6001/shop", http: "127.0.0.1:6002", bus: "127.0.0.1:6003"},
	}
	for name, text := range map[string]string{"the demo's": configuration("/srv/demo", sites), "examples/concord.toml": string(example)} {
		c, err := config.Parse(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Sites) != 2 || len(c.Warnings) != 0 {
			t.Errorf("%s: sites %v, warnings %v", name, c.Names(), c.Warnings)
		}
	}
}
