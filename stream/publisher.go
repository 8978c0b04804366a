package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/concord-db/concord/internal/change"
)

// PublisherOptions say what is not required of a Publisher. The zero value works.
type PublisherOptions struct {
	MaxBytes    int64       // limit of the stream; 0: DefaultMaxBytes, or as it is
	Compression Compression // zero: S2
}

// Publisher writes a site's own stream. See capture.Publisher for the contract.
// One goroutine at a time calls Tail and Publish; acknowledgements may be awaited
// by others.
type Publisher struct {
	store   store
	encoder *encoder

	mu       sync.Mutex
	appender *appender
	previous hash
	at       progress
}

// NewPublisher returns a publisher of site's stream on the site's own bus. It
// does nothing before Tail.
func NewPublisher(b *Bus, cluster string, site change.Site, o PublisherOptions) *Publisher {
	return &Publisher{
		store: store{
			bus: b, name: StreamName(cluster, site), subject: framesSubject(cluster, site),
			cluster: cluster, origin: site, maxBytes: o.MaxBytes,
		},
		encoder: newEncoder(o.Compression),
	}
}

// Tail reads the end of the stored stream, which it creates when there is none,
// and makes it the point that Publish continues from. It first waits until
// nothing of an earlier run is in flight. A large transaction of which not all
// parts are stored is not part of the tail: it is published anew from part 0.
// change.ErrNeedsCopy when the stream was emptied. Reading the end disturbs nobody;
// the first Publish after it takes the stream over from whoever wrote it.
func (p *Publisher) Tail(ctx context.Context) (change.Tail, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.appender == nil {
		a, err := newAppender(p.store)
		if err != nil {
			return change.Tail{}, err
		}
		p.appender = a
	}
	if err := p.appender.drain(ctx); err != nil {
		return change.Tail{}, fmt.Errorf("waiting for frames in flight: %w", err)
	}
	stream, err := p.store.open(ctx)
	if err != nil {
		return change.Tail{}, err
	}
	e, err := endOf(ctx, stream)
	if err != nil {
		return change.Tail{}, err
	}
	if e.message == nil && e.last > 0 {
		return change.Tail{}, fmt.Errorf("%w: stream %s was emptied: what was published up to message %d is not known any more",
			change.ErrNeedsCopy, p.store.name, e.last)
	}
	at, l, err := e.progress(p.store.cluster, p.store.origin)
	if err != nil {
		return change.Tail{}, fmt.Errorf("reading the end of stream %s: %w", p.store.name, err)
	}
	p.at, p.previous = at, l.hash
	p.appender.reset(e.last)
	return at.tail, nil
}

// Publish sends a frame without waiting for it to be stored, but for the first
// after Tail. Errors:
// change.ErrStandby when another writer has appended; change.ErrStreamFull when
// the stream is at its limit; change.ErrRefused when one row is too large for the
// bus; others may be retried. After any error nothing later is stored: start
// again from Tail.
func (p *Publisher) Publish(ctx context.Context, f *change.Frame) (change.Ack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.appender == nil {
		return nil, errors.New("publishing before the stream's end was read")
	}
	if f.Cluster != p.store.cluster || f.Origin != p.store.origin {
		return nil, fmt.Errorf("publishing a frame of site %s, cluster %s, in stream %s", f.Origin, f.Cluster, p.store.name)
	}
	if err := p.appender.failure(ctx); err != nil {
		return nil, fmt.Errorf("publishing in stream %s: %w", p.store.name, err)
	}
	at, err := p.at.advance(f)
	if err != nil {
		return nil, fmt.Errorf("publishing in stream %s: %w", p.store.name, err)
	}
	payload, err := p.encoder.encode(f, p.previous, at)
	if err != nil {
		return nil, fmt.Errorf("encoding seq %d to %d: %w", p.at.last+1, at.last, err)
	}
	if limit := p.store.bus.maxPayload; len(payload) > limit {
		return nil, fmt.Errorf("publishing in stream %s: %w", p.store.name, tooLarge(f, len(payload), limit))
	}
	l := label{first: at.last + 1, last: at.last, complete: at.tail.Seq, epoch: f.Epoch, hash: hashOf(payload)}
	if len(f.Transactions) > 0 {
		l.first = f.Transactions[0].Seq
	}
	ack, err := p.appender.append(ctx, l, payload)
	if err != nil {
		return nil, fmt.Errorf("publishing seq %d to %d in stream %s: %w", l.first, l.last, p.store.name, err)
	}
	p.at, p.previous = at, l.hash
	return ack, nil
}
