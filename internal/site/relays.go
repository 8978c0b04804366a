package site

import (
	"context"
	"errors"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream"
)

// relay copies a peer's stream whenever that is this process' business, until ctx
// ends. It goes on when the database is down: a peer's log is stored all the same.
func (s *Site) relay(ctx context.Context, bus *stream.Bus, peer change.Site) error {
	return s.bound.while(ctx, func(ctx context.Context) error {
		defer s.setRelay(peer, nil)
		for {
			r := s.newRelay(bus, peer)
			s.setRelay(peer, r)
			err := r.Run(ctx)
			if ctx.Err() != nil || !errors.Is(err, change.ErrStandby) {
				return err
			}
			// Another process has taken the copy over. Where we lead it was one that did
			// not know yet; where we do not, it is the one that leads.
			s.log.Info("another agent of this site stores the peer's stream", "origin", string(peer), "reason", err)
			if !s.leads() {
				s.bound.set(false)
				return nil
			}
			sleep(ctx, time.Second)
		}
	})
}

func (s *Site) newRelay(bus *stream.Bus, peer change.Site) *stream.Relay {
	return stream.NewRelay(bus, s.cfg.Cluster, s.self.Name, peer, func(ctx context.Context) (*stream.Bus, error) {
		to, _ := s.cfg.Site(peer)
		return s.dial(ctx, to, "concord relay at "+string(s.self.Name))
	}, stream.RelayOptions{MaxBytes: s.cfg.Defaults.StreamMaxBytes, Logger: s.log})
}

func (s *Site) setRelay(peer change.Site, r *stream.Relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relays[peer] = r
}
