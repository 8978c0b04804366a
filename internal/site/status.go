package site

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/httpapi"
	"github.com/concord-db/concord/stream"
)

// View shows a Site over HTTP.
type View struct {
	Site    *Site
	Version string
	Started time.Time
}

// Alive reports whether the process works; it does not depend on databases or peers.
func (v *View) Alive() bool { return true }

// snapshot is what a Site holds at one moment.
type snapshot struct {
	state   state
	reason  string
	capture *capture.Agent
	apply   *apply.Agent
	window  *conflict.Window
	relays  map[change.Site]*stream.Relay
	clocks  map[change.Site]Clock
	logs    logs
}

func (s *Site) snapshot() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return snapshot{
		state: s.state, reason: s.reason, capture: s.capture, apply: s.apply, window: s.window,
		relays: maps.Clone(s.relays), clocks: maps.Clone(s.clocks), logs: s.logs,
	}
}

// Status takes a snapshot; the database is asked, briefly, for what it holds.
func (v *View) Status(ctx context.Context) httpapi.Status {
	s := v.Site
	now := s.snapshot()
	out := httpapi.Status{
		Site: string(s.self.Name), Cluster: s.cfg.Cluster, Version: v.Version, Role: string(s.role),
		State: string(now.state), Reason: now.reason, UpSeconds: time.Since(v.Started).Seconds(), Conflicts: -1, Parked: -1,
		Capture: s.captureStatus(now),
	}
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	bus, cancel := context.WithTimeout(ctx, 2*time.Second) // a database that hangs hides nothing of the bus
	defer cancel()
	if n, err := s.db.RetainedBytes(asking); err == nil {
		out.Capture.RetainedBytes = n
	}
	if conflicts, parked, err := s.db.Counts(asking); err == nil {
		out.Conflicts, out.Parked = conflicts, parked
	}
	out.Blockers, _ = s.db.Blockers(asking) // a database that is down has none
	if now.logs.own != nil {
		if st, err := now.logs.own.Status(bus); err == nil {
			out.Capture.StreamBytes = st.Bytes
		}
	}
	if now.window != nil {
		out.Window.Keys, out.Window.Writes = now.window.Size()
		m := now.window.Memory()
		out.Window.Bytes, out.Window.SpilledKeys, out.Window.SpilledBytes = m.Bytes, m.SpilledKeys, m.SpilledBytes
	}
	out.Links = v.links(asking, bus, now)
	out.Next = next(&out)
	return out
}

// captureStatus is what the capture agent says, or why there is none here.
func (s *Site) captureStatus(now snapshot) httpapi.Capture {
	out := httpapi.Capture{State: string(capture.Starting), RetainedBytes: -1}
	switch {
	case now.capture != nil:
		c := now.capture.Status()
		out = httpapi.Capture{
			State: string(c.State), Reason: c.Reason, Since: c.Since, Seq: c.Seq, Position: string(c.Position),
			Transactions: c.Transactions, Rows: c.Rows, Bytes: c.Bytes, Frames: c.Frames, Replicated: c.Replicated, RetainedBytes: -1,
		}
	case s.role == Apply:
		out.State = "elsewhere"
	case now.state == standby:
		out.State = string(capture.Standby)
	}
	return out
}

// idle is what next says when no one needs to do anything.
const idle = "nothing to do"

// next says what an operator should do.
func next(s *httpapi.Status) string {
	switch {
	case s.State == "standby":
		return idle
	case s.State != "running":
		return s.Reason
	}
	switch s.Capture.State {
	case "streaming", "elsewhere":
	case "starting":
		return "capture is starting"
	default:
		return fmt.Sprintf("capture is %s: %s", s.Capture.State, s.Capture.Reason)
	}
	for _, l := range s.Links {
		switch l.State {
		case "streaming", "catching_up":
		case "unreachable":
			return fmt.Sprintf("start the agent of site %s, or open the way to its bus: %s", l.From, l.Reason)
		default:
			return fmt.Sprintf("link from %s is %s: %s", l.From, l.State, l.Reason)
		}
		if len(l.Held) > 0 {
			return "table held back: " + l.Held[0].Message
		}
		if len(l.RulesDiffer) > 0 {
			return fmt.Sprintf("rules differ from %s's, so that conflicts are parked (%s): give both sites the same configuration and scripts, and restart the agent that has the old ones", l.From, l.RulesDiffer[0])
		}
	}
	if s.Parked > 0 {
		return "concord parked list --site " + s.Site
	}
	return idle
}
