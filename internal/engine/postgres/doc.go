// Package postgres is the engine for PostgreSQL 15 to 18.
//
// # Capture
//
// DB.Open reads a logical slot with pgoutput. The assembler turns its messages into
// events, in commit order:
//
//   - A transaction that wrote concord.checkpoint is a replicated one: the row is its
//     mark, and nothing else of it is returned. From server 16 on the slot is read with
//     origin 'none', so the rows that apply wrote under a session origin never leave
//     the server; on 15 the mark is the first row and what follows is not decoded.
//   - Any other transaction with rows of replicated tables, or with this site's
//     heartbeat, is local. It is returned in parts when it is large; positions of its
//     parts but the last are those before it.
//   - Everything else is progress: the server's keepalives while no transaction is
//     under way, transactions of other tables, and the logical messages by which the
//     apply half asks how far the log has been read.
//
// A position is the end of a commit record. Reading from it returns what committed
// after it. The slot's confirmed position follows Release and nothing else, so a slot
// that is confirmed beyond the last stored position has lost something: DB.Open
// refuses it with change.ErrNeedsCopy, as it does another database cluster, a missing or
// invalidated slot, and a timeline that was left before that position. A slot is never
// created again but by init, when a person asks for a new epoch.
//
// Whether the echo filter works is proved at every start by a probe transaction; see
// probe.
//
// # Apply
//
// DB.Begin takes one of a few sessions (lanes) of an origin. A transaction sends nothing
// until its first statement and then whole sets of rows: one statement per table, action
// and set of columns, whose parameters are arrays with one element per row (statement,
// set). Rows are found by the key's index, whatever the planner thinks of the table's
// size, and every update and delete tells which rows it found.
//
// The mark is in origin.go: a session origin around the rows where the server filters by
// it, else the checkpoint row first. The checkpoint moves by compare-and-set in the round
// trip of the commit, so an agent that lost its lease cannot apply twice. Commits do not
// wait for the disk: a crash takes rows and checkpoint together.
//
// DB.logPosition is the engine's part of the fence; errors.go the verdict on every
// error; targetcatalog.go how a table that was altered comes right by itself.
//
// # Values
//
// Every session, the walsender's included, has the same fixed settings, so text means
// the same whatever a role or database has set. kinds.go lists the canonical text of
// each type.
package postgres
