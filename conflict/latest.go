package conflict

import (
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// latestSet holds, for tables under last_write_wins, per key and origin the latest
// write's identity: no images. An origin's versions grow with its seq, so the
// latest write of each origin decides everything that the list would.
type latestSet struct {
	keys  map[Key]latest
	queue map[change.Site]*expiry // by origin, in seq order
}

// latest is one write. Other origins' writes of the same key hang behind it.
type latest struct {
	tx        *Tx
	next      *latest
	unchanged uint64 // columns that no write of this origin in flight carries
	left      uint64 // columns that this write does not carry
	op        change.Op
}

// expiry is a queue of keys in the order of their seq.
type expiry struct {
	entries []expiryEntry
	head    int
}

type expiryEntry struct {
	key Key
	seq uint64
}

func (s *latestSet) init() {
	s.keys = map[Key]latest{}
	s.queue = map[change.Site]*expiry{}
}

func (s *latestSet) len() int { return len(s.keys) }

// put notes wr as its origin's latest write of k.
func (s *latestSet) put(k Key, wr *Write) {
	fresh := latest{tx: wr.Tx, op: wr.Op, unchanged: wr.UnchangedMask(), left: wr.UnchangedMask()}
	head, ok := s.keys[k]
	if !ok {
		s.keys[k] = fresh
		s.enqueue(k, wr.Tx)
		return
	}
	for e := &head; ; e = e.next {
		if e.tx.Origin == wr.Tx.Origin {
			if wr.Tx.Seq < e.tx.Seq {
				return
			}
			if wr.Tx.Seq == e.tx.Seq {
				if fresh.op, _ = Net(e.op, nil, wr.Op, nil); wr.Op == change.Update {
					fresh.left &= e.left
				}
			} else {
				s.enqueue(k, wr.Tx)
			}
			fresh.unchanged &= e.unchanged
			fresh.next = e.next
			*e = fresh
			s.keys[k] = head
			return
		}
		if e.next == nil {
			e.next = &fresh
			s.keys[k] = head
			s.enqueue(k, wr.Tx)
			return
		}
	}
}

func (s *latestSet) enqueue(k Key, tx *Tx) {
	q := s.queue[tx.Origin]
	if q == nil {
		q = &expiry{}
		s.queue[tx.Origin] = q
	}
	q.entries = append(q.entries, expiryEntry{key: k, seq: tx.Seq})
}

// each calls f for every origin's latest write of k.
func (s *latestSet) each(k Key, f func(*latest)) {
	head, ok := s.keys[k]
	if !ok {
		return
	}
	for e := &head; e != nil; e = e.next {
		f(e)
	}
}

// expire drops all writes at or before their origin's bound.
func (s *latestSet) expire(bound func(change.Site) uint64) {
	for origin, q := range s.queue {
		limit := bound(origin)
		for q.head < len(q.entries) && q.entries[q.head].seq <= limit {
			s.drop(q.entries[q.head].key, origin, limit)
			q.head++
		}
		if q.head == len(q.entries) {
			q.entries, q.head = q.entries[:0], 0
			if cap(q.entries) > 1<<16 {
				q.entries = nil
			}
		} else if q.head > 1024 && q.head > len(q.entries)/2 {
			q.entries = append([]expiryEntry(nil), q.entries[q.head:]...)
			q.head = 0
		}
	}
}

func (s *latestSet) drop(k Key, origin change.Site, limit uint64) {
	head, ok := s.keys[k]
	if !ok {
		return
	}
	if head.tx.Origin == origin {
		if head.tx.Seq > limit {
			return
		}
		if head.next == nil {
			delete(s.keys, k)
		} else {
			s.keys[k] = *head.next
		}
		return
	}
	for e := &head; e.next != nil; e = e.next {
		if e.next.tx.Origin == origin {
			if e.next.tx.Seq <= limit {
				e.next = e.next.next
				s.keys[k] = head
			}
			return
		}
	}
}

// after lists the keys whose write of origin came after seq.
func (s *latestSet) after(origin change.Site, seq uint64) map[Key]bool {
	keys := map[Key]bool{}
	if q := s.queue[origin]; q != nil {
		for _, e := range q.entries[q.head:] {
			if e.seq > seq {
				keys[e.key] = true
			}
		}
	}
	return keys
}

// lose drops all writes of origin after seq.
func (s *latestSet) lose(origin change.Site, seq uint64) {
	for k := range s.after(origin, seq) {
		s.drop(k, origin, ^uint64(0))
	}
	if q := s.queue[origin]; q != nil {
		q.entries = slices.DeleteFunc(q.entries[q.head:], func(e expiryEntry) bool { return e.seq > seq })
		q.head = 0
	}
}
