package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// workersPerSite is how many connections write at each site.
const workersPerSite = 4

// transactionTimeout bounds one transaction of the load: an application would not
// wait longer.
const transactionTimeout = 10 * time.Second

// load writes at both sites as an application would: it goes on when a database or a
// connection fails, and knows nothing of replication.
type load struct {
	db     Databases
	sites  [2]*site
	rate   float64 // transactions per second and site
	counts [2]loadCounts
}

// loadCounts are what the load did at one site.
type loadCounts struct {
	transactions atomic.Int64
	rows         atomic.Int64
	failed       atomic.Int64 // rolled back, or the database could not be reached
}

// run writes until ctx ends. It may be called again afterwards, not concurrently.
func (l *load) run(ctx context.Context) {
	var wait sync.WaitGroup
	for i := range l.sites {
		for range workersPerSite {
			wait.Go(func() { l.work(ctx, i) })
		}
	}
	wait.Wait()
}

// work is one connection's life at site i.
func (l *load) work(ctx context.Context, i int) {
	var conn shop
	defer func() {
		if conn != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			conn.close(closing)
		}
	}()
	every := time.Duration(float64(time.Second) * workersPerSite / l.rate)
	pace := time.NewTicker(every) // drops ticks when the site is slow: no burst follows
	defer pace.Stop()
	shopper := &shopper{site: l.sites[i].name, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		rows, err := l.once(ctx, i, &conn, shopper)
		if err != nil {
			l.counts[i].failed.Add(1)
			continue
		}
		l.counts[i].transactions.Add(1)
		l.counts[i].rows.Add(rows)
	}
}

// once runs one transaction to its end, even when ctx ends meanwhile. *conn is
// connected when it is nil, and nil after the connection failed.
func (l *load) once(ctx context.Context, i int, conn *shop, s *shopper) (rows int64, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	defer cancel()
	if *conn == nil {
		if *conn, err = openShop(ctx, l.sites[i].dsn, l.db); err != nil {
			*conn = nil
			return 0, err
		}
		s.speaks = (*conn).dialect()
	}
	defer func() {
		if (*conn).broken() {
			*conn = nil
		}
	}()
	tx, err := (*conn).begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.rollback(ctx)
	if rows, err = s.act(ctx, tx); err != nil {
		return 0, err
	}
	if err := tx.commit(ctx); err != nil {
		return 0, fmt.Errorf("committing: %w", err)
	}
	return rows, nil
}
