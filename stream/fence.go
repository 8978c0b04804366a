package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Fencer is what the capture agent offers to the apply agent of its site.
type Fencer interface {
	// FenceSeq is apply.Fence's Fence for a window in another process: it returns the
	// seq up to which that window must have been fed from the site's own stream.
	FenceSeq(ctx context.Context, p change.Position, raise uint64) (uint64, error)
}

type fenceRequest struct {
	Position change.Position `json:"position"`
	Raise    uint64          `json:"raise,omitempty,string"`
	Micros   int64           `json:"timeout_micros"` // how long the asker waits
}

type fenceReply struct {
	Seq   uint64 `json:"seq,omitempty,string"`
	Error string `json:"error,omitempty"`
	Class string `json:"class,omitempty"`
}

// fenceClasses are the errors that keep their class across the bus.
var fenceClasses = []error{change.ErrStandby, change.ErrClock, change.ErrNeedsCopy, change.ErrRefused, change.ErrStreamFull}

// fenceLimit bounds a fence whose asker names no time, or too long a time.
const fenceLimit = time.Minute

// ServeFence lets the apply agent of site, in another process, use f, until ctx
// ends.
func ServeFence(ctx context.Context, b *Bus, cluster string, site change.Site, f Fencer) error {
	return serve(ctx, b, subject(cluster, site, "fence"), func(ctx context.Context, data []byte) []byte {
		var reply fenceReply
		var err error
		if reply.Seq, err = answerFence(ctx, f, data); err != nil {
			reply.Error = err.Error()
			for _, class := range fenceClasses {
				if errors.Is(err, class) {
					reply.Class = class.Error()
				}
			}
		}
		out, err := json.Marshal(reply)
		if err != nil {
			return nil
		}
		return out
	})
}

func answerFence(ctx context.Context, f Fencer, data []byte) (uint64, error) {
	var q fenceRequest
	if err := json.Unmarshal(data, &q); err != nil {
		return 0, fmt.Errorf("reading a fence request: %w", err)
	}
	wait := fenceLimit
	if q.Micros > 0 && q.Micros < fenceLimit.Microseconds() {
		wait = time.Duration(q.Micros) * time.Microsecond
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return f.FenceSeq(ctx, q.Position, q.Raise)
}

// FenceClient reaches the capture agent of its own site over the bus. It
// implements apply.Fence.
type FenceClient struct {
	bus     *Bus
	cluster string
	site    change.Site
	fed     func(ctx context.Context, seq uint64) error
}

// NewFenceClient returns a client that asks the capture agent of site over b. fed
// returns once the window of this process holds the site's own transactions up to
// seq, as read from its stream.
func NewFenceClient(b *Bus, cluster string, site change.Site, fed func(ctx context.Context, seq uint64) error) *FenceClient {
	return &FenceClient{bus: b, cluster: cluster, site: site, fed: fed}
}

// Fence asks the capture agent and waits until the window here is fed; see
// apply.Fence. A capture agent that is not there or does not answer in time is an
// error that may be retried.
func (c *FenceClient) Fence(ctx context.Context, p change.Position, raise uint64) error {
	wait := fenceLimit
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var reply fenceReply
	q := fenceRequest{Position: p, Raise: raise, Micros: max(wait.Microseconds(), 1)}
	if err := ask(ctx, c.bus, subject(c.cluster, c.site, "fence"), q, &reply); err != nil {
		return fmt.Errorf("asking the capture agent of site %s for the fence: %w", c.site, err)
	}
	if reply.Error == "" {
		return c.fed(ctx, reply.Seq)
	}
	for _, class := range fenceClasses {
		if reply.Class == class.Error() {
			return fmt.Errorf("%w: fence: %s", class, reply.Error)
		}
	}
	return fmt.Errorf("fence: %s", reply.Error)
}
