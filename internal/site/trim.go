package site

import (
	"context"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

const (
	// trimEvery is how often streams are trimmed; trimDelay how old a bound must be
	// before it counts: a crash of the database can take back what was applied just
	// now, and that must then still be in the streams.
	trimEvery = 10 * time.Second
	trimDelay = time.Minute
)

// trim drops from the streams what neither apply nor the window needs.
func (s *Site) trim(ctx context.Context, agent *apply.Agent, streams logs) error {
	type bounds struct {
		at time.Time
		of map[change.Site]uint64
	}
	var waiting []bounds
	for sleep(ctx, trimEvery) {
		waiting = append(waiting, bounds{time.Now(), agent.TrimBounds()})
		for len(waiting) > 0 && time.Since(waiting[0].at) >= trimDelay {
			s.trimTo(ctx, streams, waiting[0].of)
			waiting = waiting[1:]
		}
	}
	return nil
}

func (s *Site) trimTo(ctx context.Context, streams logs, bounds map[change.Site]uint64) {
	for origin, seq := range bounds {
		log := streams.copies[origin]
		if origin == s.self.Name {
			log = streams.own
		}
		if log == nil || seq == 0 {
			continue
		}
		if err := log.Trim(ctx, seq); err != nil && ctx.Err() == nil {
			s.log.Warn("trimming", "stream", string(origin), "error", err)
		}
	}
}
