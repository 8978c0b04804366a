package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/internal/demo/compare"
)

// settleTime is what apply has for changes that it looks at again after their commit.
const settleTime = 2 * time.Second

// verify waits until each side has everything that was written at the other, and
// compares them row by row. Nobody may write meanwhile. It waits until ctx ends.
func verify(ctx context.Context, sites [2]*site, db Databases) (v Verdict, err error) {
	var shops [2]shop
	for i, s := range sites {
		if shops[i], err = openShop(ctx, s.dsn, db); err != nil {
			return v, fmt.Errorf("connecting to %s: %w", s.name, err)
		}
		defer shops[i].close(context.WithoutCancel(ctx))
	}
	began := time.Now()
	if err := quiesce(ctx, shops); err != nil {
		return v, errors.Join(err, missing(sites))
	}
	v.Waited = time.Since(began)
	compared := [2]compare.Side{shops[0].side(), shops[1].side()}
	if v.Tables, err = compare.All(ctx, compared, db.schema()); err != nil {
		return v, err
	}
	if !v.Equal() {
		// Once more, with the same proof that both sides have caught up: what lasts
		// is a difference, what does not is told.
		if err := pause(ctx, settleTime); err != nil {
			return v, err
		}
		if err := quiesce(ctx, shops); err != nil {
			return v, err
		}
		if v.Tables, err = compare.All(ctx, compared, db.schema()); err != nil {
			return v, err
		}
		v.Again = v.Equal()
	}
	for i, shop := range shops {
		if err := v.count(ctx, i, shop); err != nil {
			return v, fmt.Errorf("counting the conflicts of %s: %w", sites[i].name, err)
		}
	}
	return v, nil
}

// count reads what Concord recorded at site i.
func (v *Verdict) count(ctx context.Context, i int, shop shop) (err error) {
	if v.Kinds[i], err = shop.kinds(ctx); err != nil {
		return err
	}
	for _, n := range v.Kinds[i] {
		v.Conflicts[i] += n
	}
	v.Parked[i], err = shop.parked(ctx)
	return err
}

// quiesce writes a marker at each site and returns when both have arrived at the
// other: a site's transactions are applied in order, so all before are there too.
func quiesce(ctx context.Context, shops [2]shop) error {
	var numbers [2]int64
	for i, shop := range shops {
		var err error
		if numbers[i], err = shop.mark(ctx, names[i]); err != nil {
			return fmt.Errorf("writing a marker at %s: %w", names[i], err)
		}
	}
	for i := range shops {
		there := 1 - i
		for {
			number, err := shops[there].marked(ctx, names[i])
			if err != nil {
				return fmt.Errorf("waiting for the changes of %s at %s: %w", names[i], names[there], err)
			}
			if number >= numbers[i] {
				break
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
