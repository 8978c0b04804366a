package apply

import (
	"context"

	"github.com/concord-db/concord/internal/change"
)

// Log is one origin's stream as stored at this site: the relay's copy of a peer's,
// or the site's own.
type Log interface {
	// Open reads from the first transaction whose seq is greater than after. Frames
	// come whole: leading transactions at or before after are left out. Errors:
	// change.ErrNeedsCopy when the log begins beyond after+1 or is of another epoch
	// than epoch (0: any).
	Open(ctx context.Context, epoch uint32, after uint64) (FrameReader, error)

	// Tail tells what is stored now.
	Tail(ctx context.Context) (change.Tail, error)
}

// FrameReader yields frames in order, checked.
type FrameReader = change.FrameReader

// Fence proves that the window contains every local transaction committed before
// the locks of a group were taken. Capture implements it (in the same process, or
// asked over the bus).
type Fence interface {
	// Fence waits until capture has read its log up to p, and returns once the window
	// holds every local transaction committed at or before p. When raise is not 0,
	// every local transaction that is read later has a greater HLC than raise, across
	// restarts too.
	Fence(ctx context.Context, p change.Position, raise uint64) error
}
