package capture

import (
	"context"

	"github.com/concord-db/concord/internal/change"
)

// Publisher appends frames to the site's own stream, exactly once and in order.
// It is the only writer; a second one is found out and refused by the stream.
type Publisher interface {
	// Tail reads the end of the stored stream and makes it the point that Publish
	// continues from. Called once before the first Publish.
	Tail(ctx context.Context) (change.Tail, error)

	// Publish sends a frame without waiting for it to be stored; frames are stored
	// in the order of the calls or not at all. It blocks while too much is in
	// flight. The frame must not be changed afterwards. After any error, of Publish
	// or of an Ack, nothing later is stored: start again from Tail.
	//
	// Errors: change.ErrStandby when another writer has appended (fenced);
	// change.ErrStreamFull when the stream is at its limit; others may be retried.
	Publish(ctx context.Context, f *change.Frame) (Ack, error)
}

// Ack is the promise of a published frame.
type Ack = change.Ack
