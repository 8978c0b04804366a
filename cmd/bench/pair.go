package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/demo/agents"
	"github.com/concord-db/concord/internal/testcluster"
)

// pair is two servers and the agents between them.
type pair struct {
	o        options
	dir      string
	sites    [2]*testcluster.Cluster
	config   string
	defaults string // of the configurations that init writes
	agents   [2]*agents.Agent
	http     [2]string
	peak     [2]int64         // greatest resident memory seen of each site's agents, in bytes
	agentCPU [2]time.Duration // processor time of the agents that were stopped last
}

var names = [2]string{"mumbai", "pune"}

// settings are what an operator would set on a server of this size; the same for
// both kinds of replication.
var settings = map[string]string{
	"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "autovacuum": "off",
}

func newPair(ctx context.Context, o options) (*pair, error) {
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, err
	}
	o.program = program
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w; run `make build`", err)
	}
	dir, err := os.MkdirTemp("", "concord-bench-")
	if err != nil {
		return nil, err
	}
	p := &pair{o: o, dir: dir}
	for i := range p.sites {
		c, err := testcluster.Start(ctx, testcluster.Options{Version: o.version, Fsync: true, Settings: settings})
		if err != nil {
			p.close(ctx)
			return nil, err
		}
		p.sites[i] = c
	}
	return p, nil
}

func (p *pair) close(ctx context.Context) {
	_ = p.stopAgents(ctx) // they die with this program
	for _, c := range p.sites {
		if c != nil {
			_ = c.Close() // temporary
		}
	}
	_ = os.RemoveAll(p.dir)
}

func (p *pair) exec(ctx context.Context, site int, database, sql string) error {
	conn, err := pgx.Connect(ctx, p.sites[site].DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("%s, %s: %w", names[site], database, err)
	}
	return nil
}

func (p *pair) text(ctx context.Context, site int, database, sql string) (s string, err error) {
	conn, err := pgx.Connect(ctx, p.sites[site].DSN(database))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, sql).Scan(&s)
	return s, err
}

// setup makes database at both sites with the given schema, and prepares Concord for
// it when agents are to run.
func (p *pair) setup(ctx context.Context, database, schema string) error {
	for i := range p.sites {
		if err := p.sites[i].CreateDatabase(ctx, database); err != nil {
			return err
		}
		if err := p.exec(ctx, i, database, schema); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) init(ctx context.Context, database string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster = %q\n\n[defaults]\n%s\n", database, p.defaults)
	for i, name := range names {
		bus, err := testcluster.FreeAddr()
		if err != nil {
			return err
		}
		if p.http[i], err = testcluster.FreeAddr(); err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n[site.%s]\ndsn = %q\nhttp = %q\nbus = %q\ndata = %q\n", name, p.sites[i].DSN(database), p.http[i], bus,
			filepath.Join(p.dir, database+"-"+name))
	}
	b.WriteString("\n[[table]]\nmatch = \"public.*\"\n")
	p.config = filepath.Join(p.dir, database+".toml")
	if err := os.WriteFile(p.config, []byte(b.String()), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, p.o.program, "init", "-c", p.config).CombinedOutput()
	if err != nil {
		return fmt.Errorf("concord init: %w\n%s", err, out)
	}
	return nil
}

// await polls until the query at a site says true.
func (p *pair) await(ctx context.Context, site int, database, sql string, limit time.Duration) error {
	conn, err := pgx.Connect(ctx, p.sites[site].DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	deadline := time.Now().Add(limit)
	for {
		var ok bool
		if err := conn.QueryRow(ctx, sql).Scan(&ok); err != nil {
			return err
		}
		if ok {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s%s", limit, sql, p.logs())
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pair) printf(format string, args ...any) {
	if p.o.output != "json" {
		fmt.Printf(format, args...)
	}
}
