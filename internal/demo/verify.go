package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/demo/compare"
)

// settleTime is what apply has for changes that it looks at again after their commit.
const settleTime = 2 * time.Second

// verify waits until each side has everything that was written at the other, and
// compares them row by row. Nobody may write meanwhile. It waits until ctx ends.
func verify(ctx context.Context, sites [2]*site) (v Verdict, err error) {
	var conns [2]*pgx.Conn
	for i, s := range sites {
		if conns[i], err = pgx.Connect(ctx, s.dsn); err != nil {
			return v, fmt.Errorf("connecting to %s: %w", s.name, err)
		}
		defer conns[i].Close(context.WithoutCancel(ctx))
	}
	began := time.Now()
	if err := quiesce(ctx, conns); err != nil {
		return v, errors.Join(err, missing(sites))
	}
	v.Waited = time.Since(began)
	if v.Tables, err = compare.All(ctx, conns, "public"); err != nil {
		return v, err
	}
	if !v.Equal() {
		// Once more, with the same proof that both sides have caught up: what lasts
		// is a difference, what does not is told.
		if err := pause(ctx, settleTime); err != nil {
			return v, err
		}
		if err := quiesce(ctx, conns); err != nil {
			return v, err
		}
		if v.Tables, err = compare.All(ctx, conns, "public"); err != nil {
			return v, err
		}
		v.Again = v.Equal()
	}
	for i, conn := range conns {
		if err := v.count(ctx, i, conn); err != nil {
			return v, fmt.Errorf("counting the conflicts of %s: %w", sites[i].name, err)
		}
	}
	return v, nil
}

// count reads what Concord recorded at site i.
func (v *Verdict) count(ctx context.Context, i int, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT kind, count(*) FROM concord.conflict GROUP BY kind`)
	if err != nil {
		return err
	}
	v.Kinds[i] = map[string]int64{}
	var kind string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&kind, &n}, func() error {
		v.Kinds[i][kind] = n
		v.Conflicts[i] += n
		return nil
	})
	if err != nil {
		return err
	}
	return conn.QueryRow(ctx, `SELECT count(*) FROM concord.parked`).Scan(&v.Parked[i])
}

// quiesce writes a marker at each site and returns when both have arrived at the
// other: a site's transactions are applied in order, so all before are there too.
func quiesce(ctx context.Context, conns [2]*pgx.Conn) error {
	var numbers [2]int64
	for i, conn := range conns {
		err := conn.QueryRow(ctx, `INSERT INTO markers VALUES ($1, 1) ON CONFLICT (site) DO UPDATE SET number = markers.number + 1 RETURNING number`,
			names[i]).Scan(&numbers[i])
		if err != nil {
			return fmt.Errorf("writing a marker at %s: %w", names[i], err)
		}
	}
	for i := range conns {
		there := 1 - i
		for {
			var number int64
			err := conns[there].QueryRow(ctx, `SELECT number FROM markers WHERE site = $1`, names[i]).Scan(&number)
			if err == nil && number >= numbers[i] {
				break
			}
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return fmt.Errorf("waiting for the changes of %s at %s: %w", names[i], names[there], err)
			}
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("waiting for the changes of %s at %s: %w", names[i], names[there], err)
			}
		}
	}
	return nil
}

// missing says which agent is not there, when one is not.
func missing(sites [2]*site) error {
	for _, s := range sites {
		if !s.agent.Running() {
			return fmt.Errorf("the agent of %s is not running: concord demo start %s", s.name, s.name)
		}
	}
	return nil
}

// pause waits for d, or for ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
