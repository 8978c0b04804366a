package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// crowd is a world whose agents run with their goroutines, as in production, under a
// clock that stands still while anyone works.
type crowd struct {
	*World
	mu   sync.Mutex
	calm bool // no more heartbeats, nothing breaks
}

// dice is a random number below n, safe for concurrent use.
func (c *crowd) dice(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// answer loses a commit or the answer to it now and then.
func (c *crowd) answer() (before, after error) {
	if c.quiet() {
		return nil, nil
	}
	switch c.dice(80) {
	case 0:
		return errAnswer, nil
	case 1:
		return nil, errAnswer
	}
	return nil, nil
}

func (c *crowd) quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calm
}

// rest lets up to n microseconds pass. It reports whether ctx goes on.
func (c *crowd) rest(ctx context.Context, n int) bool {
	select {
	case <-time.After(time.Duration(1+c.dice(n)) * time.Microsecond):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// beats is a site's heartbeat.
type beats struct {
	c *crowd
	s *site
}

func (b beats) Beat(_ context.Context, _ change.Site, at time.Time) error {
	if !b.c.quiet() {
		b.s.db.Beat(at.Add(b.s.skew), at)
	}
	return nil
}

// live runs one life of a site's agents until ctx ends.
func (c *crowd) live(ctx context.Context, t *testing.T, s *site) {
	window := conflict.NewWindow(conflict.WindowOptions{Self: s.name, Peers: s.peers, Policy: c.policyOf})
	logs := map[change.Site]apply.Log{}
	for _, p := range s.peers {
		logs[p] = s.copies[p]
	}
	around := func(string) error {
		if !c.rest(ctx, 200) {
			return context.Cause(ctx)
		}
		return nil
	}
	var captor *capture.Agent
	a := apply.New(&target{db: s.db, overlap: 4, around: around, answer: c.answer}, fenceFunc(func(ctx context.Context, p change.Position, raise uint64) error {
		return captor.Fence(ctx, p, raise)
	}), apply.Options{
		Site: s.name, Window: window, Own: s.own, Logs: logs, Policy: c.policyOf, GroupRows: c.groupRows,
	})
	captor = capture.New(&source{db: s.db}, s.pub, capture.Options{
		Cluster: "crowd", Site: s.name, Epoch: 1, Window: window, Feed: a.FeedOwn, Beater: beats{c, s},
		FrameBytes: c.frameBytes, PendingBytes: 4 * c.frameBytes, MaxInflight: c.inflight, Heartbeat: 20 * time.Millisecond,
	})
	for a.Rebuild(ctx) != nil { // a copy that lost its end has to catch up first
		if !c.rest(ctx, 1000) {
			return
		}
	}
	var g sync.WaitGroup
	g.Go(func() {
		if err := captor.Run(ctx); err != nil {
			t.Errorf("capture at %s: %v", s.name, err)
		}
	})
	g.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Errorf("apply at %s: %v", s.name, err)
		}
	})
	g.Wait()
	for _, l := range a.Status() {
		if l.State == apply.Stopped || l.State == apply.NeedsCopy {
			t.Errorf("%s: link from %s is %s: %s", s.name, l.From, l.State, l.Reason)
		}
	}
}

type fenceFunc func(ctx context.Context, p change.Position, raise uint64) error

func (f fenceFunc) Fence(ctx context.Context, p change.Position, raise uint64) error {
	return f(ctx, p, raise)
}

// agents runs life after life of a site's agents; what breaks between them, breaks.
func (c *crowd) agents(ctx context.Context, t *testing.T, s *site) {
	for ctx.Err() == nil {
		life, end := context.WithCancelCause(ctx)
		go func() {
			for c.rest(life, 60_000) {
				if !c.quiet() && c.dice(3) == 0 {
					c.breakSomething(s, end)
				}
			}
		}()
		c.live(life, t, s)
		end(nil)
	}
}

