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
	"github.com/concord-db/concord/internal/crossing"
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

	// bound opens what one process of a site may do at a time and what needs no
	// database: relays, the clock.
	bound *gate
	rules *peerRules
	// crossing translates what sites of other engines send; nil: there are none.
	crossing *crossing.Peers
	tables   engine.Engine // that it looks at tables through

	mu      sync.Mutex
	leading bool // this process has its parts
	state   state
	reason  string
	capture *capture.Agent
	apply   *apply.Agent
	window  *conflict.Window
	relays  map[change.Site]*stream.Relay
	clocks  map[change.Site]Clock
	logs    logs
}

// logs are the streams of the site's own bus; none before it is reached.
type logs struct {
	own    *stream.Log
	copies map[change.Site]*stream.Log // of the peers' streams
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
	s := &Site{
		cfg: cfg, self: self, role: o.Role, log: o.Logger, db: db, rules: newPeerRules(db, cfg, name),
		state: starting, reason: "waiting for the bus", bound: newGate(),
		relays: map[change.Site]*stream.Relay{}, clocks: map[change.Site]Clock{},
	}
	if here, ok := db.(*crossing.Site); ok && cfg.Mixed() {
		if err := s.crosses(here); err != nil {
			return nil, err
		}
	}
	return s, nil
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
	names := cfg.NamesAt(name)
	db, err := engine.Open(dsn, enginesite.Options{
		Site: name, Cluster: cfg.Cluster, Peers: cfg.Peers(name), Index: index, Logger: log,
		Tables: func(local string) bool {
			table, ok := names.Cluster(local)
			return ok && cfg.Replicated(table, name)
		},
	})
	if mixed := cfg.Mixed(); err == nil && (mixed || !names.Plain()) {
		return crossing.New(db, names, mixed), nil
	}
	return db, err
}

// Run runs the agents until ctx ends, and then returns nil.
func (s *Site) Run(ctx context.Context) error {
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		s.db.Close(closing)
		s.closeCrossing(closing)
	}()
	bus, stop, err := s.openBus(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer stop()

	streams := logs{
		own:    stream.NewLog(bus, s.cfg.Cluster, s.self.Name, s.self.Name),
		copies: map[change.Site]*stream.Log{},
	}
	for _, p := range s.cfg.Peers(s.self.Name) {
		streams.copies[p] = stream.NewLog(bus, s.cfg.Cluster, s.self.Name, p)
	}
	s.mu.Lock()
	s.logs = streams
	s.mu.Unlock()

	g, ctx := errgroup.WithContext(ctx)
	for _, p := range s.cfg.Peers(s.self.Name) {
		if s.role != Apply {
			g.Go(func() error { return s.relay(ctx, bus, p) })
		}
		g.Go(func() error { return s.watchClock(ctx, p) })
	}
	if s.role != Apply {
		g.Go(func() error {
			return s.bound.while(ctx, func(ctx context.Context) error {
				return stream.ServeClock(ctx, bus, s.cfg.Cluster, s.self.Name)
			})
		})
	}
	g.Go(func() error { return s.lead(ctx, bus, streams) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
