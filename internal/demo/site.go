package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/demo/agents"
	"github.com/concord-db/concord/internal/testcluster"
)

// names of the two sites, in the order of every pair.
var names = [2]string{"mumbai", "pune"}

// database is the name of the shop's database at both sites.
const database = "shop"

//go:embed shop.sql
var shopSQL string

// ordersRule is the resolver of the shop's orders.
//
//go:embed orders.star
var ordersRule []byte

// site is one data centre of the demo.
type site struct {
	name    string
	cluster *testcluster.Cluster
	agent   *agents.Agent
	dsn     string // of the shop
	http    string
	bus     string
}

// startServer starts the site's server and makes the shop anew. The files of the
// cluster are used again when they are there; what an earlier demo left in it goes.
func startServer(ctx context.Context, dir string, index, version int) (_ *site, err error) {
	name := names[index]
	// Nothing is flushed: that the machine goes down is no part of the demo.
	c, err := testcluster.Start(ctx, testcluster.Options{Version: version, Dir: serverDir(dir, name, version)})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.Close() // the error that matters is the first
		}
	}()
	s := &site{name: name, cluster: c, dsn: c.DSN(database)}
	if err := c.DropDatabase(ctx, database); err != nil {
		return nil, err
	}
	if err := dropOrigins(ctx, c.DSN("")); err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	if err := c.CreateDatabase(ctx, database); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	sql := strings.ReplaceAll(shopSQL, "{{first}}", strconv.Itoa(index+1))
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return nil, fmt.Errorf("making the shop at %s: %w", name, err)
	}
	if s.http, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.bus, err = freeAddress(); err != nil {
		return nil, err
	}
	return s, nil
}

// dropOrigins removes replication origins, which belong to the whole server and so
// outlive the database.
func dropOrigins(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin`); err != nil {
		return fmt.Errorf("removing the replication origins of an earlier demo: %w", err)
	}
	return nil
}

// serverVersions are those of the two sites: the oldest and the newest installed, as
// sites are seldom upgraded on one day.
func serverVersions() ([2]int, error) {
	installed := testcluster.Installed()
	if len(installed) == 0 {
		return [2]int{}, errors.New("no PostgreSQL server is installed: run scripts/install-servers.sh")
	}
	return [2]int{installed[0], installed[len(installed)-1]}, nil
}

// serverDir is where a site's server lives: in dir, unless the account that runs the
// server cannot get there (a root user's home).
func serverDir(dir, name string, version int) string {
	leaf := filepath.Join(name, "postgres-"+strconv.Itoa(version))
	if testcluster.Reachable(dir) == nil {
		return filepath.Join(dir, leaf)
	}
	elsewhere := "concord-demo" + strings.ReplaceAll(filepath.ToSlash(dir), "/", "-")
	return filepath.Join(os.TempDir(), elsewhere, leaf)
}

// stopServer ends the server, gently while ctx allows.
func (s *site) stopServer(ctx context.Context) error {
	if s.cluster.Running() && s.cluster.Stop(ctx, testcluster.Fast) == nil {
		return nil
	}
	return s.cluster.Close() // a server that crashed, or that does not stop
}

// freeAddress returns a loopback address that nothing listens on at this moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// configuration is the TOML of the demo's cluster.
func configuration(dir string, sites [2]*site) string {
	var b strings.Builder
	b.WriteString("# Written by concord demo.\ncluster = \"shop\"\n")
	for _, s := range sites {
		fmt.Fprintf(&b, "\n[site.%s]\ndsn  = %q\nhttp = %q\nbus  = %q\ndata = %q\n", s.name, s.dsn, s.http, s.bus, agentDir(dir, s.name))
	}
	b.WriteString(`
[[table]]                      # a deleted session stays deleted
match    = "public.sessions"
conflict = "delete_wins"

[[table]]                      # what both sites take out and put in adds up
match   = "public.inventory"
columns = { on_hand = "sum", "*" = "last_write_wins" }

[[table]]                      # different columns changed at both sites are both kept
match   = "public.customers"
columns = { credit = "sum", tags = "union", "*" = "last_write_wins" }

[[table]]                      # an order never goes back: orders.star, beside this file
match    = "public.orders"
conflict = "orders.star:order_status"

[[table]]                      # of two corrections the first stands
match    = "public.order_lines"
conflict = "first_write_wins"

[[table]]                      # the last write wins
match = "public.*"
`)
	return b.String()
}

func agentLog(dir, name string) string { return filepath.Join(dir, name, "agent.log") }

func agentDir(dir, name string) string { return filepath.Join(dir, name, "agent") }
