// Command mysql, of the benchmarks, measures Concord between two MariaDB or two MySQL
// servers beside their own replication: the rate at which a backlog of sysbench is caught
// up, the latency when idle, and the memory of the agents for one large transaction. The
// servers are durable: what is committed is flushed. Timings of one run compare with each
// other; alone they say little.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/concord-db/concord/internal/testcluster"
)

type options struct {
	program      string
	product      testcluster.Product
	parts        string
	transactions int
	tables       int
	size         int
	clients      int
	rounds       int
	workers      int
	rate         int
	seconds      int
	rows         int
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

func run(ctx context.Context) (err error) {
	var o options
	flag.StringVar(&o.program, "program", "bin/concord", "the concord program")
	product := flag.String("product", "mariadb", "mariadb or mysql")
	flag.StringVar(&o.parts, "parts", "catchup,latency,large", "which parts to run")
	flag.IntVar(&o.transactions, "transactions", 30000, "transactions of sysbench oltp_write_only in the backlog")
	flag.IntVar(&o.tables, "tables", 4, "tables of sysbench")
	flag.IntVar(&o.size, "size", 25000, "rows of each")
	flag.IntVar(&o.clients, "clients", 8, "threads of sysbench")
	flag.IntVar(&o.rounds, "rounds", 2, "rounds of the catch-up, in alternating order")
	flag.IntVar(&o.workers, "workers", 4, "parallel workers of the server's own replication")
	flag.IntVar(&o.rate, "rate", 100, "transactions a second for the latency")
	flag.IntVar(&o.seconds, "seconds", 15, "how long the latency is measured")
	flag.IntVar(&o.rows, "rows", 5_000_000, "rows of the large transaction")
	flag.StringVar(&o.output, "o", "table", "table or json")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of the agents during the catch-up")
	flag.Parse()
	o.product = testcluster.Product(*product)
	if o.product != testcluster.MariaDB && o.product != testcluster.MySQL {
		return fmt.Errorf("-product %q is neither mariadb nor mysql", *product)
	}
	results := map[string]any{"product": o.product}
	for _, part := range []struct {
		name string
		run  func(context.Context, *bench) (any, error)
	}{{"catchup", catchup}, {"latency", latency}, {"large", large}} {
		if !strings.Contains(o.parts, part.name) {
			continue
		}
		r, err := play(ctx, o, part.run)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		results[part.name] = r
	}
	if o.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	return nil
}

// play gives a part servers of its own.
func play(ctx context.Context, o options, part func(context.Context, *bench) (any, error)) (_ any, err error) {
	b := &bench{o: o}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	return part(ctx, b)
}
