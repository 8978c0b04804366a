package stream

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// brief bounds one request to JetStream by itself. A stream without a leader does
// not answer, and the client would wait as long as its caller is ready to.
func brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, apiTimeout)
}

func (b *Bus) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return b.js.Stream(ctx, name)
}

func (b *Bus) createStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return b.js.CreateStream(ctx, c)
}

func (b *Bus) updateStream(ctx context.Context, c jetstream.StreamConfig) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	_, err := b.js.UpdateStream(ctx, c)
	return err
}

func streamInfo(ctx context.Context, s jetstream.Stream) (*jetstream.StreamInfo, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return s.Info(ctx)
}

func streamMessage(ctx context.Context, s jetstream.Stream, sequence uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	return s.GetMsg(ctx, sequence)
}

func purgeBefore(ctx context.Context, s jetstream.Stream, sequence uint64) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	return s.Purge(ctx, jetstream.WithPurgeSequence(sequence))
}

// newConsumer makes a reader's state at the server: in memory, for one session,
// without acknowledgements.
func newConsumer(ctx context.Context, s jetstream.Stream, c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	c.AckPolicy, c.MemoryStorage, c.Replicas = jetstream.AckNonePolicy, true, 1
	return s.CreateConsumer(ctx, c)
}
