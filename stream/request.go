package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// serve answers requests on a subject until ctx ends, several at a time. answer
// gets a request's bytes and returns the reply's.
func serve(ctx context.Context, b *Bus, subject string, answer func(context.Context, []byte) []byte) error {
	const together = 16
	requests := make(chan *nats.Msg, 64)
	sub, err := b.nc.ChanSubscribe(subject, requests)
	if err != nil {
		return fmt.Errorf("serving %s: %w", subject, err)
	}
	var group sync.WaitGroup
	for range together {
		group.Go(func() {
			for {
				select {
				case m := <-requests:
					// A reply that cannot be sent is a timeout for the one who asked.
					_ = m.Respond(answer(ctx, m.Data))
				case <-ctx.Done():
					return
				}
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-b.closed:
		err = fmt.Errorf("serving %s: %w", subject, nats.ErrConnectionClosed)
	}
	_ = sub.Unsubscribe() // fails only when the connection is gone
	if err == nil {
		group.Wait()
		return ctx.Err()
	}
	return err
}

// ask sends a request and reads the reply into answer.
func ask(ctx context.Context, b *Bus, subject string, question, answer any) error {
	data, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("asking %s: %w", subject, err)
	}
	m, err := b.nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return fmt.Errorf("asking %s: %w", subject, err)
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("reading the reply of %s: %w", subject, err)
	}
	return nil
}
