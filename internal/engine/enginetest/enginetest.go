package enginetest

import (
	"context"
	"os"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// Fixture is one engine on one version of its server.
type Fixture struct {
	// New makes an empty database, runs the schema in it and prepares it as a site. It
	// is removed when t ends.
	New func(t *testing.T, o SiteOptions) *Site

	Types   []Type
	Dialect Dialect
}

// SiteOptions say what site a test wants.
type SiteOptions struct {
	Name      change.Site
	Peers     []change.Site
	Schema    []string // statements that make the tables, before the site is prepared
	PartBytes int      // above which a transaction is read in parts; 0: as in production
	Own       bool     // on a server of its own, which Crash may kill
}

// Site is a prepared database.
type Site struct {
	Database Database
	// Connect opens an application's session. The caller closes it.
	Connect func(ctx context.Context) (Session, error)
	// Kill ends the agents at this site as kill -9 would: what they had sent has
	// arrived, their sessions are gone when it returns. It returns the database as
	// their successors see it; the old one must not be used again.
	Kill func(ctx context.Context) (Database, error)
	// Crash kills the server and starts it again; sessions are broken. Only with
	// SiteOptions.Own. It returns what Kill returns.
	Crash func(ctx context.Context) (Database, error)
}

// Database is all that agents see of one.
type Database interface {
	capture.Source
	capture.Beater
	apply.Target
}

// Session is an application's connection, used by one goroutine at a time.
type Session interface {
	Exec(ctx context.Context, sql string) error
	// Query returns the rows as text, columns joined by "|", null as "NULL".
	Query(ctx context.Context, sql string) ([]string, error)
	Close(ctx context.Context) error
}

// Type is a column type and the values it is tried with.
type Type struct {
	SQL    string      // as in CREATE TABLE
	Kind   change.Kind // expected
	Values []string    // SQL expressions; equal ones may occur
	Keys   []string    // SQL expressions, different as keys; nil when it cannot be a key
}

// Dialect is what the suite says differently to each engine.
type Dialect struct {
	// Setup makes what Types need beside the tables: enumerations, domains.
	Setup []string
	// Numbers is what stands after FROM to have the numbers 1 to n as column n.
	Numbers func(n int) string
	// Bytes is an expression for a text of so many bytes that do not compress, another
	// one for each value of seed, an SQL integer expression. A row with some 10,000 of
	// them must be stored out of line, if the engine does that.
	Bytes func(n int, seed string) string
	// FullImages makes a table log its old rows whole; nil when tables always do.
	FullImages func(table string) string
	// Widen changes an integer column to a larger integer type.
	Widen func(table, column string) string
	// Audit makes each insert into table main insert into table audit, for
	// applications.
	Audit []string
	// KeepsLog is set where the server alone decides how long it keeps its log: what was
	// released may be there for a while.
	KeepsLog bool
	// Unhurried are statements that let a session's commits be visible before they are
	// durable; nil when it has no such thing.
	Unhurried []string
}

// Run runs the suite.
func Run(t *testing.T, f Fixture) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, f Fixture)
	}{
		{"TypesThereAndBack", testTypes},
		{"TypesAsKeys", testKeys},
		{"CommitOrder", testCommitOrder},
		{"MarksOnly", testMarksOnly},
		{"Heartbeats", testHeartbeats},
		{"ResumeAfterKill", testResumeAfterKill},
		{"ResumeAfterCrash", testResumeAfterCrash},
		{"ReleasedIsGone", testReleasedIsGone},
		{"CheckpointMovesWithItsRows", testCheckpointMovesWithItsRows},
		{"CheckpointAfterCrash", testCheckpointAfterCrash},
		{"OneAgentPerOrigin", testOneAgentPerOrigin},
		{"Overlap", testOverlap},
		{"Writes", testWrites},
		{"Savepoints", testSavepoints},
		{"TruncateKeeps", testTruncateKeeps},
		{"Records", testRecords},
		{"LogPositionCoversWhatIsCommitted", testLogPosition},
		{"LargeTransaction", testLargeTransaction},
		{"LargeValuesUnchanged", testLargeValues},
		{"SchemaChanges", testSchemaChanges},
		{"ErrorClasses", testErrorClasses},
		{"ApplicationsComeFirst", testApplicationsComeFirst},
		{"NothingFiresTwice", testNothingFiresTwice},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, f) })
	}
}

// full reports whether the suite runs with its full sizes: make conformance.
func full() bool { return os.Getenv("CONCORD_CONFORMANCE") == "full" }
