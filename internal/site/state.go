package site

import (
	"context"
	"time"
)

// state is what this process does for its site.
type state string

// The states of a process, as httpapi.Status.State has them.
const (
	starting state = "starting" // Reason says what it waits for
	standby  state = "standby"  // another process of the site does it; Reason says which
	running  state = "running"
)

// show makes st what the process is seen to be in.
func (s *Site) show(st state, reason string) {
	s.mu.Lock()
	changed := s.state != st || s.reason != reason
	if changed {
		s.state, s.reason = st, reason
	}
	s.mu.Unlock()
	switch {
	case !changed:
	case st == starting:
		s.log.Warn("starting", "state", reason)
	case st == standby:
		s.log.Info("standing by", "reason", reason)
	default:
		s.log.Info("agents run", "site", string(s.self.Name), "role", string(s.role))
	}
}

// waitFor shows what start-up waits for and why.
func (s *Site) waitFor(what string, err error) {
	text := "waiting for " + what
	if err != nil {
		text += ": " + err.Error()
	}
	s.show(starting, text)
}

// retry calls f until it succeeds or ctx ends, and shows what is waited for.
func retry[T any](ctx context.Context, s *Site, what string, f func() (T, error)) (T, error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		v, err := f()
		if err == nil || ctx.Err() != nil {
			return v, ctx.Err()
		}
		s.waitFor(what, err)
		sleep(ctx, wait)
	}
}
