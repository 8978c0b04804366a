package site

import (
	"context"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream"
)

const (
	clockEvery = 5 * time.Second
	pruneEvery = 10 * time.Minute
)

// prune removes old conflict records.
func (s *Site) prune(ctx context.Context) error {
	for {
		if _, err := s.db.PruneConflicts(ctx, s.cfg.Defaults.ConflictRetention, s.cfg.Defaults.ConflictMax); err != nil && ctx.Err() == nil {
			s.log.Warn("pruning conflicts", "error", err)
		}
		if !sleep(ctx, pruneEvery) {
			return nil
		}
	}
}

// watchClock compares a peer's clock with ours now and then.
func (s *Site) watchClock(ctx context.Context, peer change.Site) error {
	to, _ := s.cfg.Site(peer)
	for {
		mctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		bus, err := s.dial(mctx, to, "concord clock at "+string(s.self.Name))
		if err == nil {
			var r stream.ClockReading
			if r, err = stream.MeasureClock(mctx, bus, s.cfg.Cluster, peer); err == nil {
				s.mu.Lock()
				s.clocks[peer] = Clock{Offset: r.Offset, RTT: r.RTT, At: time.Now()}
				s.mu.Unlock()
			}
			bus.Close()
		}
		cancel()
		if !sleep(ctx, clockEvery) {
			return nil
		}
	}
}

// others is what the other sites' clocks say now: the furthest ahead of those
// measured lately. Zero when none is known.
func (s *Site) others() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var latest time.Time
	now := time.Now()
	for _, c := range s.clocks {
		if !c.At.IsZero() && now.Sub(c.At) < time.Minute {
			if t := now.Add(c.Offset); t.After(latest) {
				latest = t
			}
		}
	}
	return latest
}

// sleep waits and reports false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
