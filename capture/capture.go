package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/internal/change"
)

// Window is fed with what capture reads. conflict.Window implements it.
type Window interface {
	AddLocal(t *change.Transaction)
	SelfSaw(origin change.Site, seq uint64)
}

// Options configure an Agent. Zero values take the defaults named.
type Options struct {
	Cluster string
	Site    change.Site
	Epoch   uint32 // of this site's log, as init recorded it

	// Window is fed before a transaction is published; nil when apply runs in
	// another process and reads the site's stream instead.
	Window Window
	// Feed brings the window up to the given seq from the own stream, when another
	// agent of this site has published since the window was built. nil with Window.
	Feed   func(ctx context.Context, seq uint64) error
	Beater Beater // nil: no heartbeats (tests)
	// Rules are told to the other sites: with the first frame of a session, and with the
	// next frame after every tenth heartbeat.
	Rules change.Rules

	FrameBytes   int           // cut frames at about this size; 256 KiB
	PendingBytes int           // read ahead of the publisher at most; 4 MiB
	MaxInflight  int           // frames published and not yet stored; 8
	Linger       time.Duration // how long a frame waits to grow when transactions come fast; 10 ms
	Heartbeat    time.Duration // 1 s

	// ReleaseDelay is how long after an acknowledgement the bus may still lose what it
	// acknowledged: the database's log is held for that long. 0: it is on disk.
	ReleaseDelay time.Duration

	// MaxDrift is how far this database's clock may be ahead of the other sites; 0
	// does not check. Others tells what their clocks say now; zero when unknown.
	MaxDrift time.Duration
	Others   func() time.Time

	// Size estimates the bytes a transaction takes in a frame.
	Size func(*change.Transaction) int

	Logger *slog.Logger
}

// State is what a capture agent is doing.
type State string

// The states of a capture agent.
const (
	Starting  State = "starting"
	Streaming State = "streaming"
	Standby   State = "standby"
	Full      State = "stream_full"
	Retrying  State = "retrying"
	NeedsCopy State = "needs_copy" // the database's log does not continue what was published
	Stopped   State = "stopped"    // needs a person, as NeedsCopy does; both are tried again now and then
)

// Status is a snapshot of an Agent.
type Status struct {
	State    State
	Reason   string // why, unless starting or streaming
	Since    time.Time
	Seq      uint64 // last transaction stamped
	Clock    uint64
	Seen     change.Seen
	Position change.Position // read up to here

	Transactions, Rows, Bytes, Frames, Heartbeats, Replicated uint64 // since the agent started
	LastCommit                                                time.Time
}

// Agent captures one site. Make it with New; Run may be called once.
type Agent struct {
	source Source
	pub    Publisher
	o      Options
	log    *slog.Logger

	mu    sync.Mutex
	queue *queue
	// reached is up to where the sessions before have read the log, begun that they have
	// read a part of the large transaction that comes next.
	reached change.Position
	begun   bool
	ready   chan struct{} // closed when queue is set; replaced when a session ends
	status  Status
}

// New returns an agent that reads source and publishes to pub. It connects nothing.
func New(source Source, pub Publisher, o Options) *Agent {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.FrameBytes, 256<<10)
	def(&o.PendingBytes, 4<<20)
	def(&o.MaxInflight, 8)
	if o.Linger == 0 {
		o.Linger = 10 * time.Millisecond
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = time.Second
	}
	if o.Size == nil {
		o.Size = roughSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Agent{
		source: source, pub: pub, o: o, log: o.Logger,
		ready:  make(chan struct{}),
		status: Status{State: Starting, Since: time.Now()},
	}
}

// roughSize counts the text of a transaction.
func roughSize(t *change.Transaction) int {
	n := 64
	for i := range t.Rows {
		r := &t.Rows[i]
		n += 8
		for j := range r.New {
			n += 1 + len(r.New[j].Text)
		}
		for j := range r.Old {
			n += 1 + len(r.Old[j].Text)
		}
	}
	return n
}

