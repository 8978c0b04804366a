package change

import "context"

// Ack is the promise of a published frame.
type Ack interface {
	// Wait blocks until the frame is stored durably, as releasing the source's log
	// needs it, or failed.
	Wait(ctx context.Context) error
}

// FrameReader yields the frames of one origin's stream in order, checked: seq
// dense, chain of hashes unbroken, epoch the same.
type FrameReader interface {
	// Next blocks for the next frame. ErrNeedsCopy when the chain is broken; other
	// errors may be retried by opening the log again.
	Next(ctx context.Context) (*Frame, error)
	// Ready reports whether Next would return without waiting.
	Ready() bool
	// Close ends the reading. Next must not be called after it.
	Close()
}
