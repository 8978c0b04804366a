package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/internal/change"
)

const (
	// retryFirst and retryMost bound the pause before the peer is tried again.
	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
	// retryStopped is the pause while a person is needed.
	retryStopped = 5 * time.Second
	// pollEvery is how often the peer is asked how far it is.
	pollEvery = time.Second
)

// errRewound: what the origin sends does not follow what it sent before.
var errRewound = errors.New("the origin's stream does not continue what was read of it")

// RelayOptions say what is not required of a Relay. The zero value works.
type RelayOptions struct {
	MaxBytes int64        // limit of the copy; 0: DefaultMaxBytes, or as it is
	Logger   *slog.Logger // nil: silent
}

// Relay keeps this site's copy of one peer's stream.
type Relay struct {
	store   store
	dial    func(context.Context) (*Bus, error)
	log     *slog.Logger
	options RelayOptions
	status  relayStatus
	// appender stores the copy; made by the first session of Run.
	appender *appender
}

// NewRelay returns the relay at site that copies origin's stream to local, the
// site's own bus. dial connects to origin's bus, each time anew; the relay closes
// what it returns.
func NewRelay(local *Bus, cluster string, site, origin change.Site, dial func(context.Context) (*Bus, error), o RelayOptions) *Relay {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Relay{
		store: copyStore(local, cluster, site, origin, o.MaxBytes),
		dial:  dial, options: o, log: o.Logger.With("component", "relay", "origin", string(origin)),
	}
	r.status.set(RelayStatus{Origin: origin, State: RelayConnecting, Since: time.Now()})
	return r
}

// Status tells how the relay is doing. It may be called at any time.
func (r *Relay) Status() RelayStatus { return r.status.get() }

// Run copies until ctx ends. Whatever can come right by itself or by a person's
// doing it reports in Status and tries again; it returns early only with
// change.ErrStandby, when another agent of this site has taken the copy over.
func (r *Relay) Run(ctx context.Context) error {
	pause := retryFirst
	for {
		started := time.Now()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(started) > retryMost {
			pause = retryFirst
		}
		switch {
		case errors.Is(err, change.ErrStandby):
			return err
		case errors.Is(err, errRewound):
			pause = retryFirst
		case errors.Is(err, change.ErrNeedsCopy):
			r.state(RelayNeedsCopy, err)
			pause = retryStopped
		case errors.Is(err, change.ErrRefused):
			r.state(RelayRefused, err)
			pause = retryStopped
		case errors.Is(err, change.ErrStreamFull):
			r.state(RelayFull, err)
			pause = retryMost
		default:
			r.state(RelayUnreachable, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*2, retryMost)
	}
}

func (r *Relay) state(s RelayState, reason error) {
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	if r.status.enter(s, text) {
		r.log.Info("relay state", "state", string(s), "reason", text)
	}
}

// session copies for as long as one connection to the peer lasts.
func (r *Relay) session(ctx context.Context) error {
	local, at, err := r.local(ctx)
	if err != nil {
		return fmt.Errorf("reading the copy on the own bus: %w", err)
	}
	peer, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer peer.Close()
	name := StreamName(r.store.cluster, r.store.origin)
	origin, err := peer.stream(ctx, name)
	if err != nil {
		return fmt.Errorf("opening stream %s of site %s: %w", name, r.store.origin, err)
	}
	in, from, err := r.plan(ctx, origin, local, at)
	if err != nil {
		return err
	}
	defer in.close()
	r.appender.reset(at.sequence)
	return r.copy(ctx, origin, in, from)
}

// copied is where the copy stands.
type copied struct {
	sequence uint64 // last message
	label    label  // its label; zero when the copy is empty
	tail     change.Tail
}

// local opens the copy and reads its end, when nothing is in flight.
func (r *Relay) local(ctx context.Context) (jetstream.Stream, copied, error) {
	if r.appender == nil {
		a, err := newAppender(r.store)
		if err != nil {
			return nil, copied{}, err
		}
		a.stored = r.status.stored
		r.appender = a
	}
	if err := r.appender.drain(ctx); err != nil {
		return nil, copied{}, err
	}
	stream, err := r.store.open(ctx)
	if err != nil {
		return nil, copied{}, err
	}
	e, err := endOf(ctx, stream)
	if err != nil || e.message == nil {
		return stream, copied{sequence: e.last}, err
	}
	stands, l, err := e.progress(r.store.cluster, r.store.origin)
	if err == nil && l.originSequence == 0 {
		err = fmt.Errorf("%w: it was not stored by a relay", errFormat)
	}
	if err != nil {
		return nil, copied{}, fmt.Errorf("message %d of stream %s: %w", e.last, r.store.name, err)
	}
	r.status.found(l)
	return stream, copied{sequence: e.last, label: l, tail: stands.tail}, nil
}

// copy pulls and stores until something fails.
func (r *Relay) copy(ctx context.Context, origin jetstream.Stream, in *intake, from uint64) error {
	group, ctx := errgroup.WithContext(ctx)
	p, err := pull(ctx, origin, from)
	if err != nil {
		return err
	}
	defer p.stop(ctx)
	if in.overlap != nil {
		r.state(RelayRewound, fmt.Errorf("site %s lost the end of its stream: waiting until it has published up to transaction %d again",
			r.store.origin, in.at.complete))
	} else if !r.status.stopped() {
		r.state(RelayStreaming, nil)
	}
	broken := r.appender.brokenNow()
	group.Go(func() error {
		for {
			m, meta, err := p.read(ctx)
			if err != nil {
				return err
			}
			if err := in.take(ctx, m, meta.Sequence.Stream); err != nil {
				return fmt.Errorf("message %d of site %s: %w", meta.Sequence.Stream, r.store.origin, err)
			}
		}
	})
	group.Go(func() error { return r.poll(ctx, origin) })
	group.Go(func() error {
		select {
		case <-broken:
			return fmt.Errorf("storing the copy: %w", r.appender.failure(ctx))
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return group.Wait()
}

// poll asks the origin how far it is.
func (r *Relay) poll(ctx context.Context, origin jetstream.Stream) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		info, err := streamInfo(ctx, origin)
		if err != nil {
			return fmt.Errorf("asking site %s how far it is: %w", r.store.origin, err)
		}
		if r.status.behind(info.State) {
			l, err := lastLabel(ctx, origin)
			if err != nil {
				return fmt.Errorf("asking site %s how far it is: %w", r.store.origin, err)
			}
			r.status.origin(l)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// lastLabel reads the headers of a stream's last message and not the message.
func lastLabel(ctx context.Context, stream jetstream.Stream) (label, error) {
	c, err := newConsumer(ctx, stream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPolicy, HeadersOnly: true, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return label{}, err
	}
	m, err := c.Next(jetstream.FetchMaxWait(apiTimeout))
	if err != nil {
		return label{}, err
	}
	if err := stream.DeleteConsumer(ctx, c.CachedInfo().Name); err != nil {
		return label{}, err
	}
	return parseLabel(m.Headers())
}
