package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/concord-db/concord/internal/demo/agents"
	"github.com/concord-db/concord/internal/testcluster"
)

// bench owns servers and agents.
type bench struct {
	o       options
	dir     string
	servers []*testcluster.MySQLServer
	agents  []*agents.Agent
	peak    [2]int64 // greatest resident memory of the agents, in bytes
}

var names = [2]string{"mumbai", "pune"}

// pair is two servers with an empty database shop each.
type pair [2]*testcluster.MySQLServer

func (b *bench) newPair(ctx context.Context) (p pair, err error) {
	settings := map[string]string{"innodb-buffer-pool-size": "512M", "max-allowed-packet": "64M", "innodb-log-file-size": "256M"}
	if b.o.product == testcluster.MySQL {
		delete(settings, "innodb-log-file-size")
		settings["innodb-redo-log-capacity"] = "512M"
		settings["replica-parallel-workers"] = fmt.Sprint(b.o.workers)
	} else {
		settings["slave-parallel-threads"] = fmt.Sprint(b.o.workers)
		settings["slave-parallel-mode"] = "optimistic"
		settings["log-slave-updates"] = "ON"
	}
	for i := range p {
		s, err := testcluster.StartMySQL(ctx, testcluster.MySQLOptions{Product: b.o.product, Durable: true, Settings: settings})
		if err != nil {
			return p, err
		}
		b.servers = append(b.servers, s)
		p[i] = s
		if err := b.exec(s, "", "CREATE DATABASE shop"); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (b *bench) close(ctx context.Context) error {
	err := b.stopAgents(ctx)
	for _, s := range b.servers {
		err = errors.Join(err, s.Close())
	}
	if b.dir != "" {
		err = errors.Join(err, os.RemoveAll(b.dir))
	}
	return err
}

func (b *bench) exec(s *testcluster.MySQLServer, database string, statements ...string) error {
	c, err := client.Connect(s.Addr(), "root", "", database)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, sql := range statements {
		if _, err := c.Execute(sql); err != nil {
			return fmt.Errorf("%.80s: %w", sql, err)
		}
	}
	return nil
}

// text is the first value of a query.
func (b *bench) text(s *testcluster.MySQLServer, database, sql string) (string, error) {
	c, err := client.Connect(s.Addr(), "root", "", database)
	if err != nil {
		return "", err
	}
	defer c.Close()
	r, err := c.Execute(sql)
	if err != nil {
		return "", fmt.Errorf("%.80s: %w", sql, err)
	}
	text, err := r.GetString(0, 0)
	return strings.Clone(text), err
}

// await polls until the table marker has the number.
func (b *bench) await(ctx context.Context, s *testcluster.MySQLServer, number int, limit time.Duration) error {
	c, err := client.Connect(s.Addr(), "root", "", "shop")
	if err != nil {
		return err
	}
	defer c.Close()
	for deadline := time.Now().Add(limit); ; {
		r, err := c.Execute(fmt.Sprintf("SELECT count(*) FROM marker WHERE id = %d", number))
		if err != nil {
			return err
		}
		if n, err := r.GetInt(0, 0); err != nil || n > 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the marker did not arrive within %s%s", limit, b.logs())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// init writes a configuration for the pair and runs concord init.
func (b *bench) init(ctx context.Context, p pair) (config string, http [2]string, err error) {
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "concord-bench-"); err != nil {
			return "", http, err
		}
	}
	var t strings.Builder
	t.WriteString("cluster = \"bench\"\n")
	for i, name := range names {
		bus, err := testcluster.FreeAddr()
		if err != nil {
			return "", http, err
		}
		if http[i], err = testcluster.FreeAddr(); err != nil {
			return "", http, err
		}
		fmt.Fprintf(&t, "\n[site.%s]\ndsn = %q\nhttp = %q\nbus = %q\ndata = %q\n", name, p[i].DSN("shop"), http[i], bus, filepath.Join(b.dir, name))
	}
	t.WriteString("\n[[table]]\nmatch = \"shop.*\"\n")
	config = filepath.Join(b.dir, "concord.toml")
	if err := os.WriteFile(config, []byte(t.String()), 0o600); err != nil {
		return "", http, err
	}
	out, err := exec.CommandContext(ctx, b.o.program, "init", "-c", config).CombinedOutput()
	if err != nil {
		return "", http, fmt.Errorf("concord init: %w\n%s", err, out)
	}
	return config, http, nil
}

// startAgents starts both; profile is a directory for CPU profiles, or "".
func (b *bench) startAgents(config string, http [2]string, profile string) error {
	for i, name := range names {
		o := agents.Options{Program: b.o.program, Config: config, Site: name, HTTP: http[i], Log: filepath.Join(b.dir, name+".log")}
		if profile != "" {
			o.Env = []string{"CONCORD_CPUPROFILE=" + filepath.Join(profile, name+".pprof")}
		}
		a := agents.New(o)
		if err := a.Start(); err != nil {
			return err
		}
		b.agents = append(b.agents, a)
	}
	return nil
}

// stopAgents stops the agents and notes their greatest resident memory.
func (b *bench) stopAgents(ctx context.Context) (failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for i, a := range b.agents {
		if memory, err := a.Memory(); err == nil {
			b.peak[i%2] = max(b.peak[i%2], memory.Peak)
		}
		failed = errors.Join(failed, a.Stop(ctx))
	}
	b.agents = nil
	return failed
}

// describe prints how the agents did it, for whoever tunes them.
func (b *bench) describe(ctx context.Context) {
	for i, a := range b.agents {
		s, err := a.Status(ctx)
		if err != nil || len(s.Links) == 0 {
			continue // it is a remark, no result
		}
		l := s.Links[0]
		b.printf("  %s: captured %d transactions in %d frames; applied %d in %d groups (%d retries, %d exact)\n",
			names[i], s.Capture.Transactions, s.Capture.Frames, l.AppliedTxs, l.Groups, l.Retries, l.ExactGroups)
	}
}

func (b *bench) logs() string {
	var out strings.Builder
	for i, a := range b.agents {
		fmt.Fprintf(&out, "\n%s:\n%s", names[i%2], a.LogTail(15))
	}
	return out.String()
}

func (b *bench) printf(format string, args ...any) {
	if b.o.output != "json" {
		fmt.Printf(format, args...)
	}
}

// requireEqual compares a table of both servers by its checksum.
func (b *bench) requireEqual(p pair, table string) error {
	var sums [2]string
	for i, s := range p {
		c, err := client.Connect(s.Addr(), "root", "", "shop")
		if err != nil {
			return err
		}
		r, err := c.Execute("CHECKSUM TABLE " + table)
		if err == nil {
			sums[i], err = r.GetString(0, 1)
			sums[i] = strings.Clone(sums[i])
		}
		if err = errors.Join(err, c.Close()); err != nil {
			return err
		}
	}
	if sums[0] != sums[1] || sums[0] == "" {
		return fmt.Errorf("table %s differs: checksums %q", table, sums)
	}
	return nil
}
