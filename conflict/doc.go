// Package conflict decides what becomes of a write that meets writes it did not
// know of. It is pure: no database, no bus, no clock; the same inputs give the
// same answer at every site.
//
// # A row is the fold of its writes in version order
//
// A Window holds, per key, the writes that are still in flight: those that some
// site may not have seen when it wrote. A write e that arrives at a site is
// compared with C = { w in window(key) : w.Seq > e.Seen[w.Origin] }, the writes e
// did not know of. If C is empty e knew of everything here and is applied,
// whatever the wall clocks said. Otherwise e is put into the key's list at its
// version and the list is folded again from its base: state = step(state, write,
// earlier writes). Every site ends with the same writes in the same order, so any
// deterministic step converges, even one that is neither commutative nor
// associative. Deciding pair by pair as writes arrive does not.
//
// For last_write_wins on whole rows the fold is the greatest version, so the
// window keeps no images: per key and origin only the latest write.
//
// # When a write leaves the window
//
// A write w of origin o may go when (1) every other site is known to have seen
// it: the latest transaction settled from each peer p carries Seen[o] >= w.Seq, and
// this site's own capture has read the mark of w's application (so that every
// later local write carries it too), and (2), for lists, every later write of the
// list saw it and everything before it. Without (2) a later fold would start from
// a base that a write in the list did not see.
//
// This site counts like a peer in (1), other than in a first reading of the idea:
// a write that locked nothing (a delete that found no row) can be followed by a
// local insert that commits before it and reaches the log before its mark; that
// insert did not see it, and the two must be folded together. Writes that locked
// their row need no such wait.
package conflict
