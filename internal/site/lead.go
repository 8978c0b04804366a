package site

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream"
)

// standbyEvery is how often a process that stands by looks whether it is its turn.
const standbyEvery = time.Second

// spillPause is how long agents wait that could not use their spill files.
const spillPause = 5 * time.Second

// errLost ends a term: the session that proves the lead has died, and another
// process may have it.
var errLost = errors.New("the database session that makes this agent the only one of its site has ended")

// parts are what only one process of a site does at a time. Both are taken together
// where both are played: of two processes that each had one, neither could apply.
func (s *Site) parts() []string {
	switch s.role {
	case Capture:
		return []string{"capture"}
	case Apply:
		return []string{"apply"}
	}
	return []string{"capture", "apply"}
}

// term is the time for which this process has its parts.
type term struct {
	lost    []<-chan struct{}
	release []func()
}

// end gives the parts back.
func (t *term) end() {
	for _, release := range t.release {
		release()
	}
}

// take takes all parts, or none. change.ErrStandby when another process has one.
func (s *Site) take(ctx context.Context) (*term, error) {
	t := &term{}
	for _, part := range s.parts() {
		lost, release, err := s.db.Lead(ctx, part)
		if err != nil {
			t.end()
			return nil, err
		}
		t.lost, t.release = append(t.lost, lost), append(t.release, release)
	}
	return t, nil
}

// lead runs the agents for as long as this process has their parts, and again when it
// has got them back. Everything that agents keep in memory begins anew each time.
func (s *Site) lead(ctx context.Context, bus *stream.Bus, streams logs) error {
	for ctx.Err() == nil {
		t, err := s.await(ctx)
		if err != nil {
			return nil //nolint:nilerr // ctx has ended
		}
		err = s.serve(ctx, t, bus, streams)
		t.end()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to end
		case errors.Is(err, errLost):
			s.waitFor("the database", err)
		case errors.Is(err, conflict.ErrStore):
			s.log.Error("the agents begin anew", "error", err)
			s.waitFor("room for what is in flight", err)
			sleep(ctx, spillPause)
		case err != nil:
			return err
		}
	}
	return nil
}

// await returns when it has taken the parts of this process. The error is ctx's.
func (s *Site) await(ctx context.Context) (*term, error) {
	for pause := 100 * time.Millisecond; ; {
		t, err := s.take(ctx)
		switch {
		case ctx.Err() != nil:
			if t != nil {
				t.end()
			}
			return nil, ctx.Err()
		case err == nil:
			return t, nil
		case errors.Is(err, change.ErrStandby):
			s.bound.set(false)
			s.show(standby, err.Error())
			pause = standbyEvery
		default:
			// The database cannot say whose turn it is. What needs no database goes on
			// where it went on before.
			s.bound.openUnlessDecided()
			s.waitFor("the database", err)
			pause = min(2*pause, 2*time.Second)
		}
		sleep(ctx, pause)
	}
}

// serve runs the agents until ctx ends or a part is lost: errLost then.
func (s *Site) serve(ctx context.Context, t *term, bus *stream.Bus, streams logs) error {
	inside, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, lost := range t.lost {
		go func() {
			select {
			case <-lost:
				cancel(errLost)
			case <-inside.Done():
			}
		}()
	}
	s.setLeads(true)
	s.bound.set(true)
	defer s.setLeads(false)
	defer s.set(nil, nil, nil)
	err := s.runAgents(inside, bus, streams)
	if cause := context.Cause(inside); errors.Is(cause, errLost) {
		return cause
	}
	if err != nil {
		return fmt.Errorf("running the agents: %w", err)
	}
	return nil
}

func (s *Site) setLeads(leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leading = leads
}

// leads reports whether this process has its parts.
func (s *Site) leads() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leading
}
