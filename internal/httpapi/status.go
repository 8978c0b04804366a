// Package httpapi serves what an agent knows of its site: status, lag, conflicts and
// parked changes as JSON, metrics for Prometheus, probes for orchestrators and load
// balancers. It reads; nothing here changes anything.
package httpapi

import (
	"time"
)

// Status is a snapshot of one site as its agent sees it. The JSON names are a stable
// interface.
type Status struct {
	Site      string  `json:"site"`
	Cluster   string  `json:"cluster"`
	Version   string  `json:"version"`
	Role      string  `json:"role"`
	State     string  `json:"state"`            // running, starting, or standby while another agent of the site runs
	Reason    string  `json:"reason,omitempty"` // what starting waits for
	UpSeconds float64 `json:"up_seconds"`

	Capture Capture `json:"capture"`
	Links   []Link  `json:"links"`
	Window  Window  `json:"window"`

	Conflicts int64    `json:"conflicts"` // records in the database; -1 when it cannot be asked
	Parked    int64    `json:"parked"`
	Blockers  []string `json:"blockers,omitempty"` // who holds apply up
	Next      string   `json:"next"`               // what to do
}

// Capture is the capture agent.
type Capture struct {
	State         string    `json:"state"`
	Reason        string    `json:"reason,omitempty"`
	Since         time.Time `json:"since"`
	Seq           uint64    `json:"seq"`
	Position      string    `json:"position"`
	Transactions  uint64    `json:"transactions"`
	Rows          uint64    `json:"rows"`
	Bytes         uint64    `json:"bytes"`
	Frames        uint64    `json:"frames"`
	Replicated    uint64    `json:"replicated"`     // transactions of apply, recognised and not published
	RetainedBytes int64     `json:"retained_bytes"` // log held back; -1 when it cannot be asked
	StreamBytes   uint64    `json:"stream_bytes"`
}

// Link is one peer's changes on their way into this site's database.
type Link struct {
	From         string    `json:"from"`
	State        string    `json:"state"`
	Reason       string    `json:"reason,omitempty"`
	Since        time.Time `json:"since"`
	LagSeconds   float64   `json:"lag_seconds"`  // -1 where only capture runs, which does not know it
	Transactions uint64    `json:"transactions"` // published there, not applied here
	Bytes        uint64    `json:"bytes"`        // of frames not yet copied here
	AppliedSeq   uint64    `json:"applied_seq"`
	StoredSeq    uint64    `json:"stored_seq"`
	OriginSeq    uint64    `json:"origin_seq"`
	ClockOffset  float64   `json:"clock_offset_seconds"`
	RTT          float64   `json:"rtt_seconds"`
	FenceSeconds float64   `json:"fence_seconds"`

	Received    uint64 `json:"received_rows"`
	Applied     uint64 `json:"applied_rows"`
	KeptLocal   uint64 `json:"kept_local_rows"`
	Merged      uint64 `json:"merged_rows"`
	Parked      uint64 `json:"parked_rows"`
	Healed      uint64 `json:"healed_rows"`  // parked ones that their row, published again, made superfluous
	Awaited     int    `json:"awaited_rows"` // rows that parked changes wait for, which this peer publishes again
	AppliedTxs  uint64 `json:"applied_transactions"`
	Groups      uint64 `json:"groups"`
	Retries     uint64 `json:"retries"`
	ExactGroups uint64 `json:"exact_groups"`

	Held        []Held           `json:"held,omitempty"`         // tables held back
	RulesDiffer []RuleDifference `json:"rules_differ,omitempty"` // conflicts on these tables are parked
	Conflicts   []ConflictCount  `json:"conflicts,omitempty"`
}

// RuleDifference is a table, or a pattern of tables, that this site and the peer would
// decide differently.
type RuleDifference struct {
	Tables string `json:"tables"`
	Here   string `json:"here"`
	There  string `json:"there"`
}

// String says it in one line.
func (d RuleDifference) String() string {
	return d.Tables + ": " + d.Here + " here, " + d.There + " there"
}

// Held is a table that waits for the schema.
type Held struct {
	Table   string    `json:"table"`
	Since   time.Time `json:"since"`
	Message string    `json:"message"`
}

// ConflictCount counts conflicts since the agent started.
type ConflictCount struct {
	Table string `json:"table"`
	Kind  string `json:"kind"`
	Count uint64 `json:"count"`
}

// Window is what is in flight.
type Window struct {
	Keys         int   `json:"keys"`
	Writes       int   `json:"writes"`
	Bytes        int64 `json:"bytes"`         // in memory, about
	SpilledKeys  int   `json:"spilled_keys"`  // of keys: in files
	SpilledBytes int64 `json:"spilled_bytes"` // of these files
}

// beatInterval is how often a site writes a heartbeat.
const beatInterval = time.Second

// Lag is how old the state applied here is, in seconds. A heartbeat was written at
// beat by the origin's clock, which is offset ahead of ours, and applied at applied
// by ours. Between heartbeats, and when none comes any more, it grows: a dead link
// never shows a small lag for long, and never 0.
func Lag(now, beat, applied time.Time, offset time.Duration) float64 {
	written := beat.Add(-offset)
	lag := applied.Sub(written)
	if age := now.Sub(written) - beatInterval; age > lag {
		lag = age
	}
	return max(lag, 100*time.Microsecond).Seconds()
}
