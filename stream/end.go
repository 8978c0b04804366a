package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-db/concord/internal/change"
)

// end is the end of a stream as stored.
type end struct {
	first, last uint64                  // stream sequences; first is last+1 when it is empty
	message     *jetstream.RawStreamMsg // at last; nil when the stream is empty
}

// readEnd reads the end of a stream from its leader. The zero end when the stream
// does not exist.
func readEnd(ctx context.Context, b *Bus, name string) (end, error) {
	stream, err := b.stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return end{first: 1}, nil
	}
	if err != nil {
		return end{}, fmt.Errorf("reading the end of stream %s: %w", name, err)
	}
	return endOf(ctx, stream)
}

func endOf(ctx context.Context, stream jetstream.Stream) (end, error) {
	info, err := streamInfo(ctx, stream)
	if err != nil {
		return end{}, fmt.Errorf("reading the end of stream: %w", err)
	}
	name, e := info.Config.Name, end{first: info.State.FirstSeq, last: info.State.LastSeq}
	if info.State.Msgs == 0 {
		e.first = e.last + 1
		return e, nil
	}
	if e.message, err = getMessage(ctx, stream, name, e.last); err != nil {
		return end{}, err
	}
	return e, nil
}

// getMessage reads one message. A message that should be there and is not has been
// removed or lost: change.ErrNeedsCopy.
func getMessage(ctx context.Context, stream jetstream.Stream, name string, sequence uint64) (*jetstream.RawStreamMsg, error) {
	m, err := streamMessage(ctx, stream, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("%w: message %d of stream %s is gone", change.ErrNeedsCopy, sequence, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading message %d of stream %s: %w", sequence, name, err)
	}
	return m, nil
}

// progress returns where a stream stands, all of it taken from its last message,
// and that message's label. The zero progress when the stream is empty.
func (e end) progress(cluster string, origin change.Site) (progress, label, error) {
	if e.message == nil {
		return progress{}, label{}, nil
	}
	_, l, err := checkMessage(e.message.Header, e.message.Data, cluster, origin)
	if err != nil {
		return progress{}, l, fmt.Errorf("reading message %d, the last: %w", e.last, err)
	}
	m, err := (&decoder{}).decode(e.message.Data)
	if err != nil {
		return progress{}, l, fmt.Errorf("reading message %d, the last: %w", e.last, err)
	}
	return m.after, l, nil
}
