package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// checkpoints reads where every origin stands in the database. A crash of the database
// may have taken back commits of any of them: whichever link learns of it first takes
// them out of the window, since no link may decide against writes that are not there.
// They come again, and would meet the same writes a second time.
func (l *Link) checkpoints(ctx context.Context) (map[change.Site]Checkpoint, error) {
	type stand struct {
		seq   uint64
		lives int
	}
	before := map[change.Site]stand{}
	for from, o := range l.agent.links {
		o.mu.Lock()
		before[from] = stand{o.status.Applied.Seq, o.lives}
		o.mu.Unlock()
	}
	points, err := l.agent.target.Checkpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	back := false
	for _, from := range slices.Sorted(maps.Keys(before)) {
		if points[from].Seq >= before[from].seq {
			continue
		}
		back = true
		o := l.agent.links[from]
		err := o.takenBack(ctx, points[from], before[from].lives)
		if err != nil && (o == l || !errors.Is(err, change.ErrNeedsCopy)) {
			return nil, fmt.Errorf("reading the stream of %s back to %d: %w", from, points[from].Seq, err)
		}
	}
	if back { // what was parked with them is gone too, and what they had settled is there
		if err := l.agent.park.load(ctx, l.agent.target); err != nil {
			return nil, fmt.Errorf("reading parked changes: %w", err)
		}
	}
	return points, nil
}

// takenBack brings the window back to c, before which the link had been in this life:
// unless another link has done so, and the link may already have gone on from there.
func (l *Link) takenBack(ctx context.Context, c Checkpoint, life int) error {
	w := l.agent.o.Window
	var earlier []conflict.KeyWrite
	if keys := w.LatestAfter(l.from, c.Seq); len(keys) > 0 {
		err := replay(ctx, l.source, c.Epoch, min(w.Low(l.from), c.Seq), c.Seq, func(t *change.Transaction) {
			if t.More || t.Part > 0 {
				return // held apart, and still there
			}
			for _, k := range newGroup([]change.Transaction{*t}, l.accepts).keys {
				if !keys[k.key] {
					continue
				}
				for _, e := range k.es {
					earlier = append(earlier, conflict.KeyWrite{Key: k.key, Write: e})
				}
			}
		})
		if err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lives != life {
		return nil
	}
	l.lives++
	w.Lost(l.from, c.Seq, earlier)
	c.Origin = l.from
	l.status.Applied = c
	l.forgetRechecks(func(r recheck) bool { return r.seq > c.Seq })
	return nil
}
