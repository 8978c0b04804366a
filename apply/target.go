package apply

import (
	"context"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Target is the database that changes of other sites are applied to. Engines
// implement it. All methods may be called concurrently.
type Target interface {
	// Acquire makes this process the only one that applies origin's changes here,
	// until release is called or its connection dies. It creates the checkpoint row
	// when there is none yet. change.ErrStandby when another process is it.
	Acquire(ctx context.Context, origin change.Site) (release func(), err error)

	// Checkpoints reads what has been applied, by origin. Origins never applied are
	// missing from the map or zero.
	Checkpoints(ctx context.Context) (map[change.Site]Checkpoint, error)

	// Begin opens a transaction that will move origin's checkpoint from c.Previous
	// to c.Seq and marks it as replicated, so that capture here never publishes it.
	// An engine that must mark first writes the checkpoint row now, others at Commit.
	Begin(ctx context.Context, c Checkpoint) (Tx, error)

	// Overlap is how many transactions of one origin may be open at once, with
	// commits in order: 1 where the mark must be the first write.
	Overlap() int

	// Parked lists the parked changes, oldest first, and the tables held back; read
	// at start.
	Parked(ctx context.Context) ([]Parked, error)
}

// Recorder is a Target that can tell which conflicts are recorded: after a restart it
// is asked for those that a crash may have come in between.
type Recorder interface {
	Recorded(ctx context.Context, conflicts []Conflict) ([]bool, error)
}

// Tx is one open target transaction. Its methods are called by one goroutine at a
// time. After an error other than a count mismatch only Rollback may follow,
// unless the call was made between Savepoint and RollbackTo.
type Tx interface {
	// Write executes the writes set by set: per table in the given order, all of one
	// Action together, in as few round trips as it can. The keys of the writes are
	// disjoint within one table and Action. It returns the indices of the writes
	// (Update, Delete) that found no row; an Insert that finds one is an
	// ErrRejected (unique violation).
	Write(ctx context.Context, writes []Write) (missing []int, err error)

	// Read locks and reads the rows with the keys of the given rows (Row.Key), all of
	// one table shape, and returns for each its image in the shape of table, or nil
	// when there is no such row. Missing rows cannot be locked.
	Read(ctx context.Context, table *change.Table, keys [][]change.Value) ([][]change.Value, error)

	// Truncate removes every row of the table, but those whose keys keep says yes to.
	// keep is nil when all go.
	Truncate(ctx context.Context, table *change.Table, keep func(key []change.Value) bool) error

	// LogPosition makes everything that committed before this call readable in the
	// database's log and returns a position at or after all of it. Called when the
	// locks are held. It is the start of the fence.
	LogPosition(ctx context.Context) (change.Position, error)

	// Savepoint and RollbackTo frame the trial of one change in the exact path.
	Savepoint(ctx context.Context) error
	RollbackTo(ctx context.Context) error

	// Record writes conflict records and parked changes in this transaction. A conflict
	// that is recorded already reads as it says now, those that it supersedes or
	// withdraws go, and it is not recorded when one that is there supersedes it; an image that it does not know is taken from a record that has it.
	// No two of the conflicts are the same one, and none supersedes another.
	Record(ctx context.Context, conflicts []Conflict, parked []Parked) error

	// Commit writes the checkpoint row where the engine marks last, and commits. It
	// fails with ErrFenced when the checkpoint was not at Previous. After a lost
	// connection it is not known whether it committed: read Checkpoints.
	Commit(ctx context.Context) error

	// Rollback ends the transaction without effect; it never fails the caller and is
	// harmless after Commit.
	Rollback(ctx context.Context)
}

// Action is how a Write reaches its row.
type Action uint8

// The actions. Insert, Update and Delete expect what their name says (the
// optimistic path); Put and Remove bring about a state whatever is there.
const (
	Insert Action = iota + 1 // new row; there is none
	Update                   // present columns of Row.New on the row of Row.Key()
	Delete                   // the row of Row.Key()
	Put                      // insert, or update all present columns if there is one
	Remove                   // delete if there is one; never missing
)

// Write is one row to be written.
type Write struct {
	Action Action
	// Row gives shape and images. New is used for Insert, Update, Put; Key() names
	// the row. Unchanged values are not written; an Insert leaves them to the
	// column's default.
	Row *change.Row
}

// Checkpoint is how far an origin has been applied. It is the row in
// concord.checkpoint.
type Checkpoint struct {
	Origin   change.Site
	Epoch    uint32
	Seq      uint64
	HLC      uint64 // greatest HLC applied so far
	Previous uint64 // the Seq the row must have before; only for Begin
}

// Parked is a change set aside, with its reason, in order. It is a row of
// concord.parked.
type Parked struct {
	ID      int64 // the database's; 0 when new
	Origin  change.Site
	Epoch   uint32
	Seq     uint64
	HLC     uint64
	Seen    change.Seen
	Index   int // of the row in its transaction, counted through all its parts
	Row     change.Row
	Reason  string // one of the Reason constants
	Message string // what happened, for a person
	Behind  bool   // parked only because an earlier change of its key (or table) is
	Time    time.Time
}
