package site

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/httpapi"
	"github.com/concord-db/concord/stream"
)

// links shows the way of each peer's changes into this database, from what this
// process knows of it: the apply agent, the relay, or else the database and the bus.
func (v *View) links(database, bus context.Context, now snapshot) []httpapi.Link {
	s := v.Site
	var points map[change.Site]apply.Checkpoint
	if now.apply == nil {
		points, _ = s.db.Checkpoints(database) // a database that is down says nothing
	}
	var out []httpapi.Link
	for _, p := range s.cfg.Peers(s.self.Name) {
		l := httpapi.Link{From: string(p), State: "connecting", Since: v.Started, LagSeconds: time.Since(v.Started).Seconds()}
		if now.apply != nil {
			fill(&l, now.apply.Link(p), now.clocks[p])
		} else {
			s.fillAbsent(&l, now, points[p], now.clocks[p])
		}
		if r := now.relays[p]; r != nil {
			st := r.Status()
			fillRelay(&l, st)
			if s.role == Capture && l.State == "connecting" && st.State == stream.RelayStreaming {
				l.State, l.Since = string(st.State), st.Since // all of the link that is here
			}
		} else if log := now.logs.copies[p]; log != nil {
			fillCopy(bus, &l, log)
		}
		if now.apply != nil { // it hears what peers tell
			for _, d := range s.rules.differences(p) {
				l.RulesDiffer = append(l.RulesDiffer, httpapi.RuleDifference(d))
			}
		}
		out = append(out, l)
	}
	return out
}

// fillAbsent is for a link that another process applies, or nobody yet: the database
// knows how far it is. A lag that is not known is -1, or as long as nothing has been
// known where it is this process' business.
func (s *Site) fillAbsent(l *httpapi.Link, now snapshot, c apply.Checkpoint, clock Clock) {
	l.AppliedSeq = c.Seq
	l.ClockOffset, l.RTT = clock.Offset.Seconds(), clock.RTT.Seconds()
	switch {
	case c.HLC > 0:
		t := change.HLCTime(c.HLC)
		l.LagSeconds = httpapi.Lag(time.Now(), t, t, clock.Offset)
	case s.role == Capture || now.state == standby:
		l.LagSeconds = -1
	}
	if now.state == standby {
		l.State = string(apply.Standby)
	}
}

func fill(l *httpapi.Link, link *apply.Link, clock Clock) {
	s := link.Status()
	l.State, l.Reason, l.Since = string(s.State), s.Reason, s.Since
	l.AppliedSeq, l.StoredSeq, l.OriginSeq = s.Applied.Seq, s.Stored, s.Stored
	l.Transactions = behind(l)
	l.ClockOffset, l.RTT, l.FenceSeconds = clock.Offset.Seconds(), clock.RTT.Seconds(), s.FenceSeconds
	l.Received, l.Applied, l.KeptLocal, l.Merged, l.Parked = s.Received, s.AppliedRows, s.KeptLocal, s.Merged, s.Parked
	l.Healed, l.Awaited = s.Healed, link.Awaited()
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

// fillCopy adds what the copy holds that a relay in another process stores.
func fillCopy(ctx context.Context, l *httpapi.Link, log *stream.Log) {
	if st, err := log.Status(ctx); err == nil {
		l.StoredSeq = max(l.StoredSeq, st.LastSeq)
		l.OriginSeq = max(l.OriginSeq, l.StoredSeq)
		l.Transactions = behind(l)
	}
}
