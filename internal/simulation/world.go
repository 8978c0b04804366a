package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Options say which world a seed makes. Zero values are drawn from the seed.
type Options struct {
	Seed     uint64
	Sites    int              // 2 to 5
	Policy   *conflict.Policy // of the policy table
	Steps    int              // before the world comes to rest
	Mutation Mutation
	Trace    bool // keep a trace
	NoFaults bool // nothing crashes, nothing is lost
	Short    bool // a life of a quarter of the steps: more worlds in the same time
	Small    bool // windows hold next to nothing in memory, and fold lists as early as they may
}

// Result is what a run was like.
type Result struct {
	Seed         uint64
	Sites        int
	Policy       conflict.Policy
	Steps        int // of the scheduler
	Transactions int // of applications
	Conflicts    int // recorded, at all sites
	Crashes      int
	Parked       int
	Err          error // what the oracles noticed; nil: all is well
	Failed       map[Oracle]bool
	Trace        []string
}

// start is when every simulation begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// World is sites and what lies between them.
type World struct {
	ctx      context.Context //nolint:containedctx // the world's own life; nothing in it blocks
	rng      *rand.Rand
	o        Options
	policy   conflict.Policy
	mutation Mutation
	sites    []*site
	now      time.Time
	faults   bool
	calm     bool // coming to rest: no new work, no faults

	causal    bool // links go in causal order: no effect stands before its cause
	partition partition

	groupRows, frameBytes, inflight int
	comes                           int // the step at which a table that a site lacks is created

	published map[partName]*change.Transaction // the first time
	result    Result
	failures  []string
}

