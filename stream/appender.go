package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/semaphore"

	"github.com/concord-db/concord/internal/change"
)

const (
	// inFlightBytes bounds what is published and not yet acknowledged.
	inFlightBytes = 8 << 20
	// inFlightLeast is what a message counts for at least, which bounds their number.
	inFlightLeast = 32 << 10
)

// errWrongSequence: the stream does not end where the appender believed.
var errWrongSequence = errors.New("the stream does not end where it was left")

// appender stores messages in one stream, in order or not at all, without waiting
// for each. Two things make that so:
//
// Each message names the stream sequence it must follow, so the messages behind
// one that failed fail too. That alone holds for one writer only: a message of
// another takes the place of the failed one, and what was sent behind it is let
// in. So each run of an appender (from reset on) also has a subject of its own and
// makes it the stream's only one: what an earlier run, here or in another process,
// still sends finds no stream. And the first message of a run is awaited alone:
// once it is stored, all that earlier runs had under way has been dealt with
// before it.
//
// Never sent are Nats-Expected-Last-Msg-Id, of which one wrong value bricks a
// replicated stream, and Nats-Msg-Id, which costs much and proves nothing after
// two minutes.
type appender struct {
	store  store
	js     jetstream.JetStream
	writer string
	// stored, when set, is called with each acknowledged message in order.
	stored func(label, int)

	room *semaphore.Weighted

	mu      sync.Mutex
	last    uint64 // stream sequence that the next message follows
	subject string // of this run
	runs    int    // so far
	opening bool   // the first message of this run is not stored yet
	queue   []*Ack // in flight, in order
	idle    chan struct{}
	failed  error
	broken  chan struct{} // closed with failed
}

// Ack is the promise of one message.
type Ack struct {
	appender *appender
	label    label
	size     int
	weight   int64
	future   jetstream.PubAckFuture
	done     chan struct{}
	err      error // once done is closed
}

func newAppender(s store) (*appender, error) {
	js, err := s.bus.jetstream()
	if err != nil {
		return nil, err
	}
	idle := make(chan struct{})
	close(idle)
	return &appender{
		store: s, js: js, writer: nuid.Next(), room: semaphore.NewWeighted(inFlightBytes),
		idle: idle, broken: make(chan struct{}), failed: errors.New("the stream's end was not read"),
	}, nil
}

// drain waits until nothing is in flight any more. Acknowledgements that do not
// come time out by themselves.
func (a *appender) drain(ctx context.Context) error {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reset begins a new run behind message last. Nothing may be in flight. The
// stream is not taken over before the first message: whoever only looks at its
// end, such as a standby, disturbs nobody.
func (a *appender) reset(last uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs++
	a.subject = fmt.Sprintf("%s.%s-%d", a.store.subject, a.writer, a.runs)
	a.last, a.opening, a.failed, a.broken = last, true, nil, make(chan struct{})
}

// brokenNow returns a channel that is closed when a message failed.
func (a *appender) brokenNow() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

// failure is why this run has ended; nil while it goes on.
func (a *appender) failure(ctx context.Context) error {
	a.mu.Lock()
	err := a.failed
	a.mu.Unlock()
	if err == nil {
		return nil
	}
	return a.explain(ctx, err)
}

// append publishes one message. It blocks while too much is in flight, and for
// the first of a run until it is stored. One goroutine calls it at a time.
func (a *appender) append(ctx context.Context, l label, payload []byte) (*Ack, error) {
	weight := int64(min(max(len(payload), inFlightLeast), inFlightBytes))
	if err := a.room.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	opening := a.begins()
	if opening {
		if err := a.store.take(ctx, a.subject); err != nil {
			a.room.Release(weight)
			return nil, a.give(err)
		}
	}
	ack, err := a.publish(l, payload, weight)
	if err != nil {
		a.room.Release(weight)
		return nil, a.explain(ctx, err)
	}
	if opening {
		if err := ack.Wait(ctx); err != nil {
			return nil, a.give(err)
		}
		a.mu.Lock()
		a.opening = false
		a.mu.Unlock()
	}
	return ack, nil
}

// begins reports whether the next message is the first of its run.
func (a *appender) begins() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opening && a.failed == nil
}

