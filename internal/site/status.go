package site

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/concord-db/concord/apply"
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

// Status takes a snapshot; the database is asked, briefly, for what it holds.
func (v *View) Status(ctx context.Context) httpapi.Status {
	s := v.Site
	s.mu.Lock()
	starting, capture, agent, window, own := s.starting, s.capture, s.apply, s.window, s.own
	relays := map[change.Site]*stream.Relay{}
	for k, r := range s.relays {
		relays[k] = r
	}
	clocks := map[change.Site]Clock{}
	for k, c := range s.clocks {
		clocks[k] = c
	}
	s.mu.Unlock()

	out := httpapi.Status{
		Site: string(s.self.Name), Cluster: s.cfg.Cluster, Version: v.Version, Role: string(s.role),
		State: "running", UpSeconds: time.Since(v.Started).Seconds(), Conflicts: -1, Parked: -1,
		Capture: httpapi.Capture{State: "starting", RetainedBytes: -1},
	}
	if starting != "" {
		out.State, out.Reason = "starting", starting
	}
	if capture != nil {
		c := capture.Status()
		out.Capture = httpapi.Capture{
			State: string(c.State), Reason: c.Reason, Since: c.Since, Seq: c.Seq, Position: string(c.Position),
			Transactions: c.Transactions, Rows: c.Rows, Bytes: c.Bytes, Frames: c.Frames, Replicated: c.Replicated, RetainedBytes: -1,
		}
	}
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if n, err := s.db.RetainedBytes(asking); err == nil {
		out.Capture.RetainedBytes = n
	}
	if conflicts, parked, err := s.db.Counts(asking); err == nil {
		out.Conflicts, out.Parked = conflicts, parked
	}
	out.Blockers, _ = s.db.Blockers(asking) // a database that is down has none
	if own != nil {
		if st, err := own.Status(asking); err == nil {
			out.Capture.StreamBytes = st.Bytes
		}
	}
	if window != nil {
		out.Window.Keys, out.Window.Writes = window.Size()
	}
	for _, p := range s.cfg.Peers(s.self.Name) {
		l := httpapi.Link{From: string(p), State: "connecting", Since: v.Started, LagSeconds: time.Since(v.Started).Seconds()}
		if agent != nil {
			fill(&l, agent.Link(p), clocks[p])
		}
		if r := relays[p]; r != nil {
			fillRelay(&l, r.Status())
		}
		out.Links = append(out.Links, l)
	}
	out.Next = next(&out)
	return out
}

func fill(l *httpapi.Link, link *apply.Link, clock Clock) {
	s := link.Status()
	l.State, l.Reason, l.Since = string(s.State), s.Reason, s.Since
	l.AppliedSeq, l.StoredSeq, l.OriginSeq = s.Applied.Seq, s.Stored, s.Stored
	l.Transactions = behind(l)
	l.ClockOffset, l.RTT, l.FenceSeconds = clock.Offset.Seconds(), clock.RTT.Seconds(), s.FenceSeconds
	l.Received, l.Applied, l.KeptLocal, l.Merged, l.Parked = s.Received, s.AppliedRows, s.KeptLocal, s.Merged, s.Parked
	l.AppliedTxs, l.Groups, l.Retries, l.ExactGroups = s.Transactions, s.Groups, s.Retries, s.Exact
	now := time.Now()
	switch {
	case !s.LastBeat.IsZero():
		l.LagSeconds = httpapi.Lag(now, s.LastBeat, s.LastBeatApplied, clock.Offset)
	case s.Applied.HLC > 0: // since a restart: by the clock of the origin's database
		t := change.HLCTime(s.Applied.HLC)
		l.LagSeconds = httpapi.Lag(now, t, t, clock.Offset)
	}
	for key, n := range s.Conflicts {
		table, kind, _ := strings.Cut(key, "\x00")
		l.Conflicts = append(l.Conflicts, httpapi.ConflictCount{Table: table, Kind: kind, Count: n})
	}
	slices.SortFunc(l.Conflicts, func(a, b httpapi.ConflictCount) int {
		return strings.Compare(a.Table+" "+a.Kind, b.Table+" "+b.Kind)
	})
	for _, h := range link.Holds() {
		l.Held = append(l.Held, httpapi.Held{Table: h.Table, Since: h.Since, Message: h.Message})
	}
}

// behind is how many transactions are known to be published there and not applied here.
func behind(l *httpapi.Link) uint64 {
	if l.OriginSeq <= l.AppliedSeq {
		return 0
	}
	return l.OriginSeq - l.AppliedSeq
}

// fillRelay adds what the relay knows. A relay in trouble is what a person must see,
// unless apply has a worse one.
func fillRelay(l *httpapi.Link, r stream.RelayStatus) {
	l.StoredSeq = max(l.StoredSeq, r.StoredSeq)
	l.OriginSeq = max(r.OriginSeq, l.StoredSeq)
	l.Transactions = behind(l)
	l.Bytes = r.PendingBytes
	switch r.State {
	case stream.RelayStreaming, stream.RelayRewound:
	default:
		if l.State == "streaming" || l.State == "catching_up" || l.State == "connecting" {
			l.State, l.Reason, l.Since = string(r.State), r.Reason, r.Since
		}
	}
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
	case s.Capture.State == "stopped" || s.Capture.State == "stream_full":
		return "capture: " + s.Capture.Reason
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
	}
	if s.Parked > 0 {
		return "concord parked list --site " + s.Site
	}
	return idle
}
