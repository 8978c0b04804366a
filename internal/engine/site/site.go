// Package site holds what every engine says about its site besides log and
// tables: how it is prepared, examined and described. Engines implement it, the
// command line and the HTTP interface show it.
package site

import (
	"log/slog"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Options say what a database is for. Site and Cluster are required.
type Options struct {
	Site    change.Site
	Cluster string
	// Peers are the other sites, in the order of the configuration.
	Peers []change.Site
	// Index is this site's place among all sites, 0 for the first: it decides which
	// numbers of a sequence belong to it.
	Index int
	// Logger is where notices go; nil discards them.
	Logger *slog.Logger
	// Tables reports whether the table "schema.name" is published from here. Nil
	// means every table. Concord's own tables are never asked for.
	Tables func(schemaTable string) bool
	// PartBytes is the size of logged text above which a transaction is returned in
	// parts. 0 means 512 KiB.
	PartBytes int
	// MarkFirst makes replicated transactions write their mark first, as engines must
	// whose server cannot filter them, also where it could.
	MarkFirst bool
}

// InitOptions say how a site is prepared.
type InitOptions struct {
	// Role is the role that the agents connect as; it is given the rights it needs.
	// Empty: the one that init itself connects as, which is left alone.
	Role string
	// NewEpoch begins a new epoch: the log position is given up and the other sites
	// need a copy of this one. Only a person asks for it.
	NewEpoch bool
}

// Status is the verdict of a Check.
type Status string

// The verdicts: in order; may hurt; keeps Concord from running or from being right.
const (
	OK       Status = "ok"
	Warning  Status = "warning"
	Critical Status = "critical"
)

// Check is one thing that doctor looked at.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // exact; empty when in order
}

// Identity is who a database says it is. Fields that are not known are zero.
type Identity struct {
	Engine  string      `json:"engine"`
	Version string      `json:"version"`
	Cluster string      `json:"cluster"` // as init recorded
	Site    change.Site `json:"site"`
	Epoch   uint32      `json:"epoch"`
	// Offset is how far the database's clock is ahead of this process's, give or take
	// Uncertainty.
	Offset      time.Duration `json:"offset"`
	Uncertainty time.Duration `json:"uncertainty"`
	// Log is the state of what holds the log for this site: "active", "inactive",
	// "missing", or why it is lost.
	Log string `json:"log"`
	// Retained is how many bytes of log are held back.
	Retained int64 `json:"retained_bytes"`
}