// give up this run with err.
func (a *appender) give(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failLocked(err)
	return err
}

func (a *appender) publish(l label, payload []byte, weight int64) (*Ack, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil {
		return nil, a.failed
	}
	header := l.header()
	header.Set(headerWriter, a.writer)
	future, err := a.js.PublishMsgAsync(
		&nats.Msg{Subject: a.subject, Header: header, Data: payload},
		jetstream.WithExpectStream(a.store.name), jetstream.WithExpectLastSequence(a.last),
		jetstream.WithRetryAttempts(0))
	if err != nil {
		a.failLocked(err)
		return nil, err
	}
	a.last++
	ack := &Ack{appender: a, label: l, size: len(payload), weight: weight, future: future, done: make(chan struct{})}
	if a.queue = append(a.queue, ack); len(a.queue) == 1 {
		a.idle = make(chan struct{})
		go a.collect()
	}
	return ack, nil
}

// failLocked makes err the end of this run of messages. REQUIRES: a.mu is held.
func (a *appender) failLocked(err error) {
	if a.failed == nil {
		a.failed = err
		close(a.broken)
	}
}

// collect settles acknowledgements in order. It runs while anything is in flight,
// which is never longer than the timeout of the last acknowledgement.
func (a *appender) collect() {
	for {
		a.mu.Lock()
		ack := a.queue[0]
		a.mu.Unlock()

		err := ack.settle()

		a.mu.Lock()
		if a.failed != nil {
			// A message in front of this one failed: whatever became of this one, it
			// is not to be relied on.
			ack.err = a.failed
		} else if err != nil {
			ack.err = err
			a.failLocked(err)
		}
		a.queue[0] = nil
		a.queue = a.queue[1:]
		ended := len(a.queue) == 0
		if ended {
			a.queue = nil
		}
		idle := a.idle
		a.mu.Unlock()

		if ack.err == nil && a.stored != nil {
			a.stored(ack.label, ack.size)
		}
		a.room.Release(ack.weight)
		close(ack.done)
		if ended {
			close(idle)
			return
		}
	}
}

// settle waits for the server's word on one message.
func (k *Ack) settle() error {
	select {
	case <-k.future.Ok():
		return nil
	case err := <-k.future.Err():
		switch errAPI(err) {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return fmt.Errorf("%w: %w", errWrongSequence, err)
		}
		return classify(err)
	case <-k.appender.store.bus.closed:
		return nats.ErrConnectionClosed
	}
}

// Wait blocks until the frame is stored or failed. A frame that failed by timeout
// or a lost connection may have been stored. Errors as those of
// Publisher.Publish.
func (k *Ack) Wait(ctx context.Context) error {
	select {
	case <-k.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.err == nil {
		return nil
	}
	return fmt.Errorf("storing seq %d to %d in stream %s: %w", k.label.first, k.label.last, k.appender.store.name,
		k.appender.explain(ctx, k.err))
}

// explain finds out why the stream does not take a message: another writer has
// taken it over, or a message of our own that was given up came late after all.
func (a *appender) explain(ctx context.Context, err error) error {
	if !errors.Is(err, errWrongSequence) && !errors.Is(err, jetstream.ErrNoStreamResponse) {
		return err
	}
	stream, lookErr := a.store.bus.stream(ctx, a.store.name)
	if lookErr != nil {
		return fmt.Errorf("%w (and stream %s cannot be looked at: %w)", err, a.store.name, lookErr)
	}
	if taken := stream.CachedInfo().Config.Subjects; len(taken) == 1 && !strings.HasPrefix(taken[0], a.store.subject+"."+a.writer+"-") {
		return fmt.Errorf("%w: another agent writes stream %s now: %w", change.ErrStandby, a.store.name, err)
	}
	return err
}
