package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/apply"
)

// errLost: the bus lost a message or the answer to it.
var errLost = errors.New("lost by the bus")

// fault breaks something of a site between two steps.
func (w *World) fault(s *site) {
	switch w.rng.IntN(5) {
	case 0:
		w.trace(s, "agents crash")
		w.result.Crashes++
		s.down()
	case 1:
		s.crashDatabase()
	case 2:
		s.crashBus()
	case 3:
		w.trace(s, "a copy loses its end")
		s.copies[s.peers[w.rng.IntN(len(s.peers))]].crash(1 + w.rng.IntN(4))
	case 4:
		if s.agents != nil {
			w.trace(s, "capture starts again")
			s.stopCapture()
		}
	}
}

func (s *site) crashDatabase() {
	s.w.trace(s, "database crashes, %d of %d records flushed", s.db.flushed, len(s.db.log))
	s.w.result.Crashes++
	s.db.Crash()
	s.app.open = nil
	if s.agents != nil {
		s.stopCapture()
		clear(s.agents.ready)
	}
}

func (s *site) crashBus() {
	lost := 1 + s.w.rng.IntN(4)
	s.w.trace(s, "bus crashes, %d of %d frames synced", s.own.synced, len(s.own.stored))
	s.w.result.Crashes++
	s.own.crash(lost)
	if s.agents != nil {
		s.stopCapture()
	}
}

// publishFault loses a frame or the answer to it now and then.
func (s *site) publishFault() (before, after error) {
	if !s.w.chance(60) {
		return nil, nil
	}
	if s.w.rng.IntN(2) == 0 {
		return errLost, nil
	}
	return nil, errLost
}

// answer loses a commit or the answer to it now and then.
func (s *site) answer() (before, after error) {
	if s.loseAnswer {
		s.loseAnswer = false
		return nil, errAnswer
	}
	if !s.w.chance(60) {
		return nil, nil
	}
	if s.w.rng.IntN(2) == 0 {
		return errAnswer, nil
	}
	return nil, errAnswer
}

// errAnswer: whether a commit succeeded is not known.
var errAnswer = fmt.Errorf("%w: the connection broke at commit", apply.ErrTransient)

// around is called at every point of the path of a group to its commit: the world
// goes on there, and things break there.
func (s *site) around(point string) error {
	if s.stop != nil {
		return s.stop
	}
	if s.at != nil {
		s.at(point)
	}
	w := s.w
	if s.busy++; s.busy > 100000 {
		w.fail(Rest, "a step of %s does not end (%s)", s.name, point)
		s.stop = errCrash
	}
	for s.stop == nil && !w.calm && s.budget > 0 && w.rng.IntN(4) == 0 {
		s.budget--
		w.interleave(s)
	}
	if s.stop != nil {
		return s.stop
	}
	if w.chance(400) && point != "checkpoints" {
		s.crashDatabase()
	}
	if w.chance(400) {
		s.crashBus()
	}
	return s.maybeCrash(300)
}

// maybeCrash crashes the agents once in n times.
func (s *site) maybeCrash(n int) error {
	if s.w.chance(n) {
		s.w.trace(s, "agents crash here")
		s.w.result.Crashes++
		s.stop = errCrash
	}
	return s.stop
}

// interleave lets something else happen at a site in the middle of a step of apply.
func (w *World) interleave(s *site) {
	w.now = w.now.Add(time.Duration(1+w.rng.IntN(10)) * time.Microsecond)
	switch dice := w.rng.IntN(20); {
	case dice < 9:
		s.appStep()
	case dice < 13:
		if s.agents != nil && s.depth > 0 {
			if err := s.captureStep(); err != nil {
				w.tolerate(s, err)
			}
		}
	case dice < 14:
		s.db.Flush()
	case dice < 16:
		if s.agents != nil && s.depth == 1 && len(s.peers) > 1 {
			if _, err := s.applyStep(s.peers[w.rng.IntN(len(s.peers))], 1); err != nil {
				w.tolerate(s, err)
			}
		}
	}
}

// pause is what apply does between two tries: the applications that hold locks
// finish, in their own time.
func (s *site) pause(ctx context.Context, _ time.Duration) error {
	if s.stop != nil {
		return s.stop
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.pauses++; s.pauses > 50 {
		// A link in doubt, or a step around this one, may hold what this one needs. It is
		// tried again from the start; whether it ever succeeds the end shows.
		return fmt.Errorf("%w: apply at %s tries for long", apply.ErrTransient, s.name)
	}
	s.w.now = s.w.now.Add(time.Millisecond)
	s.finishAll()
	return nil
}
