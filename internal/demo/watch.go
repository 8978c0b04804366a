package demo

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

func (d *Demo) greet() {
	d.printf("\n  config    %s\n", d.State.Config)
	for _, s := range d.State.Sites {
		d.printf("  %-9s http://%s/   psql -h 127.0.0.1 -p %d -U postgres shop\n", s.Name, s.HTTP, s.Port)
	}
	end := "Ctrl-C"
	if d.o.For > 0 {
		end = "by itself after " + d.o.For.String() + ", or Ctrl-C"
	}
	d.printf("  try       concord demo conflict | kill SITE | start SITE | load | verify\n  ends      %s\n\n", end)
}

// loadAndWatch writes to both sites and shows what happens until ctx ends.
func (d *Demo) loadAndWatch(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range d.State.Sites {
		s.load = NewLoad(s.Name, s.DSN, d.o.Writers, d.o.Pause)
		wg.Go(func() { s.load.Run(ctx) })
	}
	every := time.Second
	if !d.o.Terminal {
		every = 5 * time.Second
	}
	began := time.Now()
	d.printf("%-8s %-8s %12s %8s %10s %10s %8s %8s\n", "TIME", "SITE", "TRANSACTIONS", "TX/S", "LAG", "CONFLICTS", "PARKED", "MEMORY")
	last := map[string]int64{}
	drawn := false
	for {
		wait(ctx, every)
		if d.o.Terminal && drawn {
			d.printf("\x1b[%dA", len(d.State.Sites))
		}
		drawn = true
		for _, s := range d.State.Sites {
			n, _ := s.load.Counts()
			d.printf("%-8s %s\x1b[K\n", time.Since(began).Round(time.Second), d.line(context.WithoutCancel(ctx), s, n, float64(n-last[s.Name])/every.Seconds()))
			last[s.Name] = n
		}
		if ctx.Err() != nil {
			break
		}
	}
	wg.Wait()
}

func (d *Demo) line(ctx context.Context, s *Site, n int64, rate float64) string {
	r, err := s.status(ctx)
	if err != nil || len(r.Links) == 0 {
		return fmt.Sprintf("%-8s %12d %8.0f   agent is down", s.Name, n, rate)
	}
	l := r.Links[0]
	lag := fmt.Sprintf("%.0f ms", l.LagSeconds*1000)
	if l.LagSeconds >= 1 {
		lag = fmt.Sprintf("%.1f s", l.LagSeconds)
	}
	if l.State != "streaming" && l.State != "catching_up" {
		lag = l.State
	}
	return fmt.Sprintf("%-8s %12d %8.0f %10s %10d %8d %5d MB", s.Name, n, rate, lag, r.Conflicts, r.Parked, memory(s.PID)>>20)
}

// memory is the resident memory of a process, in bytes; 0 when unknown.
func memory(pid int) int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64) // 0 says it is unknown
			return n << 10
		}
	}
	return 0
}

// finish waits until both sides have everything, compares them and gives the verdict.
func (d *Demo) finish(ctx context.Context) error {
	d.printf("\n")
	var conns []*pgx.Conn
	for _, s := range d.State.Sites {
		conn, err := pgx.Connect(ctx, s.DSN)
		if err != nil {
			return fmt.Errorf("connecting to %s: %w", s.Name, err)
		}
		defer closeConn(ctx, conn)
		conns = append(conns, conn)
	}
	if err := d.step("waiting until both sides have everything", func() (string, error) { return "", quiesce(ctx, conns) }); err != nil {
		return err
	}
	verdicts, err := verify(ctx, conns)
	if err != nil {
		return err
	}
	d.printf("\n%-14s %12s %12s %12s\n", "TABLE", d.State.Sites[0].Name, d.State.Sites[1].Name, "DIFFERENCES")
	different := 0
	for _, v := range verdicts {
		d.printf("%-14s %12d %12d %12d\n", v.Table, v.Rows[0], v.Rows[1], v.Differences)
		if v.Differences > 0 {
			d.printf("  for example: %.160s\n", v.Example)
		}
		different += v.Differences
	}
	var total int64
	for i, conn := range conns {
		n, kinds, err := conflicts(ctx, conn)
		if err != nil {
			return err
		}
		total += n
		d.printf("%s settled %d conflicts: %s\n", d.State.Sites[i].Name, n, kinds)
	}
	if different > 0 {
		d.printf("\nverdict: %d rows DIFFER\n", different)
		return ErrDiffer
	}
	d.printf("\nverdict: both sides are EQUAL, row by row; %d conflicts settled the same way at both\n", total)
	return nil
}

// quiesce waits until what was committed at either site is applied at the other: a
// customer written at each arrives at the other, and streams are in order.
func quiesce(ctx context.Context, conns []*pgx.Conn) error {
	mark := "end of the demo " + strconv.FormatInt(time.Now().UnixNano(), 10)
	for _, c := range conns {
		if _, err := c.Exec(ctx, `INSERT INTO customers (name, email) VALUES ($1, '')`, mark); err != nil {
			return err
		}
	}
	for {
		arrived := 0
		for _, c := range conns {
			var n int
			if err := c.QueryRow(ctx, `SELECT count(*) FROM customers WHERE name = $1`, mark).Scan(&n); err != nil {
				return err
			}
			if n == len(conns) {
				arrived++
			}
		}
		if arrived == len(conns) {
			return nil
		}
		wait(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("they do not within the time allowed: %w", ctx.Err())
		}
	}
}

func verify(ctx context.Context, conns []*pgx.Conn) ([]Verdict, error) {
	var out []Verdict
	for _, table := range tables {
		v, err := Compare(ctx, conns[0], conns[1], table)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func conflicts(ctx context.Context, conn *pgx.Conn) (n int64, kinds string, err error) {
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(n), 0)::bigint, coalesce(string_agg(kind || ' ' || n, ', ' ORDER BY kind), 'none')
		FROM (SELECT kind, count(*) AS n FROM concord.conflict GROUP BY kind) k`).Scan(&n, &kinds)
	return n, kinds, err
}
