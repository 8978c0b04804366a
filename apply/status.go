package apply

import (
	"time"

	"github.com/concord-db/concord/internal/change"
)

// State is what a link is doing.
type State string

// The states of a link.
const (
	Connecting State = "connecting"
	Streaming  State = "streaming"   // waiting for the next frame, or less than a second behind
	CatchingUp State = "catching_up" // more is stored than applied
	Retrying   State = "retrying"    // a passing fault; Reason says which
	Standby    State = "standby"     // another agent of this site applies
	Waiting    State = "waiting"     // for a table or column to appear here; Reason says which
	Stopped    State = "stopped"     // needs a person; Reason says why
	NeedsCopy  State = "needs_copy"  // the origin's stream does not continue what was applied
)

// LinkStatus is a snapshot of one link: one origin's changes on their way into this
// site's database.
type LinkStatus struct {
	From   change.Site
	State  State
	Reason string
	Since  time.Time

	Applied Checkpoint // committed here
	Stored  uint64     // last seq in the local copy

	// Counters of this process, in row changes: Received is the sum of the others.
	Received, AppliedRows, KeptLocal, Merged, Parked uint64
	Transactions                                     uint64
	Healed                                           uint64            // parked changes that a row published again made superfluous
	Groups, Retries, Exact                           uint64            // target transactions, failed tries, groups off the set path
	Conflicts                                        map[string]uint64 // by table + "\x00" + kind

	// Heartbeats: the origin's agent wrote LastBeat (its clock); it was applied here
	// at LastBeatApplied (this clock).
	LastBeat, LastBeatApplied time.Time
	CommitTime                time.Time // of the last applied transaction, by the origin database's clock
	FenceSeconds              float64   // the last fence took
}
