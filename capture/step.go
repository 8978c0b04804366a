package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// Stepper is a capture session driven one step at a time on the caller's goroutine:
// what Run does, without its goroutines, for simulations that must replay exactly.
// Nothing waits: a step that would have to reports false. After an error the
// session is over and must be closed; begin again with Steps.
type Stepper struct {
	a      *Agent
	r      Reader
	q      *queue
	held   *Event // read, and not accepted yet
	flying []sent
}

// errBlocked: the step would have to wait.
var errBlocked = errors.New("would wait")

// Steps begins a session. It must not be used beside Run.
func (a *Agent) Steps(ctx context.Context) (*Stepper, error) {
	r, q, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	a.begin(q)
	q.linger = 0 // no clock is asked: a frame that is due is sent
	return &Stepper{a: a, r: r, q: q}, nil
}

// unwaiting returns a context that has ended: every wait of the queue becomes an
// answer.
func unwaiting(ctx context.Context) context.Context {
	now, cancel := context.WithCancelCause(ctx)
	cancel(errBlocked)
	return now
}

// done turns the outcome of a step that may not wait into an answer.
func done(err error) (bool, error) {
	if errors.Is(err, errBlocked) {
		return false, nil
	}
	return err == nil, err
}

// Read takes the next event of the log. The caller knows that there is one: the
// reader itself may block.
func (s *Stepper) Read(ctx context.Context) (bool, error) {
	if s.held == nil {
		e, err := s.r.Next(ctx)
		if err != nil {
			return false, fmt.Errorf("reading the log: %w", err)
		}
		s.held = &e
	}
	ok, err := done(s.a.take(unwaiting(ctx), s.q, s.held))
	if ok {
		s.held = nil
	}
	return ok, err
}

// Holding reports whether an event was read that was not accepted yet: Read takes it
// up again without asking the reader.
func (s *Stepper) Holding() bool { return s.held != nil }

// Publish sends the next frame if one is due.
func (s *Stepper) Publish(ctx context.Context) (bool, error) {
	sent, err := s.a.send(unwaiting(ctx), s.q)
	if err == nil {
		s.flying = append(s.flying, sent)
	}
	return done(err)
}

// Settle takes the answer to the oldest frame in flight.
func (s *Stepper) Settle(ctx context.Context) (bool, error) {
	if len(s.flying) == 0 {
		return false, nil
	}
	if err := s.a.stored(ctx, s.r, s.q, s.flying[0]); err != nil {
		return false, err
	}
	s.flying = s.flying[1:]
	return true, nil
}

// Fence asks the fence; false: not yet, ask again after further steps.
func (s *Stepper) Fence(ctx context.Context, p change.Position, raise uint64) (bool, error) {
	_, err := s.q.fence(unwaiting(ctx), p, raise)
	return done(err)
}

// Close ends the session.
func (s *Stepper) Close(ctx context.Context) error {
	s.a.end(s.q)
	s.q.close(errors.New("capture restarts"))
	return s.r.Close(ctx)
}
