package main

import (
	"context"
	"fmt"
	"time"
)

type partitionResult struct {
	Keys         int              `json:"keys"`
	Transactions int              `json:"transactions"`
	Runs         []partitionTimed `json:"runs"`
	// Ratio is the rate with a window that is in files by the rate with one in memory.
	Ratio float64 `json:"ratio"`
}

type partitionTimed struct {
	Memory     string  `json:"window_memory"`
	SpilledMiB int64   `json:"spilled_mib"`
	Rate       float64 `json:"transactions_per_second"`
	PeakMiB    int64   `json:"agent_peak_mib"`
}

// partition times how a site catches up that was cut off and has written many keys
// meanwhile: once with room for them in memory, once with next to none. Each site's
// changes are of keys of their own, as most are.
func (p *pair) partition(ctx context.Context, o options) (any, error) {
	r := partitionResult{Keys: o.inflight, Transactions: o.transactions}
	for i, memory := range []string{"1GiB", "1MiB"} {
		t, err := p.partitioned(ctx, fmt.Sprintf("partition%d", i), memory, o)
		if err != nil {
			return nil, err
		}
		r.Runs = append(r.Runs, t)
		p.printf("catch-up of %d transactions with %d keys in flight, window_memory %s: %.0f/s; %d MiB in files, agent at most %d MiB resident\n",
			o.transactions, o.inflight, memory, t.Rate, t.SpilledMiB, t.PeakMiB)
	}
	r.Ratio = r.Runs[1].Rate / r.Runs[0].Rate
	p.printf("ratio %.2f\n", r.Ratio)
	return r, nil
}

func (p *pair) partitioned(ctx context.Context, database, memory string, o options) (t partitionTimed, err error) {
	t.Memory = memory
	const tables = "CREATE TABLE kept (id int PRIMARY KEY, v int); CREATE TABLE work (id int PRIMARY KEY, v int)"
	if err := p.setup(ctx, database, markerTable+tables); err != nil {
		return t, err
	}
	p.defaults = fmt.Sprintf("window_memory = %q", memory)
	defer func() { p.defaults = "" }()
	if err := p.init(ctx, database); err != nil {
		return t, err
	}
	p.peak = [2]int64{}
	if err := p.startAgent(0); err != nil {
		return t, err
	}
	for i := range p.sites {
		if err := p.exec(ctx, i, database, "ALTER DATABASE "+database+" SET synchronous_commit = off"); err != nil {
			return t, err
		}
	}
	each := "DO $$ BEGIN FOR i IN 1..%d LOOP INSERT INTO %s VALUES (i, i); COMMIT; END LOOP; END $$"
	if err := p.exec(ctx, 0, database, fmt.Sprintf(each, o.inflight, "kept")); err != nil {
		return t, err
	}
	if err := p.exec(ctx, 1, database, fmt.Sprintf(each, o.transactions, "work")); err != nil {
		return t, err
	}
	if err := p.exec(ctx, 1, database, "INSERT INTO marker VALUES (1)"); err != nil {
		return t, err
	}
	if t.SpilledMiB, err = p.awaitInFlight(ctx, o.inflight); err != nil {
		return t, err
	}
	if err := p.startAgent(1); err != nil {
		return t, err
	}
	if err := p.await(ctx, 0, database, "SELECT EXISTS (SELECT FROM work)", 5*time.Minute); err != nil {
		return t, err
	}
	began := time.Now()
	if err := p.await(ctx, 0, database, marked, 20*time.Minute); err != nil {
		return t, err
	}
	t.Rate = float64(o.transactions) / time.Since(began).Seconds()
	if err := p.await(ctx, 1, database, fmt.Sprintf("SELECT count(*) = %d FROM kept", o.inflight), 20*time.Minute); err != nil {
		return t, err
	}
	if err := p.requireEqual(ctx, database, "kept", "work"); err != nil {
		return t, err
	}
	err = p.stopAgents(ctx)
	t.PeakMiB = p.peak[0] >> 20
	return t, err
}

// awaitInFlight waits until the first site's window holds so many keys.
func (p *pair) awaitInFlight(ctx context.Context, keys int) (spilledMiB int64, err error) {
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); {
		s, err := p.agents[0].Status(ctx)
		if err == nil && s.Window.Keys >= keys {
			return s.Window.SpilledBytes >> 20, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("the window does not hold %d keys%s", keys, p.logs())
}