// Run captures until ctx ends. Faults are retried for as long as it takes; what
// needs a person is shown in Status and tried again now and then. It returns nil
// when ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 5*time.Second
	for ctx.Err() == nil {
		began := time.Now()
		err := a.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if time.Since(began) > 10*time.Second {
			pause.Reset()
		}
		state, wait := a.classify(err, pause.NextBackOff())
		a.setState(state, err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// classify decides what an error of a session means and when to try again.
func (a *Agent) classify(err error, next time.Duration) (State, time.Duration) {
	switch {
	case errors.Is(err, change.ErrStandby):
		return Standby, time.Second
	case errors.Is(err, change.ErrStreamFull):
		return Full, time.Second
	case errors.Is(err, change.ErrNeedsCopy):
		return NeedsCopy, 5 * time.Second
	case errors.Is(err, change.ErrRefused), errors.Is(err, change.ErrClock):
		return Stopped, 5 * time.Second
	}
	return Retrying, next
}

func (a *Agent) setState(s State, reason error) {
	a.mu.Lock()
	changed := a.status.State != s
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	changed = changed || a.status.Reason != text
	if changed {
		a.status.State, a.status.Reason, a.status.Since = s, text, time.Now()
	}
	a.mu.Unlock()
	if changed {
		a.log.Info("capture state", "state", string(s), "reason", text)
	}
}

// full reports whether the stream is, or was when last a frame was to be stored.
func (a *Agent) full() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status.State == Full
}

// Status returns a snapshot.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	if q := a.queue; q != nil {
		q.mu.Lock()
		s.Seq, s.Clock, s.Position, s.Seen = q.stamper.seq, q.stamper.clock, q.processed, q.stamper.seen
		q.mu.Unlock()
	}
	return s
}

// session is one life of the reader and the publisher.
func (a *Agent) session(ctx context.Context) (err error) {
	r, q, err := a.open(ctx)
	if err != nil {
		return err
	}
	q.size, q.linger, q.ask = a.o.FrameBytes, a.o.Linger, r.Ask
	a.begin(q)
	defer a.end(q)

	g, gctx := errgroup.WithContext(ctx)
	acks := make(chan sent, a.o.MaxInflight)
	g.Go(func() error { return a.read(gctx, r, q) })
	g.Go(func() error { defer close(acks); return a.publish(gctx, q, acks) })
	g.Go(func() error { return a.settle(gctx, r, q, acks) })
	if a.o.Beater != nil {
		g.Go(func() error { return a.beat(gctx) })
	}
	err = g.Wait()
	q.close(fmt.Errorf("capture restarts: %w", err))
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, r.Close(closing))
}

// open continues from the end of the own stream.
func (a *Agent) open(ctx context.Context) (Reader, *queue, error) {
	tail, err := a.pub.Tail(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the end of the own stream: %w", err)
	}
	if tail.Seq > 0 && tail.Epoch != a.o.Epoch {
		if tail.Epoch > a.o.Epoch {
			return nil, nil, fmt.Errorf("%w: the own stream is of epoch %d, the database of epoch %d: it was restored or replaced; begin a new epoch with `concord init --site %s --new-epoch`",
				change.ErrNeedsCopy, tail.Epoch, a.o.Epoch, a.o.Site)
		}
		tail = change.Tail{Clock: tail.Clock} // a new epoch begins
	}
	r, err := a.source.Open(ctx, tail.Position)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the log: %w", err)
	}
	if a.o.Feed != nil && tail.Seq > 0 {
		if err := a.o.Feed(ctx, tail.Seq); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("feeding the window from the own stream: %w", err), r.Close(ctx))
		}
	}
	q := newQueue(NewStamper(a.o.Site, a.o.Epoch, tail), tail.Clock, a.source.Compare)
	if tail.Epoch == a.o.Epoch {
		// A crash of the bus may still lose this end, and with it a raise of the clock,
		// which is not in the log: nothing is stamped on it before it is stored again.
		q.stored = 0
	}
	q.processed = tail.Position
	a.mu.Lock()
	q.again, q.begun = a.reached, a.begun
	a.mu.Unlock()
	q.releases.delay = a.o.ReleaseDelay
	return r, q, nil
}

func (a *Agent) begin(q *queue) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = q
	close(a.ready)
}

func (a *Agent) end(q *queue) {
	q.mu.Lock()
	reached, begun := q.processed, q.large || q.begun
	q.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.source.Compare(a.reached, reached) <= 0 {
		a.reached, a.begun = reached, begun
	}
	if a.queue == q {
		a.queue, a.ready = nil, make(chan struct{})
	}
}

// read stamps and queues what the log says.
func (a *Agent) read(ctx context.Context, r Reader, q *queue) error {
	for first := true; ; first = false {
		e, err := r.Next(ctx)
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		if first && !a.full() {
			a.setState(Streaming, nil)
		}
		if err := a.take(ctx, q, &e); err != nil {
			return err
		}
	}
}

// take stamps and queues one event. When it fails the event has had no effect.
func (a *Agent) take(ctx context.Context, q *queue, e *Event) error {
	switch e.Kind {
	case Progress:
		q.progress(e.Position)
	case Replicated:
		q.mark(e.Mark, e.Position)
		if a.o.Window != nil {
			a.o.Window.SelfSaw(e.Mark.Origin, e.Mark.Seq)
		}
		a.count(func(s *Status) { s.Replicated++ })
	case Local:
		if a.o.Others != nil {
			if err := CheckDrift(e.CommitTime, a.o.Others(), a.o.MaxDrift); err != nil {
				return err
			}
		}
		bytes := a.o.Size(&change.Transaction{Rows: e.Rows})
		if err := q.local(ctx, e, bytes, a.o.PendingBytes, a.feed); err != nil {
			return err
		}
		a.count(func(s *Status) { s.add(e, bytes) })
	}
	return nil
}

