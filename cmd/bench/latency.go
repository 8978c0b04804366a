package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
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
func (p *pair) latency(ctx context.Context, o options) (any, error) {
	const database = "latency"
	if err := p.setup(ctx, database, markerTable+"CREATE TABLE event (id bigint PRIMARY KEY, body text NOT NULL)"); err != nil {
		return nil, err
	}
	if err := p.init(ctx, database); err != nil {
		return nil, err
	}
	p.peak = [2]int64{}
	if err := p.startAgents(); err != nil {
		return nil, err
	}
	if err := p.exec(ctx, 0, database, "INSERT INTO marker VALUES (1)"); err != nil {
		return nil, err
	}
	if err := p.await(ctx, 1, database, marked, time.Minute); err != nil {
		return nil, err
	}
	n := o.rate * o.seconds
	var mu sync.Mutex
	committed := make([]time.Time, n+1)
	var took []time.Duration
	writing := make(chan error, 1)
	go func() {
		writing <- p.pace(ctx, database, o.rate, n, func(i int) { mu.Lock(); committed[i] = time.Now(); mu.Unlock() })
	}()
	conn, err := pgx.Connect(ctx, p.sites[1].DSN(database))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	for seen := 0; seen < n; {
		var last int
		if err := conn.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM event").Scan(&last); err != nil {
			return nil, err
		}
		now := time.Now()
		mu.Lock()
		for seen < last {
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
		}
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r := latencyResult{Rate: o.rate, N: n, P50: ms(took[n/2]), P99: ms(took[n*99/100]), Max: ms(took[n-1])}
	if err := p.stopAgents(ctx); err != nil {
		return nil, err
	}
	r.PeakMiB = [2]int64{p.peak[0] >> 20, p.peak[1] >> 20}
	p.printf("latency at %d transactions/s, commit to visible at the peer: p50 %.1f ms, p99 %.1f ms, max %.1f ms (%d transactions)\n\n", r.Rate, r.P50, r.P99, r.Max, r.N)
	return r, nil
}

func (p *pair) pace(ctx context.Context, database string, rate, n int, done func(int)) error {
	conn, err := pgx.Connect(ctx, p.sites[0].DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := 1; i <= n; i++ {
		<-tick.C
		if _, err := conn.Exec(ctx, "INSERT INTO event VALUES ($1, 'something happened')", i); err != nil {
			return err
		}
		done(i)
	}
	return nil
}
