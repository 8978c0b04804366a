// Package apply replays what the other sites published into the local database,
// exactly once and in order, and settles what did not know of each other.
//
// # What is promised
//
// The checkpoint of an origin is a row of the target database, written in the
// transaction of the rows it covers: whatever crashes, a transaction is applied once.
// Transactions of an origin are applied whole and in order; consecutive ones are
// grouped into one target transaction, with the changes of a key folded to their net
// effect. Every row change ends as applied, kept local, merged or parked, and these
// add up to what was received.
//
// # How a group is settled
//
//	fast      decide by the window, write set by set, take the log position, fence,
//	          look at the window again, commit
//	settled   lock and read every row, fence, decide with everything known, write
//	ordered   the same for one transaction in its own order: truncates, moved keys
//	row       the same with a savepoint for each row change: parks what is refused
//
// A group begins the fast way. What does not look as expected (a row missing, a
// conflict, a local write that came in between) takes it to the settled way; what the
// database refuses takes it apart, transaction by transaction and then row by row,
// until the culprit is found. Each way is slower and surer than the one before, and
// none guesses.
//
// The fence (see Fence) proves that the window holds every local transaction that
// committed before the locks were taken. A fence that does not come in time rolls the
// group back: an application's rows are held no longer than that.
//
// # Several at once
//
// Groups reserve their keys before they begin, whichever peers they come from, so a
// key is decided, written and entered into the window by one group at a time. Where
// the target allows several open transactions of one origin, groups with disjoint keys
// overlap; they commit in the order of the stream. Secondary unique keys and foreign
// keys are not reserved: two groups that meet there wait for each other in the
// database, briefly, and the later one gives way.
//
// # After a restart
//
// The window is rebuilt from the site's own copies of the streams: what each peer had
// seen by its last settled transaction tells how far back to read. Keys whose list
// holds writes that did not know each other are settled once more, so that the row is
// the fold of its writes whatever moment the crash chose.
//
// # Why not compare with the row in the table
//
// A row says what it is, not what it knew. Comparing commit times stored with rows
// costs schema changes, dies with freeze and vacuum, and is wrong when clocks differ.
package apply
