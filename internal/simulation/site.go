package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// site is one data centre: a database, a stream, copies of the others' streams, and
// the agents between them.
type site struct {
	w      *World
	name   change.Site
	db     *Database
	app    *application
	own    *frames
	pub    *publisher
	copies map[change.Site]*frames
	peers  []change.Site
	skew   time.Duration

	// The agents; nil when they are down.
	agents *agents
	depth  int   // steps of apply under way
	stop   error // why everything of this site must unwind; nil: it need not
	pauses int   // of the step under way
	busy   int   // calls of the step under way
	budget int   // how much may still come between its calls

	at         func(point string) // called at every point of apply's path; nil: nothing
	loseAnswer bool               // to the next commit of apply
	lacked     bool               // a table did not exist here at first
}

// agents is one life of a site's agents.
type agents struct {
	window  *conflict.Window
	capture *capture.Agent
	apply   *apply.Agent
	steps   *capture.Stepper     // nil: no session
	reader  *reader              // of steps
	ready   map[change.Site]bool // links whose session has begun
	at      map[change.Site]bool // links with a step under way
	cancel  context.CancelCauseFunc
	ctx     func() context.Context
}

// errCrash unwinds whatever a crash interrupted.
var errCrash = errors.New("crashed")

// start brings the agents up: the window is rebuilt, then capture and the links may
// go on. It fails when something it needs is not there yet.
func (s *site) start() error {
	w := s.w
	a := &agents{ready: map[change.Site]bool{}, at: map[change.Site]bool{}}
	ctx, cancel := context.WithCancelCause(w.ctx)
	a.cancel, a.ctx = cancel, func() context.Context { return ctx }
	wo := conflict.WindowOptions{Self: s.name, Peers: s.peers, Policy: w.policyOf, Rules: w.mutation.rules(s.name)}
	if w.o.Small {
		wo.LongList, wo.Memory, wo.Store = 1, 1000, w.mutation.store()
	}
	a.window = conflict.NewWindow(wo)
	logs := map[change.Site]apply.Log{}
	for _, p := range s.peers {
		logs[p] = w.mutation.log(s.copies[p])
	}
	t := &target{db: s.db, overlap: 1, around: s.around, answer: s.answer, clock: s.clock}
	if w.mutation == CheckpointApart {
		t.split = func() error { return s.maybeCrash(20) }
	}
	a.apply = apply.New(t, fence{s}, apply.Options{
		Site: s.name, Window: a.window, Own: w.mutation.log(s.own), Logs: logs, Policy: w.policyOf,
		GroupRows: w.groupRows, Hook: s.around, Pause: s.pause, Rows: s.askRows,
	})
	t.forget = func() bool { return w.mutation == RecordLost && w.rng.IntN(3) == 0 }
	t.back = func() bool { return w.mutation == CheckpointBack && w.rng.IntN(10) == 0 }
	t.lean = func() bool { return w.mutation == RowNotWhole }
	src := &tracked{source: source{db: s.db, twist: w.mutation.twist(w.rng)}, agents: a}
	a.capture = capture.New(src, s.pub, capture.Options{
		Cluster: "simulation", Site: s.name, Epoch: 1, Window: a.window,
		Feed:       a.apply.FeedOwn,
		FrameBytes: w.frameBytes, PendingBytes: 4 * w.frameBytes, MaxInflight: w.inflight,
	})
	if err := a.apply.Rebuild(ctx); err != nil {
		cancel(nil)
		return fmt.Errorf("site %s: %w", s.name, err)
	}
	s.agents = a
	w.trace(s, "agents start")
	return nil
}

// tracked remembers the reader of the session, to know when it has something.
type tracked struct {
	source
	agents *agents
}

func (t *tracked) Open(ctx context.Context, from change.Position) (capture.Reader, error) {
	r, err := t.source.Open(ctx, from)
	if err == nil {
		t.agents.reader = r.(*reader)
	}
	return r, err
}

// down ends the agents' life.
func (s *site) down() {
	if s.agents == nil {
		return
	}
	s.agents.cancel(errCrash)
	s.stopCapture()
	s.agents = nil
	s.pub.late = nil
}

func (s *site) stopCapture() {
	if s.agents.steps != nil {
		_ = s.agents.steps.Close(s.w.ctx)
		s.agents.steps, s.agents.reader = nil, nil
	}
}

// session begins a capture session when there is none.
func (s *site) session() error {
	a := s.agents
	if a.steps != nil {
		return nil
	}
	steps, err := a.capture.Steps(a.ctx())
	if err != nil {
		return fmt.Errorf("capture at %s: %w", s.name, err)
	}
	a.steps = steps
	return nil
}

// read lets capture take up to n events. It reports whether it took any.
func (s *site) read(n int) (bool, error) {
	any := false
	for ; n > 0 && (s.agents.steps.Holding() || s.agents.reader.ready()); n-- {
		ok, err := s.agents.steps.Read(s.agents.ctx())
		if err != nil {
			s.stopCapture()
			return any, err
		}
		if !ok {
			break
		}
		any = true
	}
	return any, nil
}

