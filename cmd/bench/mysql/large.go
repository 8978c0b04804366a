package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

type largeResult struct {
	Rows    int      `json:"rows"`
	Seconds float64  `json:"seconds"`
	PeakMiB [2]int64 `json:"agent_peak_mib"`
}

// large sends one transaction of millions of rows while the agents run.
func large(ctx context.Context, b *bench) (any, error) {
	p, err := b.running(ctx, "CREATE TABLE big (id int PRIMARY KEY, body varchar(60) NOT NULL)")
	if err != nil {
		return nil, err
	}
	const chunk = 10000
	statements := []string{"BEGIN"}
	digits := "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	for from := 0; from < b.o.rows; from += chunk {
		statements = append(statements, fmt.Sprintf("INSERT INTO big SELECT i, concat('row number ', i) FROM (SELECT %d + a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS i FROM %s) x WHERE i < %d",
			from, strings.Join([]string{digits + " a", digits + " b", digits + " c", digits + " d"}, ", "), b.o.rows))
	}
	if err := b.exec(p[0], "shop", append(statements, "COMMIT")...); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := b.exec(p[0], "shop", "INSERT INTO marker VALUES (1)"); err != nil {
		return nil, err
	}
	if err := b.await(ctx, p[1], 1, 30*time.Minute); err != nil {
		return nil, err
	}
	took := time.Since(began)
	if err := b.requireEqual(p, "big"); err != nil {
		return nil, err
	}
	if err := b.stopAgents(ctx); err != nil {
		return nil, err
	}
	r := largeResult{Rows: b.o.rows, Seconds: took.Seconds(), PeakMiB: [2]int64{b.peak[0] >> 20, b.peak[1] >> 20}}
	b.printf("one transaction of %d rows: %.1f s after its commit; agents at most %d and %d MiB resident\n", r.Rows, r.Seconds, r.PeakMiB[0], r.PeakMiB[1])
	return r, nil
}
