// Package site assembles one data centre from its parts: the engine, the bus, the
// capture agent, a relay for each peer, the apply agent. It starts them in the order
// in which they need each other and tries again what fails: a database or a bus that
// is down when an agent starts is a state to be shown, not the end of the process.
package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/stream"
)

// Role says which agents a process runs.
type Role string

// The roles.
const (
	All     Role = "all"
	Capture Role = "capture" // with the embedded bus and the relays
	Apply   Role = "apply"   // reads the site's bus over the network
)

// Options are what is not required of a Site.
type Options struct {
	Role   Role // All when empty
	Logger *slog.Logger
}

// Site is one data centre's agents in this process. Make it with New; Run may be
// called once.
type Site struct {
	cfg  *config.Config
	self config.Site
	role Role
	log  *slog.Logger
	db   engine.Engine

	mu       sync.Mutex
	starting string // what start-up waits for; "" when the agents run
	since    time.Time
	capture  *capture.Agent
	apply    *apply.Agent
	window   *conflict.Window
	relays   map[change.Site]*stream.Relay
	clocks   map[change.Site]Clock
	own      *stream.Log
}

// Clock is what is known of a peer's clock.
type Clock struct {
	Offset time.Duration // how far it is ahead of ours
	RTT    time.Duration
	At     time.Time // when it was measured; zero: never
}