func (c *crowd) breakSomething(s *site, end context.CancelCauseFunc) {
	switch c.dice(4) {
	case 0:
		end(errCrash)
	case 1:
		s.db.Crash()
	case 2:
		s.own.crash(c.dice(4))
	case 3:
		s.copies[s.peers[c.dice(len(s.peers))]].crash(c.dice(4))
	}
}

// relay copies the streams of a site's peers.
func (c *crowd) relay(ctx context.Context, s *site) {
	for c.rest(ctx, 1000) {
		for _, p := range s.peers {
			s.copies[p].copyFrom(c.site(p).own, 1+c.dice(5))
			if c.dice(3) == 0 {
				s.copies[p].sync()
			}
		}
	}
}

// work lets an application make so many transactions.
func (c *crowd) work(ctx context.Context, s *site, app *application, n int) {
	for range n {
		tx := app.begin()
		if !c.rest(ctx, 2000) {
			return
		}
		app.commit(tx, time.Now().Add(s.skew), c.dice(3) == 0)
	}
}

// delivered reports whether every site has applied everything.
func (c *crowd) delivered() bool {
	for _, s := range c.sites {
		want := uint64(0)
		s.db.mu.Lock()
		s.db.flushed = len(s.db.log)
		s.db.wake()
		for i := range s.db.log {
			if s.db.log[i].local {
				want++
			}
		}
		s.db.mu.Unlock()
		for _, p := range c.sites {
			if p == s {
				continue
			}
			p.db.mu.Lock()
			got := p.db.points[s.name].Seq
			p.db.mu.Unlock()
			if got != want {
				return false
			}
		}
	}
	return true
}

// The agents' own goroutines (overlapping groups, frames in flight, large transactions
// in parts and begun anew) keep what the steps keep.
func TestAgentsThatRunConverge(t *testing.T) {
	for seed := uint64(1); seed <= seeds(t, 40); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runCrowd(t, seed) })
		})
	}
}

func runCrowd(t *testing.T, seed uint64) {
	o := options(seed)
	o.Sites = 2 + int(seed%2)
	c := &crowd{World: newWorld(t.Context(), o)}
	ctx, cancel := context.WithCancel(t.Context())
	var apps, rest sync.WaitGroup
	for i, s := range c.sites {
		s.db.partRows = []int{0, 2, 3}[seed%3]
		s.own.patient = true
		s.pub = &publisher{f: s.own}
		for _, f := range s.copies {
			f.patient = true
		}
		rest.Go(func() { c.agents(ctx, t, s) })
		rest.Go(func() { c.relay(ctx, s) })
		for j := range 2 {
			r := rand.New(rand.NewPCG(seed, uint64(10*i+j)))
			app := &application{site: s, rng: r, keys: s.app.keys, made: j * 100_000}
			apps.Go(func() { c.work(ctx, s, app, 60) })
		}
	}
	apps.Go(func() {
		c.rest(ctx, 100_000)
		c.createTables()
	})
	apps.Wait()
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Minute); !c.delivered(); {
		if time.Now().After(deadline) {
			for _, s := range c.sites {
				t.Error(s.standing())
			}
			t.Errorf("seed %d: not everything is delivered", seed)
			break
		}
		c.rest(ctx, 100_000)
	}
	// What was left open by the last fault is settled in passing.
	for range 20 {
		c.rest(ctx, 1_000_000)
	}
	cancel()
	rest.Wait()
	if t.Failed() {
		return
	}
	h := c.history()
	c.judgePublished(h)
	c.judgeLedger(h)
	c.judgeRows(h)
	for _, f := range c.failures {
		t.Errorf("seed %d: %s", seed, f)
	}
	conflicts := 0
	for _, s := range c.sites {
		conflicts += len(s.db.conflicts)
	}
	t.Logf("%d transactions, %d conflicts", len(h.txs), conflicts)
	if conflicts == 0 {
		t.Error("nothing met in this world")
	}
}
