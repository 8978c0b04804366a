package site

import (
	"context"
	"errors"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/spill"
	"github.com/concord-db/concord/stream"
)

// runAgents makes the agents of the role and runs them until ctx ends.
func (s *Site) runAgents(ctx context.Context, bus *stream.Bus, streams logs) error {
	epoch, err := retry(ctx, s, "the database", func() (uint32, error) { return s.db.Epoch(ctx) })
	if err != nil {
		return err
	}
	// Before anything is told or decided.
	if _, err := retry(ctx, s, "the rules of the sites", func() (struct{}, error) { return struct{}{}, s.rules.begin(ctx) }); err != nil {
		return err
	}
	var c *capture.Agent
	co := capture.Options{
		Cluster: s.cfg.Cluster, Site: s.self.Name, Epoch: epoch, Beater: s.db, Rules: s.rules.own,
		ReleaseDelay: bus.SyncDelay(), MaxDrift: s.cfg.Defaults.MaxClockDrift, Others: s.others, Size: stream.TransactionSize, Logger: s.log,
	}
	publisher := stream.NewPublisher(bus, s.cfg.Cluster, s.self.Name, stream.PublisherOptions{MaxBytes: s.cfg.Defaults.StreamMaxBytes})
	if s.role != Apply {
		// The stream must be there before its log is read.
		if _, err := retry(ctx, s, "the own stream", func() (change.Tail, error) { return publisher.Tail(ctx) }); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	if s.role == Capture {
		c = capture.New(s.db, publisher, co)
		s.set(c, nil, nil)
		s.show(running, "")
		s.runCapture(ctx, g, bus, c, streams)
		return g.Wait()
	}
	policies, err := s.policies()
	if err != nil {
		return err
	}
	store, err := retry(ctx, s, "the spill files", func() (*spill.Store, error) { return spill.Open(filepath.Join(s.self.Data, "window")) })
	if err != nil {
		return err
	}
	defer func() {
		_ = g.Wait() // what is being written; its error is returned already
		if err := store.Close(); err != nil {
			s.log.Warn("closing the spill files", "error", err)
		}
	}()
	window := conflict.NewWindow(conflict.WindowOptions{
		Self: s.self.Name, Peers: s.cfg.Peers(s.self.Name), Policy: policies, Disputed: s.rules.dispute, Memory: s.self.WindowMemory, Store: store,
		Background: func(write func()) {
			g.Go(func() error { write(); return nil })
		},
	})
	options := s.applyOptions(window, streams, policies)
	var agent *apply.Agent
	if s.role == Apply {
		options.FeedWindow = true
		agent = apply.New(s.db, stream.NewFenceClient(bus, s.cfg.Cluster, s.self.Name, window.AwaitLocal), options)
	} else {
		co.Window = window
		co.Feed = func(ctx context.Context, seq uint64) error { return agent.FeedOwn(ctx, seq) }
		c = capture.New(s.db, publisher, co)
		agent = apply.New(s.db, c, options)
	}
	s.set(c, agent, window)
	spilled, err := retry(ctx, s, "what has been applied", func() (failed, error) {
		err := agent.Rebuild(ctx)
		if errors.Is(err, conflict.ErrStore) {
			return failed{err}, nil // not with this window
		}
		return failed{}, err
	})
	if err = errors.Join(err, spilled.err); err != nil {
		return err
	}
	s.show(running, "")
	if c != nil {
		s.runCapture(ctx, g, bus, c, streams)
	}
	g.Go(func() error { return agent.Run(ctx) })
	g.Go(func() error {
		return stream.ServeRows(ctx, bus, s.cfg.Cluster, s.self.Name, s.giveRows(agent.GiveRows))
	})
	g.Go(func() error { return s.trim(ctx, agent, streams) })
	g.Go(func() error { return s.makeRoom(ctx, agent, streams) })
	g.Go(func() error { return s.prune(ctx) })
	return g.Wait()
}

// failed is an error that trying again does not mend.
type failed struct{ err error }

// runCapture runs capture and answers the fences of an apply agent elsewhere.
func (s *Site) runCapture(ctx context.Context, g *errgroup.Group, bus *stream.Bus, c *capture.Agent, streams logs) {
	g.Go(func() error { return stream.ServeFence(ctx, bus, s.cfg.Cluster, s.self.Name, c) })
	g.Go(func() error { return c.Run(ctx) })
	g.Go(func() error { return s.letGrow(ctx, c, streams) })
}

func (s *Site) set(c *capture.Agent, a *apply.Agent, w *conflict.Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capture, s.apply, s.window = c, a, w
}

func (s *Site) applyOptions(w *conflict.Window, streams logs, policies func(*change.Table) conflict.Policy) apply.Options {
	peers := s.cfg.Peers(s.self.Name)
	copies := map[change.Site]apply.Log{}
	for p, l := range streams.copies {
		copies[p] = s.translated(p, l)
	}
	return apply.Options{
		Site: s.self.Name, Window: w, Own: streams.own, Logs: copies, Policy: policies, NoteRules: s.rules.note,
		Accepts: byPeer(peers, func(t *change.Table, from change.Site) bool { return s.cfg.Replicated(t.QualifiedName(), from) }),
		OneWay: byPeer(peers, func(t *change.Table, from change.Site) bool {
			r, ok := s.cfg.Rule(t.QualifiedName())
			return ok && r.From == from
		}),
		Rows:         s.askRows,
		Stop:         s.cfg.Defaults.OnError == config.Stop,
		FenceTimeout: s.cfg.Defaults.FenceTimeout,
		MaxDrift:     s.cfg.Defaults.MaxClockDrift,
		Logger:       s.log,
	}
}
