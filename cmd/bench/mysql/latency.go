package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

type latencyResult struct {
	Rate    int      `json:"transactions_per_second"`
	N       int      `json:"transactions"`
	P50     float64  `json:"p50_ms"`
	P99     float64  `json:"p99_ms"`
	Max     float64  `json:"max_ms"`
	PeakMiB [2]int64 `json:"agent_peak_mib"`
}

// latency paces single-row transactions at one site and measures, from the return of
// each commit, how long until the row is visible at the other.
func latency(ctx context.Context, b *bench) (any, error) {
	p, err := b.running(ctx, "CREATE TABLE event (id bigint PRIMARY KEY, body varchar(100) NOT NULL)")
	if err != nil {
		return nil, err
	}
	n := b.o.rate * b.o.seconds
	var mu sync.Mutex
	committed := make([]time.Time, n+1)
	writing := make(chan error, 1)
	go func() {
		writing <- b.pace(p, n, func(i int) { mu.Lock(); committed[i] = time.Now(); mu.Unlock() })
	}()
	c, err := client.Connect(p[1].Addr(), "root", "", "shop")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var took []time.Duration
	for seen := 0; seen < n; {
		r, err := c.Execute("SELECT coalesce(max(id), 0) FROM event")
		if err != nil {
			return nil, err
		}
		last, err := r.GetInt(0, 0)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		mu.Lock()
		for seen < int(last) {
			seen++
			at := committed[seen]
			if at.IsZero() || at.After(now) { // visible there before the commit returned here
				at = now
			}
			took = append(took, now.Sub(at))
		}
		mu.Unlock()
		select {
		case <-time.After(300 * time.Microsecond):
		case err := <-writing:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	if err := b.stopAgents(ctx); err != nil {
		return nil, err
	}
	r := latencyResult{Rate: b.o.rate, N: n, P50: ms(took[n/2]), P99: ms(took[n*99/100]), Max: ms(took[n-1]), PeakMiB: [2]int64{b.peak[0] >> 20, b.peak[1] >> 20}}
	b.printf("latency at %d transactions/s, commit to visible at the peer: p50 %.1f ms, p99 %.1f ms, max %.1f ms (%d transactions)\n\n", r.Rate, r.P50, r.P99, r.Max, r.N)
	return r, nil
}

// running is a pair with a table, and agents that replicate it.
func (b *bench) running(ctx context.Context, table string) (p pair, err error) {
	if p, err = b.newPair(ctx); err != nil {
		return p, err
	}
	for _, s := range p {
		if err := b.exec(s, "shop", "CREATE TABLE marker (id int PRIMARY KEY)", table); err != nil {
			return p, err
		}
	}
	config, http, err := b.init(ctx, p)
	if err != nil {
		return p, err
	}
	if err := b.startAgents(config, http, ""); err != nil {
		return p, err
	}
	if err := b.exec(p[0], "shop", "INSERT INTO marker VALUES (0)"); err != nil {
		return p, err
	}
	return p, b.await(ctx, p[1], 0, time.Minute)
}

func (b *bench) pace(p pair, n int, done func(int)) error {
	c, err := client.Connect(p[0].Addr(), "root", "", "shop")
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(time.Second / time.Duration(b.o.rate))
	defer tick.Stop()
	for i := 1; i <= n; i++ {
		<-tick.C
		if _, err := c.Execute(fmt.Sprintf("INSERT INTO event VALUES (%d, 'something happened')", i)); err != nil {
			return err
		}
		done(i)
	}
	return nil
}
