package capture

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// crowded is a log with a transaction every 100 ms, and a stream that has room for so
// many frames.
type crowded struct {
	script
	mu     sync.Mutex
	room   int
	stored uint64
	read   uint64 // by the session
}

func (c *crowded) Open(_ context.Context, _ change.Position) (Reader, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = c.stored
	return c, nil
}

func (c *crowded) Tail(context.Context) (change.Tail, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return change.Tail{Epoch: 1, Seq: c.stored, Position: change.Position(fmt.Sprintf("%09d", c.stored))}, nil
}

func (c *crowded) Next(ctx context.Context) (Event, error) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read++
	return Event{Kind: Local, Position: change.Position(fmt.Sprintf("%09d", c.read)), CommitTime: time.Now()}, nil
}

func (c *crowded) Publish(_ context.Context, f *change.Frame) (change.Ack, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == 0 {
		return nil, fmt.Errorf("%w: no room", change.ErrStreamFull)
	}
	c.room--
	for _, t := range f.Transactions {
		c.stored = t.Seq
	}
	return c, nil
}

func (c *crowded) Release(change.Position) {}

// A full stream is seen as full from the first refusal on, through all the tries in
// between and the frame that fits now and then, until storing has gone on for a while.
func TestAFullStreamIsSeenAsFullUntilItHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowded{room: 5}
		a := New(c, c, Options{Cluster: "test", Site: "mumbai", Epoch: 1})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		give := func(frames int) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.room = frames
		}
		var seen []State
		watch := func(long time.Duration) {
			for end := time.Now().Add(long); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
				if s := a.Status().State; len(seen) == 0 || seen[len(seen)-1] != s {
					seen = append(seen, s)
				}
			}
		}
		watch(5 * time.Second)
		give(2)
		watch(5 * time.Second)
		give(1000)
		watch(5 * time.Second)
		if got, want := fmt.Sprint(seen), fmt.Sprint([]State{Starting, Streaming, Full, Streaming}); got != want {
			t.Errorf("the states seen were %s, want %s", got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if c.stored < 20 {
			t.Errorf("stored %d transactions", c.stored)
		}
	})
}
