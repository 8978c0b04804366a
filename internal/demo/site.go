package demo

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/concord-db/concord/internal/demo/agents"
	"github.com/concord-db/concord/internal/testcluster"
)

// names of the two sites, in the order of every pair.
var names = [2]string{"mumbai", "pune"}

// database is the name of the shop's database at both sites.
const database = "shop"

// ordersRule is the resolver of the shop's orders.
//
//go:embed orders.star
var ordersRule []byte

// site is one data centre of the demo.
type site struct {
	name   string
	server server
	agent  *agents.Agent
	dsn    string // of the shop
	http   string
	bus    string
}

// startSite starts the site's server with a new shop in it, and finds the addresses of
// its agent.
func startSite(ctx context.Context, dir string, index int, start starter) (_ *site, err error) {
	s := &site{name: names[index]}
	if s.server, s.dsn, err = start(ctx, dir, index); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.server.Close() // the error that matters is the first
		}
	}()
	if s.http, err = testcluster.FreeAddr(); err != nil {
		return nil, err
	}
	if s.bus, err = testcluster.FreeAddr(); err != nil {
		return nil, err
	}
	return s, nil
}

// serverDir is where a site's server lives: in dir, unless the account that runs the
// server cannot get there (a root user's home). kind tells servers of one site apart
// whose files do not go together.
func serverDir(dir, name, kind string) string {
	leaf := filepath.Join(name, kind)
	if testcluster.Reachable(dir) == nil {
		return filepath.Join(dir, leaf)
	}
	elsewhere := "concord-demo" + strings.ReplaceAll(filepath.ToSlash(dir), "/", "-")
	return filepath.Join(os.TempDir(), elsewhere, leaf)
}

// stopServer ends the server, gently while ctx allows.
func (s *site) stopServer(ctx context.Context) error {
	if s.server.Running() && s.server.Stop(ctx) == nil {
		return nil
	}
	return s.server.Close() // a server that crashed, or that does not stop
}

// rules are those of the shop's tables.
var rules = []struct{ why, table, rule string }{
	{"a deleted session stays deleted", "sessions", `conflict = "delete_wins"`},
	{"what both sites take out and put in adds up", "inventory", `columns  = { on_hand = "sum", "*" = "last_write_wins" }`},
	{"different columns changed at both sites are both kept", "customers", `columns  = { credit = "sum", tags = "union", "*" = "last_write_wins" }`},
	{"an order never goes back: orders.star, beside this file", "orders", `conflict = "orders.star:order_status"`},
	{"of two corrections the first stands", "order_lines", `conflict = "first_write_wins"`},
	{"the last write wins", "*", ""},
}

// configuration is the TOML of the demo's cluster.
func configuration(dir string, sites [2]*site, db Databases) string {
	var b strings.Builder
	b.WriteString("# Written by concord demo.\ncluster = \"shop\"\n")
	for _, s := range sites {
		fmt.Fprintf(&b, "\n[site.%s]\ndsn  = %q\nhttp = %q\nbus  = %q\ndata = %q\n", s.name, s.dsn, s.http, s.bus, agentDir(dir, s.name))
	}
	for _, r := range rules {
		fmt.Fprintf(&b, "\n%-30s # %s\nmatch    = \"%s.%s\"\n%s", "[[table]]", r.why, db.schema(), r.table, db.names(r.table))
		if r.rule != "" {
			b.WriteString(r.rule + "\n")
		}
	}
	return b.String()
}

func agentLog(dir, name string) string { return filepath.Join(dir, name, "agent.log") }

func agentDir(dir, name string) string { return filepath.Join(dir, name, "agent") }
