package capture

import (
	"fmt"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Stamper gives local transactions their numbers and versions. It is a pure
// function of what it is told, in order; it is not safe for concurrent use.
type Stamper struct {
	site  change.Site
	epoch uint32
	seq   uint64
	clock uint64
	seen  change.Seen // immutable: replaced, never changed, since transactions share it
	large change.Transaction
}

// NewStamper continues after tail; the zero Tail begins with seq 1.
func NewStamper(site change.Site, epoch uint32, tail change.Tail) *Stamper {
	return &Stamper{site: site, epoch: epoch, seq: tail.Seq, clock: tail.Clock, seen: tail.Seen.Clone()}
}

// Mark notes a replicated transaction.
func (s *Stamper) Mark(m change.Mark) {
	if s.seen[m.Origin] != m.Seq {
		seen := s.seen.Clone()
		seen[m.Origin] = m.Seq
		s.seen = seen
	}
	s.clock = max(s.clock, m.HLC)
}

// Raise makes every later stamp greater than hlc.
func (s *Stamper) Raise(hlc uint64) { s.clock = max(s.clock, hlc) }

// Clock is the hybrid logical clock now, Seq the last number given.
func (s *Stamper) Clock() uint64 { return s.clock }

// Seq is the last number given.
func (s *Stamper) Seq() uint64 { return s.seq }

// Local stamps a local transaction, or a part of one: all parts carry the stamp of
// part 0.
func (s *Stamper) Local(e *Event) change.Transaction {
	if e.Part == 0 {
		s.seq++
		s.clock = max(s.clock+1, change.HLC(e.CommitTime))
		s.large = change.Transaction{
			Origin: s.site, Epoch: s.epoch, Seq: s.seq, HLC: s.clock, Seen: s.seen,
			CommitTime: e.CommitTime, XID: e.XID,
		}
	}
	t := s.large
	t.Position, t.Heartbeat = e.Position, e.Heartbeat
	t.Part, t.More, t.Rows = e.Part, e.More, e.Rows
	return t
}

// CheckDrift refuses a commit time further than limit ahead of what the other
// sites' clocks say (zero: not known, nothing to compare with).
func CheckDrift(commit, others time.Time, limit time.Duration) error {
	if others.IsZero() || limit <= 0 || commit.Sub(others) <= limit {
		return nil
	}
	return fmt.Errorf("%w: this database's clock is %s ahead of the other sites (limit max_clock_drift = %s); set the clock right, publishing goes on by itself",
		change.ErrClock, commit.Sub(others).Round(time.Second), limit)
}