// publish lets capture send a frame, and take the answer to the oldest in flight.
func (s *site) publish(ctx context.Context, send, settle bool) (bool, error) {
	any := false
	if send {
		ok, err := s.agents.steps.Publish(ctx)
		if err != nil {
			s.stopCapture()
			return any, err
		}
		any = any || ok
	}
	if settle {
		ok, err := s.agents.steps.Settle(ctx)
		if err != nil {
			s.stopCapture()
			return any, err
		}
		any = any || ok
	}
	return any, nil
}

// captureStep does a little of capture's work.
func (s *site) captureStep() error {
	if err := s.session(); err != nil {
		return err
	}
	r := s.w.rng
	if _, err := s.read(r.IntN(4)); err != nil {
		return err
	}
	_, err := s.publish(s.agents.ctx(), r.IntN(2) == 0, r.IntN(2) == 0)
	return err
}

// fence is what apply asks: it lets capture work until it can answer.
type fence struct{ s *site }

func (f fence) Fence(ctx context.Context, p change.Position, raise uint64) error {
	s := f.s
	if err := s.around("fence"); err != nil {
		return err
	}
	if s.w.mutation == NoFence {
		return nil
	}
	for tries := 0; tries < 1000; tries++ {
		if s.agents == nil {
			return errCrash
		}
		if err := s.session(); err != nil {
			return err
		}
		ok, err := s.agents.steps.Fence(ctx, p, raise)
		if ok || err != nil {
			return err
		}
		moved, err := s.read(1)
		if err != nil {
			return err
		}
		if !moved || s.w.rng.IntN(3) == 0 {
			if _, err := s.publish(ctx, true, true); err != nil {
				return err
			}
		}
		if err := s.around("fence"); err != nil {
			return err
		}
	}
	return fmt.Errorf("the fence at %s does not answer: position %s, raise %d", s.name, p, raise)
}

// applyStep settles what comes next from a peer. It reports whether anything moved.
func (s *site) applyStep(from change.Site, count int) (moved bool, err error) {
	a, w := s.agents, s.w
	if a.at[from] {
		return false, nil
	}
	l := a.apply.Link(from)
	if w.mutation == WindowForgotten && s.depth == 0 && s.waiting(from) {
		s.down()
		if err := s.start(); err != nil {
			return false, err
		}
		a = s.agents
		l = a.apply.Link(from)
	}
	s.depth++
	a.at[from] = true
	defer func() { s.depth--; a.at[from] = false }()
	if s.depth == 1 {
		s.pauses, s.busy, s.budget = 0, 0, 20
	}
	ctx := a.ctx()
	if !a.ready[from] {
		if s.depth > 1 {
			return false, nil
		}
		if _, err := l.Resume(ctx); err != nil {
			return false, err
		}
		a.ready[from] = true
	}
	before := l.Status()
	txs, err := s.next(from, before.Applied.Seq, count)
	if err == nil && w.causal && w.mutation != CausesIgnored {
		txs = txs[:l.InOrder(txs)]
	}
	if err != nil || len(txs) == 0 {
		return false, err
	}
	w.trace(s, "apply %s %d..%d", from, txs[0].Seq, txs[len(txs)-1].Seq)
	if err := l.Step(ctx, w.mutation.lose(w.rng, txs)); err != nil {
		if !errors.Is(err, apply.ErrBusy) && s.agents == a {
			a.ready[from] = false
		}
		return false, err
	}
	if s.agents != a {
		return true, nil
	}
	after := l.Status()
	w.checkCounts(s, from, txs, &before, &after)
	return after.Applied.Seq > before.Applied.Seq, nil
}

// waiting reports whether there is anything to apply from a peer.
func (s *site) waiting(from change.Site) bool {
	txs, err := s.next(from, s.db.points[from].Seq, 1)
	return err == nil && len(txs) > 0
}

// next reads up to count frames' worth of transactions after seq, large ones whole.
func (s *site) next(from change.Site, seq uint64, count int) ([]change.Transaction, error) {
	var log apply.Log = s.copies[from]
	if s.w.mutation == SeenIgnored {
		log = s.w.mutation.log(s.copies[from])
	}
	r, err := log.Open(s.w.ctx, 1, seq)
	if err != nil {
		return nil, err
	}
	var txs []change.Transaction
	whole := 0
	for ; count > 0 || whole < len(txs); count-- {
		f, err := r.Next(s.w.ctx)
		if errors.Is(err, errNothing) {
			break
		}
		if err != nil {
			return nil, err
		}
		txs = append(txs, f.Transactions...)
		if n := len(txs); n > 0 && !txs[n-1].More {
			whole = n
		}
	}
	return txs[:whole], nil
}
