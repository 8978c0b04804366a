// Command bench measures Concord beside PostgreSQL's own logical replication: the
// rate at which a backlog is caught up, the latency when idle, and the memory of the
// agents, on real servers of this machine. Timings of one run compare with each
// other; alone they say little.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
)

type options struct {
	program      string
	parts        string
	version      int
	scale        int
	transactions int
	clients      int
	rounds       int
	rate         int
	seconds      int
	rows         int
	keys         int
	inflight     int
	output       string
	profile      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.StringVar(&o.program, "program", "bin/concord", "the concord program")
	flag.StringVar(&o.parts, "parts", "catchup,latency,large", "which parts to run")
	flag.IntVar(&o.version, "postgres", 18, "major version of the servers")
	flag.IntVar(&o.scale, "scale", 10, "pgbench scale")
	flag.IntVar(&o.transactions, "transactions", 100000, "TPC-B transactions of the backlog")
	flag.IntVar(&o.clients, "clients", 8, "pgbench clients that make the backlog")
	flag.IntVar(&o.rounds, "rounds", 2, "rounds of the catch-up, in alternating order")
	flag.IntVar(&o.rate, "rate", 200, "transactions a second for the latency")
	flag.IntVar(&o.seconds, "seconds", 15, "how long the latency is measured")
	flag.IntVar(&o.rows, "rows", 5000000, "rows of the large transaction")
	flag.IntVar(&o.keys, "keys", 20_000_000, "keys in flight while a peer is down (part window, which needs no servers)")
	flag.IntVar(&o.inflight, "inflight", 300_000, "keys in flight of the part partition")
	flag.StringVar(&o.output, "o", "table", "table or json")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of the agents during the catch-up")
	flag.Parse()

	results := map[string]any{"postgres": o.version}
	if strings.Contains(o.parts, "window") {
		r, err := window(o)
		if err != nil {
			return fmt.Errorf("window: %w", err)
		}
		results["window"] = r
	}
	if !slices.ContainsFunc([]string{"catchup", "latency", "large", "partition"}, func(part string) bool { return strings.Contains(o.parts, part) }) {
		return report(o, results)
	}
	p, err := newPair(ctx, o)
	if err != nil {
		return err
	}
	defer p.close(ctx)
	for _, part := range []struct {
		name string
		run  func(context.Context, options) (any, error)
	}{{"catchup", p.catchup}, {"latency", p.latency}, {"large", p.large}, {"partition", p.partition}} {
		if !strings.Contains(o.parts, part.name) {
			continue
		}
		r, err := part.run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		results[part.name] = r
	}
	return report(o, results)
}

func report(o options, results map[string]any) error {
	if o.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	return nil
}
