// Package engine picks the database engine that a data source name asks for. It is
// the only place that knows which engines there are.
package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/mysql"
	"github.com/concord-db/concord/internal/engine/postgres"
	"github.com/concord-db/concord/internal/engine/site"
)

// Engine is one database: its log, its tables, and what an operator asks of it.
type Engine interface {
	capture.Source
	capture.Beater
	apply.Target
	apply.Recorder
	apply.Holder
	apply.RowTarget

	// Init creates what Concord needs; it may be run again. It returns what it did.
	Init(ctx context.Context, o site.InitOptions) (report []string, err error)
	// Grants returns the least-privilege statements for a role.
	Grants(ctx context.Context, role string) ([]string, error)
	// Doctor examines settings, rights and tables.
	Doctor(ctx context.Context) []site.Check
	// Schema returns the replicated tables, to be compared across sites.
	Schema(ctx context.Context) ([]site.Table, error)
	// Lead makes this process the only one that plays a part for the database;
	// change.ErrStandby when another does. When lost is closed it plays it no more;
	// release is called in any case.
	Lead(ctx context.Context, part string) (lost <-chan struct{}, release func(), err error)
	// Identity says who the database is.
	Identity(ctx context.Context) (site.Identity, error)
	// Epoch is the generation of the log that init recorded.
	Epoch(ctx context.Context) (uint32, error)
	// SaveRules remembers how a site decides about tables, this one or another, and Rules
	// returns what is remembered.
	SaveRules(ctx context.Context, of change.Site, rules change.Rules) error
	Rules(ctx context.Context) (map[change.Site]site.Rules, error)
	// Flush returns when no crash of the server takes back what committed before the
	// call.
	Flush(ctx context.Context) error
	// RetainedBytes is how much log is held back for this site.
	RetainedBytes(ctx context.Context) (int64, error)
	// ListConflicts reads a page of conflict records, newest first, Conflict one record;
	// fs.ErrNotExist when there is none of that id.
	ListConflicts(ctx context.Context, f site.ConflictFilter) (site.ConflictPage, error)
	Conflict(ctx context.Context, id int64) (site.Conflict, error)
	// PruneConflicts removes conflict records older than age, and the oldest of those
	// beyond most; it returns how many.
	PruneConflicts(ctx context.Context, age time.Duration, most int64) (int64, error)
	// ParkedByID, ApplyParked and DiscardParked are for a person who settles a parked
	// change; both settle by an ordinary local write, so that all sites follow.
	ParkedByID(ctx context.Context, id int64) (apply.Parked, error)
	ApplyParked(ctx context.Context, id int64) error
	DiscardParked(ctx context.Context, id int64) (published bool, err error)
	// Blockers names who holds apply up.
	Blockers(ctx context.Context) ([]string, error)
	// Counts returns how many conflict records and parked changes there are.
	Counts(ctx context.Context) (conflicts, parked int64, err error)

	Close(ctx context.Context)
}

// Open returns the engine of a data source name. It connects nothing.
func Open(dsn string, o site.Options) (Engine, error) {
	scheme, _, _ := strings.Cut(dsn, "://")
	switch scheme {
	case "postgres", "postgresql":
		return postgres.New(dsn, o), nil
	case "mysql", "mariadb":
		return mysql.New(dsn, o), nil
	}
	return nil, fmt.Errorf("%w: there is no engine for a dsn that begins with %q", change.ErrRefused, scheme)
}
