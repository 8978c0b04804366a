package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
)

// startLimit is how long agents may take until they replicate.
const startLimit = time.Minute

// lock makes the directory this demo's own. The lock goes with the process.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the demo's directory: %w", err)
	}
	l := flock.New(filepath.Join(dir, "lock"))
	locked, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the demo's directory: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("a demo is running in %s already: end it with Ctrl-C there, or use --dir for another", dir)
	}
	// A demo that crashed has left it.
	if err := removeState(dir); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return func() { _ = l.Unlock() }, nil // the end of the process unlocks it too
}

// start brings everything up: servers, shop, configuration, init, agents. What it
// started before an error is for stop to end.
func (d *demo) start(ctx context.Context) error {
	dir, err := filepath.Abs(d.o.Dir)
	if err != nil {
		return err
	}
	d.o.Dir = dir
	d.config = filepath.Join(dir, "concord.toml")
	if err := d.step("two database servers with a shop", func() (string, error) { return d.startServers(ctx) }); err != nil {
		return err
	}
	if err := d.step("concord init", func() (string, error) { return "", d.init(ctx) }); err != nil {
		return err
	}
	return d.step("two agents, each way", func() (string, error) { return "", d.startAgents(ctx) })
}

// step does f and says how long it took.
func (d *demo) step(what string, f func() (string, error)) error {
	fmt.Fprintf(d.o.Out, "%-40s ", what)
	began := time.Now()
	note, err := f()
	if err != nil {
		fmt.Fprintln(d.o.Out, "failed")
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(d.o.Out, "%5.1f s  %s\n", time.Since(began).Seconds(), note)
	return nil
}

func (d *demo) startServers(ctx context.Context) (note string, err error) {
	start, what, err := d.o.DB.servers()
	if err != nil {
		return "", err
	}
	g, ctx := errgroup.WithContext(ctx)
	for i, name := range names {
		for _, old := range []string{agentDir(d.o.Dir, name), agentLog(d.o.Dir, name)} {
			if err := os.RemoveAll(old); err != nil {
				return "", fmt.Errorf("removing what an earlier demo left: %w", err)
			}
		}
		g.Go(func() error {
			s, err := startSite(ctx, d.o.Dir, i, start[i])
			d.sites[i] = s
			return err
		})
	}
	return fmt.Sprintf("%s: %s, %s: %s", names[0], what[0], names[1], what[1]), g.Wait()
}

// init writes the configuration and runs concord init, as an operator would.
func (d *demo) init(ctx context.Context) error {
	// Mode: there is no secret in it, but a configuration is nobody's business.
	if err := os.WriteFile(d.config, []byte(configuration(d.o.Dir, d.sites, d.o.DB)), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(d.config), "orders.star"), ordersRule, 0o600); err != nil {
		return fmt.Errorf("writing the rule for orders: %w", err)
	}
	output, err := exec.CommandContext(ctx, d.o.Program, "init", "-c", d.config).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

func (d *demo) startAgents(ctx context.Context) error {
	for _, s := range d.sites {
		s.agent = d.newAgent(s)
		if err := s.agent.Start(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("it did not replicate within %s", startLimit))
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range d.sites {
		g.Go(func() error {
			if err := s.agent.Await(ctx); err != nil {
				return fmt.Errorf("%w; its log: %s", err, s.agent.LogFile())
			}
			return nil
		})
	}
	return g.Wait()
}
