package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-db/concord/internal/change"
)

const (
	// pullMessages and pullBytes are how much is asked for ahead. A message greater
	// than pullBytes would never come, so it is more than the bus carries.
	pullMessages = 512
	pullBytes    = busPayload + 1<<20
	// pullExpiry and pullHeartbeat make a dead connection known within a second.
	pullExpiry    = 2 * time.Second
	pullHeartbeat = 500 * time.Millisecond
	// pullIdle is when the server forgets a consumer whose reader is gone.
	pullIdle = 5 * time.Minute
)

// puller reads a stream's messages one after the other, ahead of its caller.
type puller struct {
	stream   jetstream.Stream
	name     string
	consumer string
	messages jetstream.MessagesContext
	next     uint64 // stream sequence
}

// pull starts reading at stream sequence from. The caller stops it.
func pull(ctx context.Context, stream jetstream.Stream, from uint64) (*puller, error) {
	name := stream.CachedInfo().Config.Name
	consumer, err := newConsumer(ctx, stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       max(from, 1),
		InactiveThreshold: pullIdle,
	})
	if err != nil {
		return nil, fmt.Errorf("reading stream %s: %w", name, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes), jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return nil, fmt.Errorf("reading stream %s: %w", name, err)
	}
	return &puller{stream: stream, name: name, consumer: consumer.CachedInfo().Name, messages: messages, next: max(from, 1)}, nil
}

// read returns the next message and its stream sequence. A gap is
// change.ErrNeedsCopy: messages were purged before they were read.
func (p *puller) read(ctx context.Context) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	m, err := p.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, nil, fmt.Errorf("reading stream %s: %w", p.name, err)
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, nil, fmt.Errorf("reading stream %s: %w", p.name, err)
	}
	if got := meta.Sequence.Stream; got != p.next {
		return nil, nil, fmt.Errorf("%w: messages %d to %d of stream %s are gone", change.ErrNeedsCopy, p.next, got-1, p.name)
	}
	p.next++
	return m, meta, nil
}

// stop ends the reading. The server forgets the consumer by itself; telling it is
// a courtesy that must not take long.
func (p *puller) stop(ctx context.Context) {
	p.messages.Stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = p.stream.DeleteConsumer(ctx, p.consumer)
}
