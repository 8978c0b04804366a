package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/concord-db/concord/internal/testcluster"
)

type catchupResult struct {
	Transactions int       `json:"transactions"`
	Concord      []float64 `json:"concord_per_second"`
	Native       []float64 `json:"native_per_second"`
	// Ratio is Concord's rate by the native one of the same round; Median is that of the
	// rounds.
	Ratio   []float64 `json:"ratio"`
	Median  float64   `json:"median_ratio"`
	PeakMiB [2]int64  `json:"agent_peak_mib"`
}

// catchup makes the same backlog at two pairs of servers, with nothing that replicates
// running, and times how long Concord takes at one and the servers' own replication at
// the other.
func catchup(ctx context.Context, b *bench) (any, error) {
	o := b.o
	r := catchupResult{Transactions: o.transactions}
	b.printf("catch-up of %d transactions of sysbench oltp_write_only, %d tables of %d rows, %s, %d workers of its own replication\n", o.transactions, o.tables, o.size, o.product, o.workers)
	var pairs [2]pair
	for i := range pairs {
		var err error
		if pairs[i], err = b.newPair(ctx); err != nil {
			return nil, err
		}
		for _, s := range pairs[i] {
			if err := b.exec(s, "shop", "CREATE TABLE marker (id int PRIMARY KEY)"); err != nil {
				return nil, err
			}
		}
		if err := b.sysbench(ctx, pairs[i][0], "prepare"); err != nil {
			return nil, err
		}
		for n := range o.tables {
			if err := b.copy(pairs[i], fmt.Sprintf("sbtest%d", n+1)); err != nil {
				return nil, err
			}
		}
	}
	config, http, err := b.init(ctx, pairs[0])
	if err != nil {
		return nil, err
	}
	if err := b.subscribe(pairs[1]); err != nil {
		return nil, err
	}
	for round := range o.rounds {
		for _, p := range pairs {
			if err := b.sysbench(ctx, p[0], "run"); err != nil {
				return nil, err
			}
			if err := b.exec(p[0], "shop", fmt.Sprintf("INSERT INTO marker VALUES (%d)", round)); err != nil {
				return nil, err
			}
		}
		var rates [2]float64
		runs := []func() error{
			func() (err error) { rates[0], err = b.timeConcord(ctx, pairs[0], config, http, round); return err },
			func() (err error) { rates[1], err = b.timeNative(ctx, pairs[1], round); return err },
		}
		if round%2 == 1 {
			slices.Reverse(runs)
		}
		for _, f := range runs {
			if err := f(); err != nil {
				return nil, err
			}
		}
		r.Concord, r.Native = append(r.Concord, rates[0]), append(r.Native, rates[1])
		r.Ratio = append(r.Ratio, rates[0]/rates[1])
		b.printf("round %d: concord %.0f/s, native %.0f/s, ratio %.2f\n", round+1, rates[0], rates[1], rates[0]/rates[1])
		for _, p := range pairs {
			for n := range o.tables {
				if err := b.requireEqual(p, fmt.Sprintf("sbtest%d", n+1)); err != nil {
					return nil, err
				}
			}
		}
	}
	sorted := slices.Sorted(slices.Values(r.Ratio))
	r.Median = (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	r.PeakMiB = [2]int64{b.peak[0] >> 20, b.peak[1] >> 20}
	b.printf("median ratio %.2f; tables equal by CHECKSUM TABLE; agents at most %d and %d MiB resident\n\n", r.Median, r.PeakMiB[0], r.PeakMiB[1])
	return r, nil
}

// copy makes a table of sysbench at the second server as it is at the first.
func (b *bench) copy(p pair, table string) error {
	from, err := client.Connect(p[0].Addr(), "root", "", "shop")
	if err != nil {
		return err
	}
	defer from.Close()
	definition, err := from.Execute("SHOW CREATE TABLE " + table)
	if err != nil {
		return err
	}
	create, err := definition.GetString(0, 1)
	if err != nil {
		return err
	}
	rows, err := from.Execute("SELECT concat('(', id, ', ', k, ', ', quote(c), ', ', quote(pad), ')') FROM " + table)
	if err != nil {
		return err
	}
	const chunk = 1000
	statements := []string{strings.Clone(create)}
	for at := 0; at < rows.RowNumber(); at += chunk {
		var values []string
		for i := at; i < min(at+chunk, rows.RowNumber()); i++ {
			row, err := rows.GetString(i, 0)
			if err != nil {
				return err
			}
			values = append(values, row)
		}
		statements = append(statements, "INSERT INTO "+table+" (id, k, c, pad) VALUES "+strings.Join(values, ", "))
	}
	return b.exec(p[1], "shop", statements...)
}

// sysbench prepares its tables at a server, or runs the transactions of a backlog.
func (b *bench) sysbench(ctx context.Context, s *testcluster.MySQLServer, command string) error {
	host, port, _ := strings.Cut(s.Addr(), ":")
	arguments := []string{"oltp_write_only", "--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=root", "--mysql-db=shop", "--mysql-ssl=off",
		"--tables=" + strconv.Itoa(b.o.tables), "--table-size=" + strconv.Itoa(b.o.size), "--threads=" + strconv.Itoa(b.o.clients),
		"--events=" + strconv.Itoa(b.o.transactions), "--time=0", "--rand-seed=7", "--mysql-ignore-errors=1213,1020,1205", command}
	out, err := exec.CommandContext(ctx, "sysbench", arguments...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("sysbench is not installed: run scripts/install-servers.sh bench")
	}
	if err != nil {
		return fmt.Errorf("sysbench %s: %w\n%s", command, err, out)
	}
	return nil
}

func (b *bench) timeConcord(ctx context.Context, p pair, config string, http [2]string, round int) (rate float64, err error) {
	began := time.Now()
	if err := b.startAgents(config, http, b.o.profile); err != nil {
		return 0, err
	}
	if err := b.await(ctx, p[1], round, 20*time.Minute); err != nil {
		return 0, err
	}
	rate = float64(b.o.transactions) / time.Since(began).Seconds()
	b.describe(ctx)
	return rate, b.stopAgents(ctx)
}

func (b *bench) timeNative(ctx context.Context, p pair, round int) (rate float64, err error) {
	began := time.Now()
	if err := b.exec(p[1], "", b.replica("START")); err != nil {
		return 0, err
	}
	if err := b.await(ctx, p[1], round, 20*time.Minute); err != nil {
		return 0, err
	}
	rate = float64(b.o.transactions) / time.Since(began).Seconds()
	return rate, b.exec(p[1], "", b.replica("STOP"))
}

func (b *bench) replica(verb string) string {
	if b.o.product == testcluster.MySQL {
		return verb + " REPLICA"
	}
	return verb + " SLAVE"
}

// subscribe prepares the servers' own replication from the first to the second, from here
// on, with GTIDs. It is not started.
func (b *bench) subscribe(p pair) error {
	host, port, _ := strings.Cut(p[0].Addr(), ":")
	if b.o.product == testcluster.MySQL {
		if err := b.exec(p[0], "", "CREATE USER repl@'%' IDENTIFIED BY 'repl'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'"); err != nil {
			return err
		}
		executed, err := b.text(p[0], "", "SELECT @@global.gtid_executed")
		if err != nil {
			return err
		}
		return b.exec(p[1], "", "RESET BINARY LOGS AND GTIDS", fmt.Sprintf("SET GLOBAL gtid_purged = '%s'", strings.ReplaceAll(executed, "\n", "")),
			fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '%s', SOURCE_PORT = %s, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'repl', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1", host, port))
	}
	if err := b.exec(p[0], "", "CREATE USER repl@'%' IDENTIFIED BY 'repl'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'"); err != nil {
		return err
	}
	position, err := b.text(p[0], "", "SELECT @@global.gtid_binlog_pos")
	if err != nil {
		return err
	}
	return b.exec(p[1], "", "RESET MASTER", fmt.Sprintf("SET GLOBAL gtid_slave_pos = '%s'", position),
		fmt.Sprintf("CHANGE MASTER TO MASTER_HOST = '%s', MASTER_PORT = %s, MASTER_USER = 'repl', MASTER_PASSWORD = 'repl', MASTER_USE_GTID = slave_pos", host, port))
}
