// Package capture reads one database's log in commit order, gives every local
// transaction its number and version, and publishes it to the site's own stream.
//
// # What is promised
//
// Everything an application committed to a replicated table is published exactly
// once, in commit order; what apply wrote never is. The numbers are a pure function
// of the log and of the last stored message: after a crash the agent resumes from
// the tail of its own stream and computes the same ones again.
//
//   - replicated transaction (it wrote the checkpoint row): not published; its mark
//     (origin o, seq n, hlc h) sets seen[o] = n and clock = max(clock, h);
//   - local transaction: clock = max(clock + 1, commit time); published with
//     seq = last + 1, hlc = clock and a copy of seen.
//
// So a write that follows, in some site's log, a write that came from elsewhere
// always has the greater version, however wrong the wall clocks are.
//
// # The fence
//
// Apply asks: have you read everything up to this position? The agent answers when
// it has, and when the window holds what it read. With it apply may ask that later
// transactions be versioned after a given clock (for writes that locked nothing).
// That raise is not in the log, so it is stored in the stream as a fact of its own
// before it can influence any decision: until the fact is stored no local
// transaction is stamped. Otherwise a crash could give a transaction another version
// than the one a committed decision was based on.
//
// # Flow
//
//	log -> read: stamp, feed the window -> pending -> publish: cut frames -> stream
//	                                          ^                                |
//	                                 bounded: read waits        acks: release the log
//
// A frame is sent at once when nothing is in flight and grows while something is:
// latency when idle, throughput when busy.
package capture
