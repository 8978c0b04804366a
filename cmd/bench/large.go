package main

import (
	"context"
	"fmt"
	"time"
)

type largeResult struct {
	Rows    int      `json:"rows"`
	Seconds float64  `json:"seconds"`
	PeakMiB [2]int64 `json:"agent_peak_mib"`
}

// large sends one transaction of millions of rows while the agents run.
func (p *pair) large(ctx context.Context, o options) (any, error) {
	const database = "large"
	if err := p.setup(ctx, database, markerTable+"CREATE TABLE big (id int PRIMARY KEY, body text NOT NULL)"); err != nil {
		return nil, err
	}
	if err := p.init(ctx, database); err != nil {
		return nil, err
	}
	p.peak = [2]int64{}
	if err := p.startAgents(); err != nil {
		return nil, err
	}
	if err := p.exec(ctx, 0, database, fmt.Sprintf("INSERT INTO big SELECT i, 'row number ' || i FROM generate_series(1, %d) i", o.rows)); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.exec(ctx, 0, database, "INSERT INTO marker VALUES (1)"); err != nil {
		return nil, err
	}
	if err := p.await(ctx, 1, database, marked, 20*time.Minute); err != nil {
		return nil, err
	}
	took := time.Since(began)
	if err := p.requireEqual(ctx, database, "big"); err != nil {
		return nil, err
	}
	if err := p.stopAgents(ctx); err != nil {
		return nil, err
	}
	r := largeResult{Rows: o.rows, Seconds: took.Seconds(), PeakMiB: [2]int64{p.peak[0] >> 20, p.peak[1] >> 20}}
	p.printf("one transaction of %d rows: %.1f s after its commit; agents at most %d and %d MiB resident\n", r.Rows, r.Seconds, r.PeakMiB[0], r.PeakMiB[1])
	return r, nil
}