func (a *Agent) feed(t *change.Transaction) {
	if a.o.Window != nil {
		a.o.Window.AddLocal(t)
	}
}

func (s *Status) add(e *Event, bytes int) {
	if !e.More {
		s.Transactions++
		s.LastCommit = e.CommitTime
		if !e.Heartbeat.IsZero() {
			s.Heartbeats++
		}
	}
	s.Rows += uint64(len(e.Rows))
	s.Bytes += uint64(bytes)
}

func (a *Agent) count(f func(*Status)) {
	a.mu.Lock()
	f(&a.status)
	a.mu.Unlock()
}

// sent is a frame on its way.
type sent struct {
	ack      Ack
	clock    uint64
	position change.Position // of its last complete transaction; "" when it has none
}

// publish cuts frames and sends them.
func (a *Agent) publish(ctx context.Context, q *queue, acks chan<- sent) error {
	for {
		s, err := a.send(ctx, q)
		if err != nil {
			return err
		}
		select {
		case acks <- s:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send cuts one frame, when one is due, and sends it.
func (a *Agent) send(ctx context.Context, q *queue) (sent, error) {
	txs, clock, err := q.take(ctx, a.o.FrameBytes, a.o.MaxInflight)
	if err != nil {
		return sent{}, err
	}
	f := &change.Frame{Cluster: a.o.Cluster, Origin: a.o.Site, Epoch: a.o.Epoch, Clock: clock, Transactions: txs}
	if q.told.due(txs) {
		f.Rules = a.o.Rules
	}
	ack, err := a.pub.Publish(ctx, f)
	if err != nil {
		return sent{}, fmt.Errorf("publishing: %w", err)
	}
	s := sent{ack: ack, clock: clock}
	if n := len(txs); n > 0 && !txs[n-1].More {
		s.position = txs[n-1].Position
	}
	return s, nil
}

// roomFor is how long a session must have gone on storing before the stream, which was
// full, is believed to have room: a frame of one small transaction may fit once more.
const roomFor = time.Second

// settle waits for frames to be stored, in order.
func (a *Agent) settle(ctx context.Context, r Reader, q *queue, acks <-chan sent) error {
	began := time.Now()
	for s := range acks {
		if err := a.stored(ctx, r, q, s); err != nil {
			return err
		}
		if a.full() && time.Since(began) > roomFor {
			a.setState(Streaming, nil)
		}
	}
	return ctx.Err()
}

// stored waits for one frame to be stored and lets the database release its log up
// to it.
func (a *Agent) stored(ctx context.Context, r Reader, q *queue, s sent) error {
	if err := s.ack.Wait(ctx); err != nil {
		return fmt.Errorf("storing a frame: %w", err)
	}
	if s.position != "" {
		if p := q.releases.stored(s.position, time.Now()); p != "" {
			r.Release(p)
		}
	}
	q.done(s.clock)
	a.count(func(st *Status) { st.Frames++ })
	return nil
}

// beat writes a heartbeat once a second. A heartbeat that fails is not a fault of
// capture: lag will show it.
func (a *Agent) beat(ctx context.Context) error {
	tick := time.NewTicker(a.o.Heartbeat)
	defer tick.Stop()
	failing := false
	for {
		bctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := a.o.Beater.Beat(bctx, a.o.Site, time.Now())
		cancel()
		if (err != nil) != failing && ctx.Err() == nil {
			if failing = err != nil; failing {
				a.log.Warn("heartbeat", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Fence waits until everything up to p has been read and fed to the window, and
// the clock is raised if asked; see apply.Fence.
func (a *Agent) Fence(ctx context.Context, p change.Position, raise uint64) error {
	_, err := a.FenceSeq(ctx, p, raise)
	return err
}

// FenceSeq is Fence for an apply agent in another process: it returns the seq up
// to which that agent's window must have been fed from the site's stream.
func (a *Agent) FenceSeq(ctx context.Context, p change.Position, raise uint64) (uint64, error) {
	for {
		a.mu.Lock()
		q, ready := a.queue, a.ready
		a.mu.Unlock()
		if q != nil {
			return q.fence(ctx, p, raise)
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return 0, fmt.Errorf("capture is not reading: %w", context.Cause(ctx))
		}
	}
}
