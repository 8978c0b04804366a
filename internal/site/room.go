package site

import (
	"context"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/stream"
)

// roomEvery is how often the streams' room is looked at.
const roomEvery = time.Second

// makeRoom trims without delay while a stream is short of room: capture or a relay
// waits for it. The database is told to make safe what the bounds rest on.
func (s *Site) makeRoom(ctx context.Context, agent *apply.Agent, streams logs) error {
	for sleep(ctx, roomEvery) {
		if !streams.short(ctx) {
			continue
		}
		bounds := agent.TrimBounds()
		if err := s.db.Flush(ctx); err != nil {
			continue // a database that is down has applied nothing either
		}
		s.trimTo(ctx, streams, bounds)
	}
	return nil
}

// short reports whether a stream is more than half full.
func (l logs) short(ctx context.Context) bool {
	if short(ctx, l.own) {
		return true
	}
	for _, c := range l.copies {
		if short(ctx, c) {
			return true
		}
	}
	return false
}

func short(ctx context.Context, log *stream.Log) bool {
	st, err := log.Status(ctx)
	return err == nil && st.MaxBytes > 0 && st.Bytes > uint64(st.MaxBytes)/2
}

// letGrow lets the own stream grow beyond its limit when it is full and every other
// site has applied all that it holds. Nobody could make room then: this site would
// have to settle what came from the others meanwhile, against all that its database
// has committed, and capture, which has that still to read, stands. So a stream that
// filled up while a site was away goes on when the site has caught up; it takes in
// what the database held back for it, and no more than the others keep pace with.
func (s *Site) letGrow(ctx context.Context, c *capture.Agent, streams logs) error {
	limit := s.cfg.Defaults.StreamMaxBytes
	grown := true // perhaps, by the process before
	for sleep(ctx, roomEvery) {
		full := c.Status().State == capture.Full
		if !full && !grown {
			continue
		}
		st, err := streams.own.Status(ctx)
		if err != nil || !st.Exists {
			continue
		}
		grown = st.MaxBytes > limit
		switch {
		case full && s.appliedEverywhere(ctx, streams):
			err, grown = streams.own.SetMaxBytes(ctx, 2*st.MaxBytes), true
			s.log.Warn("the own stream grows beyond its limit, as all sites have applied what it holds", "bytes", 2*st.MaxBytes, "limit", limit)
		case grown && st.Bytes <= uint64(limit)/2:
			err = streams.own.SetMaxBytes(ctx, limit)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("changing the limit of the own stream", "error", err)
		}
	}
	return nil
}

// appliedEverywhere reports whether every other site is there, and what it committed
// last had seen all that the own stream holds.
func (s *Site) appliedEverywhere(ctx context.Context, streams logs) bool {
	own, err := streams.own.Tail(ctx)
	if err != nil {
		return false
	}
	relays := s.snapshot().relays
	for p, c := range streams.copies {
		if r := relays[p]; r == nil || r.Status().State != stream.RelayStreaming {
			return false
		}
		peer, err := c.Tail(ctx)
		if err != nil || peer.Seen[s.self.Name] < own.Seq {
			return false
		}
	}
	return true
}
