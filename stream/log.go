package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-db/concord/internal/change"
)

// Log is an origin's stream as stored at this site. See apply.Log for the
// contract. All methods may be called concurrently.
type Log struct{ store store }

// NewLog returns the log of origin at site, on the site's own bus: the relay's
// copy, or the site's own stream when origin is site.
func NewLog(b *Bus, cluster string, site, origin change.Site) *Log {
	if origin == site {
		return &Log{store{bus: b, name: StreamName(cluster, site), subject: framesSubject(cluster, site), cluster: cluster, origin: site}}
	}
	return &Log{copyStore(b, cluster, site, origin, 0)}
}

func copyStore(b *Bus, cluster string, site, origin change.Site, maxBytes int64) store {
	return store{
		bus: b, name: CopyName(cluster, site, origin), subject: copySubject(cluster, site, origin),
		cluster: cluster, origin: origin, maxBytes: maxBytes,
	}
}

// Origin is the site whose transactions these are.
func (l *Log) Origin() change.Site { return l.store.origin }

// Open reads from the first transaction whose seq is greater than after. epoch 0
// takes whatever epoch it finds. ctx bounds the opening only. The caller closes
// the reader.
func (l *Log) Open(ctx context.Context, epoch uint32, after uint64) (change.FrameReader, error) {
	r, err := l.open(ctx, epoch, after)
	if err != nil {
		return nil, fmt.Errorf("opening stream %s after seq %d: %w", l.store.name, after, err)
	}
	return r, nil
}

func (l *Log) open(ctx context.Context, epoch uint32, after uint64) (*Reader, error) {
	stream, err := l.store.bus.stream(ctx, l.store.name)
	if err != nil {
		return nil, err
	}
	e, err := endOf(ctx, stream)
	if err != nil {
		return nil, err
	}
	from, err := l.begin(ctx, stream, e, epoch, after)
	if err != nil {
		return nil, err
	}
	p, err := pull(ctx, stream, from)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &Reader{
		log: l, puller: p, cancel: cancel,
		frames: make(chan *change.Frame, readAhead), failed: make(chan struct{}), done: make(chan struct{}),
		check: follower{
			cluster: l.store.cluster, origin: l.store.origin, epoch: epoch,
			at: progress{tail: change.Tail{Seq: after}, last: after},
		},
	}
	go r.run(life)
	return r, nil
}

// begin returns the stream sequence to read from, having verified that the stream
// is of the epoch and goes back to after+1.
func (l *Log) begin(ctx context.Context, stream jetstream.Stream, e end, epoch uint32, after uint64) (uint64, error) {
	if e.message == nil {
		return e.first, nil
	}
	_, last, err := e.progress(l.store.cluster, l.store.origin)
	if err != nil {
		return 0, err
	}
	if epoch != 0 && last.epoch != epoch {
		return 0, fmt.Errorf("%w: the stream of site %s is of epoch %d, what was applied is of epoch %d: its log was replaced or restored",
			change.ErrNeedsCopy, l.store.origin, last.epoch, epoch)
	}
	first, err := getLabel(ctx, stream, e.first)
	if err != nil {
		return 0, err
	}
	if epoch == 0 {
		epoch = first.epoch
	}
	from, err := seek(ctx, stream, e, epoch, after)
	if err != nil {
		return 0, err
	}
	// Before any other message is one that ends at or before after.
	if from == e.first && first.first > after+1 {
		return 0, fmt.Errorf("%w: it begins with transaction %d, and %d is the next to apply: what is between is not there any more",
			change.ErrNeedsCopy, first.first, after+1)
	}
	return from, nil
}

// Tail tells what is stored now; the zero Tail when nothing is.
func (l *Log) Tail(ctx context.Context) (change.Tail, error) {
	e, err := readEnd(ctx, l.store.bus, l.store.name)
	if err != nil {
		return change.Tail{}, err
	}
	at, _, err := e.progress(l.store.cluster, l.store.origin)
	if err != nil {
		return change.Tail{}, fmt.Errorf("reading the end of stream %s: %w", l.store.name, err)
	}
	return at.tail, nil
}

// Trim removes the frames wholly before the one that contains transaction seq.
// The caller knows that nobody needs them: every peer has applied them, and no
// window holds them. The last frame stays in any case: it says where the stream
// stands.
func (l *Log) Trim(ctx context.Context, seq uint64) error {
	stream, err := l.store.bus.stream(ctx, l.store.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("trimming stream %s: %w", l.store.name, err)
	}
	e, err := endOf(ctx, stream)
	if err != nil || e.message == nil || seq == 0 {
		return err
	}
	last, err := parseLabel(e.message.Header)
	if err != nil {
		return fmt.Errorf("trimming stream %s, message %d: %w", l.store.name, e.last, err)
	}
	keep, err := seek(ctx, stream, e, last.epoch, seq-1)
	if err != nil {
		return fmt.Errorf("trimming stream %s: %w", l.store.name, err)
	}
	if keep = min(keep, e.last); keep <= e.first {
		return nil
	}
	if err := purgeBefore(ctx, stream, keep); err != nil {
		return fmt.Errorf("trimming stream %s: %w", l.store.name, err)
	}
	return nil
}

// SetMaxBytes changes the limit of the stream's size. Nothing that is stored is lost by
// a limit below it.
func (l *Log) SetMaxBytes(ctx context.Context, limit int64) error {
	stream, err := l.store.bus.stream(ctx, l.store.name)
	if err == nil {
		c := stream.CachedInfo().Config
		c.MaxBytes = limit
		err = l.store.bus.updateStream(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("setting the limit of stream %s: %w", l.store.name, err)
	}
	return nil
}

// LogStatus is what a stream holds.
type LogStatus struct {
	Exists   bool
	Messages uint64
	Bytes    uint64 // on disk
	MaxBytes int64  // its limit
	FirstSeq uint64 // first transaction it holds, perhaps not from its start; 0 when empty
	LastSeq  uint64 // last complete transaction
	Epoch    uint32
}

// Status tells how much the stream holds.
func (l *Log) Status(ctx context.Context) (LogStatus, error) {
	stream, err := l.store.bus.stream(ctx, l.store.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return LogStatus{}, nil
	}
	if err != nil {
		return LogStatus{}, fmt.Errorf("reading the state of stream %s: %w", l.store.name, err)
	}
	info := stream.CachedInfo()
	s := LogStatus{Exists: true, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: info.Config.MaxBytes}
	if info.State.Msgs == 0 {
		return s, nil
	}
	for _, end := range []struct {
		sequence uint64
		set      func(label)
	}{
		{info.State.FirstSeq, func(l label) { s.FirstSeq = l.first }},
		{info.State.LastSeq, func(l label) { s.LastSeq, s.Epoch = l.complete, l.epoch }},
	} {
		at, err := getLabel(ctx, stream, end.sequence)
		if err != nil {
			return s, err
		}
		end.set(at)
	}
	return s, nil
}
