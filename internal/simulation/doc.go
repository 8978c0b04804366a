// Package simulation runs the production capture, window, apply and conflict code of
// two to five sites in one goroutine, against databases and a bus that live in
// memory and fail at every durable step. A World is a pure function of its seed: a
// run that goes wrong is run again with a trace.
//
// What is simulated:
//
//   - a database: rows, row and table locks where the lock of another is given way
//     to, a unique key, a log in commit order with a flushed position, a checkpoint
//     row in the same transaction as the rows, savepoints, commits that a crash takes
//     back while they are not flushed;
//   - a bus: one stream a site, copies at the others that lag behind; deliveries are
//     late and repeated, and a stream may lose what it has not synced, which capture
//     then publishes again in other frames;
//   - applications: transactions of one to five rows, kept open or not, that insert,
//     update, delete, delete and insert again, move keys and truncate, between any two
//     steps of apply (the locks, the log position, the fence, the commit): on tables
//     under every policy, with counters, limits and sets, with rules that are neither
//     symmetric nor associative and sometimes fail, with unique names, of accounts, and
//     of parents and children;
//   - partitions that last a large part of the world's life;
//   - clocks that are up to an hour wrong and jump;
//   - crashes of the agents, the database and the bus, lost answers, and restarts.
//
// After some hundred steps the world comes to rest and the oracles are asked: every
// site holds the same rows; each row is the fold of all its writes in version order,
// as a second implementation of the fold makes it; every transaction had its effect
// once at every other site and was never sent back; checkpoints only grew; the log
// was released only for what is stored; every row change received was applied, kept
// away, merged or parked; both sides recorded the same conflicts; what no rule can
// decide waits at every site, and nothing else does; and whoever looked at any site
// between two commits saw the accounts add up and every child with its parent.
//
// Explore leaves nothing to chance: of a world of two sites, two keys and three
// transactions it runs every order that commits, reading, publishing, deliveries,
// applications, what comes in the middle of them, crashes and restarts can have.
//
// A Mutation breaks one rule of the design. The tests prove that each is noticed.
package simulation
