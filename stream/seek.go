package stream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// seek returns the stream sequence of the first message that reaches beyond seq
// after of epoch: the one to read from for whoever has everything up to after. It
// is last+1 when there is none yet. Along a stream the epoch never decreases, nor
// within an epoch the last seq of a message, so a binary search finds it. e is the
// stream's end.
func seek(ctx context.Context, stream jetstream.Stream, e end, epoch uint32, after uint64) (uint64, error) {
	low, high := e.first, e.last+1
	for low < high {
		middle := low + (high-low)/2
		l, err := getLabel(ctx, stream, middle)
		if err != nil {
			return 0, err
		}
		if l.epoch > epoch || l.epoch == epoch && l.last > after {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}

// getLabel reads the headers of one message.
func getLabel(ctx context.Context, stream jetstream.Stream, sequence uint64) (label, error) {
	name := stream.CachedInfo().Config.Name
	m, err := getMessage(ctx, stream, name, sequence)
	if err != nil {
		return label{}, err
	}
	l, err := parseLabel(m.Header)
	if err != nil {
		return l, fmt.Errorf("stream %s, message %d: %w", name, sequence, err)
	}
	return l, nil
}