// Run makes the world of o, lets it live, brings it to rest and asks the oracles.
func Run(ctx context.Context, o Options) (result Result) {
	ctx, cancel := context.WithCancel(ctx) // else ctx would keep the agents of every world
	defer cancel()
	w := newWorld(ctx, o)
	defer func() {
		if p := recover(); p != nil {
			result = w.result
			result.Err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	for i := range w.o.Steps {
		w.partition.at = i
		if i == w.comes {
			w.createTables()
		}
		w.step()
		if len(w.failures) > 0 {
			break
		}
	}
	if len(w.failures) == 0 {
		w.rest()
	}
	if len(w.failures) == 0 {
		w.judge()
	}
	for _, s := range w.sites {
		w.result.Transactions += s.app.made
		w.result.Conflicts += len(s.db.conflicts)
		w.result.Parked += len(s.db.parked)
	}
	if len(w.failures) > 0 {
		w.result.Err = errors.New(strings.Join(w.failures, "\n"))
	}
	return w.result
}

func newWorld(ctx context.Context, o Options) *World {
	r := rand.New(rand.NewPCG(o.Seed, 0x636f6e636f7264))
	w := &World{ctx: ctx, rng: r, o: o, mutation: o.Mutation, now: start, published: map[partName]*change.Transaction{}}
	if o.Sites == 0 {
		w.o.Sites = 2 + r.IntN(4)
	}
	all := Policies()
	w.policy = all[r.IntN(len(all))]
	if o.Policy != nil {
		w.policy = *o.Policy
	}
	if o.Steps == 0 {
		w.o.Steps = 30 + r.IntN(120)
		if o.Short {
			w.o.Steps = 8 + r.IntN(30)
		}
	}
	w.faults = !o.NoFaults && r.IntN(4) > 0
	w.groupRows = []int{1, 3, 10, 100}[r.IntN(4)]
	w.frameBytes = 200 + r.IntN(3000)
	w.inflight = 1 + r.IntN(4)
	w.causal = w.o.Sites == 2 || r.IntN(2) == 0
	w.result = Result{Seed: o.Seed, Sites: w.o.Sites, Policy: w.policy, Steps: w.o.Steps}
	parts := []int{0, 0, 1, 2, 3}[r.IntN(5)]
	keys := []int{1, 2, 3, 6}[r.IntN(4)]
	skews := []time.Duration{0, 0, 50 * time.Microsecond, -200 * time.Microsecond, time.Millisecond, -time.Second, time.Hour, -time.Hour}
	for i := range w.o.Sites {
		s := &site{
			w: w, name: change.Site(fmt.Sprintf("s%d", i)), db: NewDatabase(allTables, parts),
			own: newFrames(), copies: map[change.Site]*frames{}, skew: skews[r.IntN(len(skews))],
		}
		s.app = &application{site: s, rng: r, keys: keys}
		s.pub = &publisher{f: s.own, note: func(f *change.Frame) { w.notePublished(s, f) }, fail: s.publishFault, early: o.Mutation == ReleasedTooEarly}
		w.sites = append(w.sites, s)
	}
	for _, s := range w.sites {
		for _, p := range w.sites {
			if p != s {
				s.peers = append(s.peers, p.name)
				s.copies[p.name] = newFrames()
				s.copies[p.name].repeat = r.IntN(2) == 0
			}
		}
	}
	w.lackTable()
	w.partition = w.drawPartition()
	return w
}

func (w *World) policyOf(t *change.Table) conflict.Policy {
	switch t.Name {
	case policyTable.Name:
		return w.policy
	case namesTable.Name:
		return w.namesPolicy()
	case stockTable.Name:
		return w.stockPolicy()
	case accountTable.Name:
		return accountPolicy
	}
	return conflict.Policy{}
}

func (w *World) site(name change.Site) *site {
	for _, s := range w.sites {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (w *World) trace(s *site, format string, args ...any) {
	if w.o.Trace {
		w.result.Trace = append(w.result.Trace, fmt.Sprintf("%s %s%s: ", w.now.Format("05.000000"), strings.Repeat("  ", s.depth), s.name)+fmt.Sprintf(format, args...))
	}
}

func (w *World) fail(o Oracle, format string, args ...any) {
	if w.result.Failed == nil {
		w.result.Failed = map[Oracle]bool{}
	}
	w.result.Failed[o] = true
	if len(w.failures) < 20 {
		w.failures = append(w.failures, fmt.Sprintf(format, args...))
	}
}

// chance is true once in n times, never when faults are off.
func (w *World) chance(n int) bool { return w.faults && !w.calm && w.rng.IntN(n) == 0 }

// step lets one thing happen somewhere.
func (w *World) step() {
	w.now = w.now.Add(time.Duration(1+w.rng.IntN(100)) * time.Microsecond)
	s := w.sites[w.rng.IntN(len(w.sites))]
	switch dice := w.rng.IntN(100); {
	case dice < 30:
		s.appStep()
	case dice < 50:
		w.survive(s, func() error { return s.captureStep() })
	case dice < 68:
		w.relay(s, 1+w.rng.IntN(3))
	case dice < 92:
		p := s.peers[w.rng.IntN(len(s.peers))]
		w.survive(s, func() error {
			_, err := s.applyStep(p, 1+w.rng.IntN(4))
			return err
		})
	case dice < 94:
		s.beat()
	case dice < 95:
		s.db.Flush()
	case dice < 96:
		w.survive(s, func() error {
			_, err := s.askStep()
			return err
		})
	case dice < 97:
		s.own.sync()
	case dice < 98:
		s.skew += time.Duration(w.rng.IntN(2001)-1000) * time.Microsecond
	default:
		if w.faults {
			w.fault(s)
		}
	}
}

// survive runs a step of a site's agents, which are started when they are down, and
// deals with its error: what an interruption may cause is let pass, anything else is
// a failure.
func (w *World) survive(s *site, f func() error) {
	err := error(nil)
	if s.agents == nil {
		err = s.start()
	}
	if err == nil {
		err = f()
	}
	if s.stop != nil {
		s.down()
		s.stop = nil
	}
	w.tolerate(s, err)
}

func (w *World) tolerate(s *site, err error) {
	switch {
	case err == nil, errors.Is(err, apply.ErrBusy):
		return
	case errors.Is(err, errCrash), errors.Is(err, errGone), errors.Is(err, errLost), errors.Is(err, errNothing),
		errors.Is(err, apply.ErrTransient), errors.Is(err, apply.ErrFenced):
		w.trace(s, "interrupted: %v", err)
	default:
		w.fail(Agents, "site %s: %v", s.name, err)
	}
}

func (s *site) clock() time.Time { return s.w.now.Add(s.skew) }

// appStep lets applications work: begin, commit, give up.
func (s *site) appStep() {
	r := s.w.rng
	if n := len(s.app.open); n > 0 && (n > 2 || r.IntN(2) == 0) {
		i := r.IntN(n)
		tx := s.app.open[i]
		s.app.open = append(s.app.open[:i], s.app.open[i+1:]...)
		s.finish(tx)
		return
	}
	tx := s.app.begin()
	if r.IntN(5) == 0 {
		s.w.trace(s, "application opens %s", rowList(tx.rows))
		s.app.open = append(s.app.open, tx)
		return
	}
	s.finish(tx)
}

func (s *site) finish(tx *session) {
	if s.w.rng.IntN(20) == 0 {
		s.db.mu.Lock()
		tx.end()
		s.db.mu.Unlock()
		return
	}
	async := s.w.rng.IntN(3) == 0
	if s.app.commit(tx, s.clock(), async) {
		s.w.trace(s, "application commits at %d (async %v) %s", len(s.db.log), async, rowList(tx.rows))
	}
}

func (s *site) finishAll() {
	open := s.app.open
	s.app.open = nil
	for _, tx := range open {
		s.finish(tx)
	}
}

func (s *site) beat() {
	s.db.Beat(s.clock(), s.w.now)
	s.w.trace(s, "heartbeat at %d", len(s.db.log))
}

// relay copies frames of one peer to s.
func (w *World) relay(s *site, n int) {
	p := s.peers[w.rng.IntN(len(s.peers))]
	if w.partition.cuts(s.name, p) {
		return
	}
	c := s.copies[p]
	if w.chance(20) {
		c.next = max(0, c.next-1-w.rng.IntN(3))
	}
	if got := c.copyFrom(w.site(p).own, n); got > 0 {
		w.trace(s, "copies %d frames of %s", got, p)
	}
	if w.rng.IntN(2) == 0 {
		c.sync()
	}
}
