package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	sysbenchTables = 2
	sysbenchRows   = 2000
)

// oltp_read_write of sysbench plays at both sites of a pair, on the same rows, while agents
// and servers are killed and lines cut. Both end with the same tables, by CHECKSUM TABLE
// and row by row.
func TestSysbenchAtBothSites(t *testing.T) {
	for _, on := range []servers{mySQL, mariaDB} {
		t.Run(on.String(), func(t *testing.T) {
			p := newPair(t, pairOptions{products: on.products, rules: mysqlRules, mysql: "CREATE TABLE marker (id varchar(60) PRIMARY KEY);\n"})
			p.b.prepareSysbench(0)
			p.a.start()
			p.b.start()
			p.a.prepareSysbench(sysbenchRows) // at pune they arrive
			p.quiesce(60 * time.Second)
			p.requireEqual()

			until := time.Now().Add(time.Duration(10*scale()) * time.Second)
			ctx, cancel := context.WithDeadline(t.Context(), until.Add(time.Second))
			defer cancel()
			transactions := make([]int, 2)
			var both sync.WaitGroup
			for i, s := range p.sites {
				both.Go(func() { transactions[i] = s.playSysbench(ctx, until) })
			}
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			kills, cuts, crashes := 0, 0, 0
			for r := rand.New(rand.NewPCG(seed, 99)); time.Now().Before(until); crashes++ {
				k, c := p.trouble(r, 5*time.Second)
				kills, cuts = kills+k, cuts+c
				s := p.sites[r.IntN(2)]
				s.crashServer()
				<-time.After(time.Duration(r.IntN(1000)) * time.Millisecond)
				s.startServer()
			}
			both.Wait()
			p.drain(90 * time.Second)
			p.requireEqual()
			for n := range sysbenchTables {
				sum := fmt.Sprintf("CHECKSUM TABLE sbtest%d", n+1)
				if a, b := p.a.one(sum), p.b.one(sum); a != b {
					t.Errorf("%s: %s at mumbai, %s at pune", sum, a, b)
				} else {
					t.Logf("%s: %s at both, %s rows", sum, a, p.a.one(fmt.Sprintf("SELECT count(*) FROM sbtest%d", n+1)))
				}
			}
			conflicts := p.a.one("SELECT count(*) FROM concord.conflict")
			if transactions[0] == 0 || transactions[1] == 0 || conflicts == "0" {
				t.Errorf("%d transactions, %s conflicts: nothing is shown", transactions, conflicts)
			}
			for _, s := range p.sites {
				if parked := s.query("SELECT reason, message FROM concord.parked LIMIT 3"); len(parked) > 0 {
					t.Errorf("%s: parked: %v", s.name, parked)
				}
			}
			t.Logf("sysbench oltp_read_write: %d transactions, %d kills of agents, %d of servers, %d cuts, %s conflicts at mumbai", transactions, kills, crashes, cuts, conflicts)
		})
	}
}

// prepareSysbench makes the tables, with rows.
func (s *site) prepareSysbench(rows int) {
	s.t.Helper()
	if out, err := s.sysbench(s.t.Context(), fmt.Sprintf("--table-size=%d", rows), "prepare"); err != nil {
		s.t.Fatalf("%s: sysbench prepare (scripts/install-servers.sh installs it): %v\n%s", s.name, err, out)
	}
}

// sysbench runs oltp_read_write at the site's server.
func (s *site) sysbench(ctx context.Context, arguments ...string) (string, error) {
	host, port, err := net.SplitHostPort(s.mysql.Addr())
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "sysbench", append([]string{
		"oltp_read_write", "--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=root", "--mysql-db=shop", "--mysql-ssl=off",
		fmt.Sprintf("--tables=%d", sysbenchTables), "--threads=2", "--mysql-ignore-errors=1213,1020,1205,1062",
	}, arguments...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var sysbenchRate = regexp.MustCompile(`tps: ([0-9.]+)`)

// playSysbench runs transactions until the time is over, and begins again when a server
// that was killed ended it. It returns about how many were committed.
func (s *site) playSysbench(ctx context.Context, until time.Time) (transactions int) {
	for left := time.Until(until); left > time.Second; left = time.Until(until) {
		out, _ := s.sysbench(ctx, fmt.Sprintf("--table-size=%d", sysbenchRows), "--rate=60", "--report-interval=1", fmt.Sprintf("--time=%d", int(left.Seconds())), "run") // ended by a kill or by the time
		for _, second := range sysbenchRate.FindAllStringSubmatch(out, -1) {
			rate, err := strconv.ParseFloat(second[1], 64)
			if err != nil {
				s.t.Errorf("sysbench says %q", second[0])
			}
			transactions += int(rate)
		}
		if !strings.Contains(out, "tps:") {
			pause(ctx, 200*time.Millisecond)
		}
	}
	return transactions
}
