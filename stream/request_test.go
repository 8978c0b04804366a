package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

var (
	_ apply.Fence = (*FenceClient)(nil)
	_ Fencer      = (*capture.Agent)(nil)
)

// background runs a blocking function until the test ends.
func background(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error { return run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

type fenceFunc func(context.Context, change.Position, uint64) (uint64, error)

func (f fenceFunc) FenceSeq(ctx context.Context, p change.Position, raise uint64) (uint64, error) {
	return f(ctx, p, raise)
}

func TestFenceOverTheBus(t *testing.T) {
	s := newSite(t, "mumbai")
	background(t, func(ctx context.Context) error {
		return ServeFence(ctx, s.bus, "shop", "mumbai", fenceFunc(func(ctx context.Context, p change.Position, raise uint64) (uint64, error) {
			switch p {
			case "0/10":
				if raise != 1<<63 {
					return 0, fmt.Errorf("raised to %d", raise)
				}
				return 7, nil
			case "drift":
				return 0, fmt.Errorf("%w: too far", change.ErrClock)
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}))
	})
	var fed uint64
	c := NewFenceClient(s.bus, "shop", "mumbai", func(_ context.Context, seq uint64) error {
		fed = seq
		return nil
	})
	eventually(t, "the capture agent answers", func() bool { return c.Fence(testContext(t), "0/10", 1<<63) == nil })
	if fed != 7 {
		t.Errorf("the window was fed up to %d, want 7", fed)
	}
	if err := c.Fence(testContext(t), "drift", 0); !errors.Is(err, change.ErrClock) || !strings.Contains(err.Error(), "too far") {
		t.Errorf("got %v, want clock_drift with its reason", err)
	}
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	if err := c.Fence(ctx, "never", 0); err == nil {
		t.Error("a fence that is never reached was passed")
	}
}

func TestFenceWithoutACaptureAgentFailsAtOnce(t *testing.T) {
	s := newSite(t, "mumbai")
	c := NewFenceClient(s.bus, "shop", "mumbai", func(context.Context, uint64) error { return nil })
	if err := c.Fence(testContext(t), "0/10", 0); err == nil {
		t.Error("nobody answered, and the fence was passed")
	}
}

func TestClockOffsetOfAPeer(t *testing.T) {
	s := newSite(t, "mumbai")
	background(t, func(ctx context.Context) error { return ServeClock(ctx, s.bus, "shop", "mumbai") })
	peer := s.dial(t)
	defer peer.Close()
	var reading ClockReading
	eventually(t, "the peer tells its time", func() bool {
		var err error
		reading, err = MeasureClock(testContext(t), peer, "shop", "mumbai")
		return err == nil
	})
	if reading.RTT <= 0 || reading.Offset.Abs() > reading.RTT/2+time.Millisecond {
		t.Errorf("one clock is ahead of itself by %s, round trip %s", reading.Offset, reading.RTT)
	}
}
