package stream

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/concord-db/concord/internal/change"
)

// readAhead is how many decoded frames wait for the caller of Next.
const readAhead = 2

// Reader yields the frames of a Log from one point on. One goroutine calls Next;
// a goroutine of its own reads and decodes ahead until Close.
type Reader struct {
	log    *Log
	puller *puller
	cancel context.CancelFunc
	frames chan *change.Frame
	failed chan struct{} // closed when err is set
	err    error
	broken atomic.Bool
	done   chan struct{}
	check  follower
}

// Next returns the next frame that holds something new. Errors are final:
// change.ErrNeedsCopy when the stream cannot be continued, others may be retried
// by opening the log again after the last transaction that was taken.
func (r *Reader) Next(ctx context.Context) (*change.Frame, error) {
	select {
	case f := <-r.frames:
		return f, nil
	default:
	}
	select {
	case f := <-r.frames:
		return f, nil
	case <-r.failed:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// What was read before the failure is good.
	select {
	case f := <-r.frames:
		return f, nil
	default:
		return nil, r.err
	}
}

// Ready reports whether Next would return without waiting.
func (r *Reader) Ready() bool { return len(r.frames) > 0 || r.broken.Load() }

// Close ends the reading and waits for it.
func (r *Reader) Close() {
	r.cancel()
	<-r.done
}

// run reads until something fails or the reader is closed.
func (r *Reader) run(ctx context.Context) {
	defer close(r.done)
	defer r.puller.stop(ctx)
	for {
		f, err := r.read(ctx)
		if err != nil {
			r.err = err
			r.broken.Store(true)
			close(r.failed)
			return
		}
		if f == nil {
			continue
		}
		select {
		case r.frames <- f:
		case <-ctx.Done():
		}
	}
}

// read takes one message; nil when it holds nothing new.
func (r *Reader) read(ctx context.Context) (*change.Frame, error) {
	m, meta, err := r.puller.read(ctx)
	if err != nil {
		return nil, err
	}
	f, err := r.check.follow(m.Headers(), m.Data())
	if err != nil {
		return nil, fmt.Errorf("stream %s, message %d: %w", r.log.store.name, meta.Sequence.Stream, err)
	}
	return f, nil
}

// follower checks that each frame continues the one before it and leaves out what
// was had already.
type follower struct {
	cluster string
	origin  change.Site
	decoder decoder

	epoch    uint32 // 0: that of the first frame
	previous hash   // of the last frame; zero before the first
	at       progress
}

// follow returns the new part of a frame; nil when there is none.
func (w *follower) follow(h nats.Header, payload []byte) (*change.Frame, error) {
	_, l, err := checkMessage(h, payload, w.cluster, w.origin)
	if err != nil {
		return nil, err
	}
	m, err := w.decoder.decode(payload)
	if err != nil {
		return nil, err
	}
	if w.epoch == 0 {
		w.epoch = l.epoch
	}
	if l.epoch != w.epoch {
		return nil, fmt.Errorf("%w: site %s began epoch %d after epoch %d: its log was replaced or restored",
			change.ErrNeedsCopy, w.origin, l.epoch, w.epoch)
	}
	if w.previous != (hash{}) && m.previous != w.previous && !l.splice {
		return nil, fmt.Errorf("%w: the chain is broken: the frame of seq %d to %d does not follow the one before it",
			change.ErrNeedsCopy, l.first, l.last)
	}
	w.previous = l.hash
	return w.fresh(m.frame)
}

// fresh drops the transactions of f that were had before and checks that the rest
// continues them.
func (w *follower) fresh(f *change.Frame) (*change.Frame, error) {
	if len(f.Transactions) == 0 {
		return f, nil // the clock
	}
	skip := 0
	for skip < len(f.Transactions) && f.Transactions[skip].Seq <= w.at.tail.Seq {
		skip++
	}
	f.Transactions = f.Transactions[skip:]
	if len(f.Transactions) == 0 {
		return nil, nil
	}
	for i := range f.Transactions {
		t := &f.Transactions[i]
		if t.Seq != w.at.tail.Seq+1 {
			return nil, fmt.Errorf("%w: the stream of site %s goes from transaction %d to %d: what is between is not there any more",
				change.ErrNeedsCopy, w.origin, w.at.tail.Seq, t.Seq)
		}
		if err := w.at.step(t); err != nil {
			return nil, fmt.Errorf("%w: %w", change.ErrNeedsCopy, err)
		}
	}
	return f, nil
}