// New prepares the agents of site name. It connects nothing. The error is about the
// configuration.
func New(cfg *config.Config, name change.Site, o Options) (*Site, error) {
	self, ok := cfg.Site(name)
	if !ok {
		return nil, fmt.Errorf("site %q is not in %s; it has %v", name, cfg.Path, cfg.Names())
	}
	if o.Role == "" {
		o.Role = All
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := Engine(cfg, name, o.Logger)
	if err != nil {
		return nil, err
	}
	return &Site{
		cfg: cfg, self: self, role: o.Role, log: o.Logger, db: db,
		starting: "the bus", since: time.Now(),
		relays: map[change.Site]*stream.Relay{}, clocks: map[change.Site]Clock{},
	}, nil
}

// Engine returns the database of a site as its configuration says. It connects
// nothing.
func Engine(cfg *config.Config, name change.Site, log *slog.Logger) (engine.Engine, error) {
	self, ok := cfg.Site(name)
	if !ok {
		return nil, fmt.Errorf("site %q is not in %s; it has %v", name, cfg.Path, cfg.Names())
	}
	dsn, err := self.ConnString()
	if err != nil {
		return nil, err
	}
	index := 0
	for i, n := range cfg.Names() {
		if n == name {
			index = i
		}
	}
	return engine.Open(dsn, enginesite.Options{
		Site: name, Cluster: cfg.Cluster, Peers: cfg.Peers(name), Index: index, Logger: log,
		Tables: func(table string) bool { return cfg.Replicated(table, name) },
	})
}

// Policy translates a rule's policy.
func Policy(p config.Policy) (conflict.Policy, error) { return conflict.ParsePolicy(p.String()) }

// Run runs the agents until ctx ends, and then returns nil.
func (s *Site) Run(ctx context.Context) error {
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		s.db.Close(closing)
	}()
	bus, stop, err := s.openBus(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer stop()

	g, ctx := errgroup.WithContext(ctx)
	logs := map[change.Site]apply.Log{}
	copies := map[change.Site]*stream.Log{}
	for _, p := range s.cfg.Peers(s.self.Name) {
		copies[p] = stream.NewLog(bus, s.cfg.Cluster, s.self.Name, p)
		logs[p] = copies[p]
		if s.role != Apply {
			r := s.newRelay(bus, p)
			g.Go(func() error { return r.Run(ctx) })
		}
		g.Go(func() error { return s.watchClock(ctx, p) })
	}
	own := stream.NewLog(bus, s.cfg.Cluster, s.self.Name, s.self.Name)
	s.mu.Lock()
	s.own = own
	s.mu.Unlock()
	if s.role != Apply {
		g.Go(func() error { return stream.ServeClock(ctx, bus, s.cfg.Cluster, s.self.Name) })
	}
	g.Go(func() error { return s.runAgents(ctx, bus, own, logs, copies) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// openBus starts the embedded bus, or connects to the operator's. Only what the
// configuration gets wrong, or another agent that has the directory, is an error.
func (s *Site) openBus(ctx context.Context) (*stream.Bus, func(), error) {
	if !s.self.Bus.Embedded() || s.role == Apply {
		b, err := retry(ctx, s, "the bus", func() (*stream.Bus, error) { return s.dial(ctx, s.self, "concord "+string(s.role)) })
		if err != nil {
			return nil, nil, err
		}
		return b, b.Close, nil
	}
	server := stream.NewServer("concord-"+string(s.self.Name), s.self.Bus.Address(), s.self.Data, stream.ServerOptions{Logger: s.log})
	if err := server.Start(ctx); err != nil {
		return nil, nil, fmt.Errorf("starting the bus: %w", err)
	}
	b, err := server.Connect(ctx, "concord")
	if err != nil {
		server.Close()
		return nil, nil, fmt.Errorf("connecting to the embedded bus: %w", err)
	}
	return b, func() { b.Close(); server.Close() }, nil
}

// dial connects to the bus of a site: this one's or a peer's.
func (s *Site) dial(ctx context.Context, to config.Site, name string) (*stream.Bus, error) {
	if to.Bus.Embedded() {
		return stream.Connect(ctx, stream.Dial{URL: to.Bus.Address(), Name: name, Lasting: to.Name == s.self.Name})
	}
	d := stream.Dial{
		URL: to.Bus.URL(), Name: name, Credentials: to.Bus.Credentials, NkeySeed: to.Bus.NkeySeed,
		CA: to.Bus.CA, Certificate: to.Bus.Certificate, Key: to.Bus.Key,
	}
	if to.Name != s.self.Name {
		return stream.Connect(ctx, d)
	}
	return stream.ConnectExternal(ctx, d, stream.External{Replicas: to.Bus.Replicas, SyncAlways: to.Bus.SyncAlways, SyncInterval: to.Bus.SyncInterval, Logger: s.log})
}

func (s *Site) newRelay(bus *stream.Bus, peer change.Site) *stream.Relay {
	r := stream.NewRelay(bus, s.cfg.Cluster, s.self.Name, peer, func(ctx context.Context) (*stream.Bus, error) {
		to, _ := s.cfg.Site(peer)
		return s.dial(ctx, to, "concord relay at "+string(s.self.Name))
	}, stream.RelayOptions{MaxBytes: s.cfg.Defaults.StreamMaxBytes, Logger: s.log})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relays[peer] = r
	return r
}

// runAgents starts capture and apply once the database answers.
func (s *Site) runAgents(ctx context.Context, bus *stream.Bus, own *stream.Log, logs map[change.Site]apply.Log, copies map[change.Site]*stream.Log) error {
	epoch, err := retry(ctx, s, "the database", func() (uint32, error) { return s.db.Epoch(ctx) })
	if err != nil {
		return err
	}
	policies, err := s.policies()
	if err != nil {
		return err
	}
	window := conflict.NewWindow(conflict.WindowOptions{Self: s.self.Name, Peers: s.cfg.Peers(s.self.Name), Policy: policies})
	publisher := stream.NewPublisher(bus, s.cfg.Cluster, s.self.Name, stream.PublisherOptions{MaxBytes: s.cfg.Defaults.StreamMaxBytes})
	if s.role != Apply {
		// The stream must be there before its log is read.
		if _, err := retry(ctx, s, "the own stream", func() (change.Tail, error) { return publisher.Tail(ctx) }); err != nil {
			return err
		}
	}
	co := capture.Options{
		Cluster: s.cfg.Cluster, Site: s.self.Name, Epoch: epoch, Beater: s.db,
		ReleaseDelay: bus.SyncDelay(), MaxDrift: s.cfg.Defaults.MaxClockDrift, Others: s.others, Size: stream.TransactionSize, Logger: s.log,
	}
	g, ctx := errgroup.WithContext(ctx)
	var fence apply.Fence
	var agent *apply.Agent
	options := s.applyOptions(window, own, logs, policies)
	switch s.role {
	case Capture:
		c := capture.New(s.db, publisher, co)
		s.set(c, nil, nil)
		g.Go(func() error { return stream.ServeFence(ctx, bus, s.cfg.Cluster, s.self.Name, c) })
		g.Go(func() error { return c.Run(ctx) })
		return g.Wait()
	case Apply:
		options.FeedWindow = true
		fence = stream.NewFenceClient(bus, s.cfg.Cluster, s.self.Name, window.AwaitLocal)
		agent = apply.New(s.db, fence, options)
		s.set(nil, agent, window)
	default:
		co.Window = window
		co.Feed = func(ctx context.Context, seq uint64) error { return agent.FeedOwn(ctx, seq) }
		c := capture.New(s.db, publisher, co)
		fence = c
		agent = apply.New(s.db, fence, options)
		s.set(c, agent, window)
		if _, err := retry(ctx, s, "what has been applied", func() (bool, error) { return true, agent.Rebuild(ctx) }); err != nil {
			return err
		}
		g.Go(func() error { return stream.ServeFence(ctx, bus, s.cfg.Cluster, s.self.Name, c) })
		g.Go(func() error { return c.Run(ctx) })
	}
	s.waitFor("", nil)
	g.Go(func() error { return agent.Run(ctx) })
	g.Go(func() error { return s.trim(ctx, own, copies) })
	g.Go(func() error { return s.prune(ctx) })
	return g.Wait()
}

func (s *Site) set(c *capture.Agent, a *apply.Agent, w *conflict.Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capture, s.apply, s.window = c, a, w
}

// policies looks up the policy of a table by its rule.
func (s *Site) policies() (func(*change.Table) conflict.Policy, error) {
	byRule := map[int]conflict.Policy{}
	for _, r := range s.cfg.Rules {
		if r.Excluded {
			continue
		}
		p, err := Policy(r.Policy)
		if err != nil {
			return nil, err
		}
		byRule[r.Index] = p
	}
	return byShape(func(t *change.Table) conflict.Policy {
		if r, ok := s.cfg.Rule(t.QualifiedName()); ok {
			return byRule[r.Index]
		}
		return conflict.Policy{}
	}), nil
}

// byShape remembers f by shape: shapes are few and shared, and rules do not change
// while the process lives.
func byShape[T any](f func(*change.Table) T) func(*change.Table) T {
	var cache sync.Map
	return func(t *change.Table) T {
		if v, ok := cache.Load(t); ok {
			return v.(T)
		}
		v := f(t)
		cache.Store(t, v)
		return v
	}
}

// byPeer remembers a rule by peer and shape.
func byPeer(peers []change.Site, f func(*change.Table, change.Site) bool) func(*change.Table, change.Site) bool {
	of := map[change.Site]func(*change.Table) bool{}
	for _, p := range peers {
		of[p] = byShape(func(t *change.Table) bool { return f(t, p) })
	}
	return func(t *change.Table, from change.Site) bool { return of[from](t) }
}

func (s *Site) applyOptions(w *conflict.Window, own *stream.Log, logs map[change.Site]apply.Log, policies func(*change.Table) conflict.Policy) apply.Options {
	peers := s.cfg.Peers(s.self.Name)
	return apply.Options{
		Site: s.self.Name, Window: w, Own: own, Logs: logs, Policy: policies,
		Accepts: byPeer(peers, func(t *change.Table, from change.Site) bool { return s.cfg.Replicated(t.QualifiedName(), from) }),
		OneWay: byPeer(peers, func(t *change.Table, from change.Site) bool {
			r, ok := s.cfg.Rule(t.QualifiedName())
			return ok && r.From == from
		}),
		Stop:         s.cfg.Defaults.OnError == config.Stop,
		FenceTimeout: s.cfg.Defaults.FenceTimeout,
		MaxDrift:     s.cfg.Defaults.MaxClockDrift,
		Logger:       s.log,
	}
}

// retry calls f until it succeeds or ctx ends, and shows what is waited for.
func retry[T any](ctx context.Context, s *Site, what string, f func() (T, error)) (T, error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		v, err := f()
		if err == nil || ctx.Err() != nil {
			return v, ctx.Err()
		}
		s.waitFor(what, err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// waitFor shows what start-up waits for and why.
func (s *Site) waitFor(what string, err error) {
	text := ""
	if what != "" {
		text = "waiting for " + what
		if err != nil {
			text += ": " + err.Error()
		}
	}
	s.mu.Lock()
	changed := s.starting != text
	if changed {
		s.starting, s.since = text, time.Now()
	}
	s.mu.Unlock()
	if changed && text != "" {
		s.log.Warn("starting", "state", text)
	} else if changed {
		s.log.Info("agents run", "site", string(s.self.Name), "role", string(s.role))
	}
}
