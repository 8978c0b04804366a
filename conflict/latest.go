package conflict

import (
	"maps"
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// latestSet holds, for tables under last_write_wins, per key and origin the latest
// write's identity: no images. An origin's versions grow with its seq, so the
// latest write of each origin decides everything that the list would.
type latestSet struct {
	keys  map[Key]latest
	queue map[change.Site]*expiry // by origin, in seq order

	spilled *spilled // what is not in keys; nil: everything is
	bytes   int64    // that keys and queue take, about
	lastTx  *Tx      // the last that was counted in bytes
	own     change.Site
}

// What the parts of a latestSet take in memory, as measured: an entry of the map with the
// room that the map keeps free, one that hangs behind it, one of the queue, a transaction,
// and one with a Seen of its own.
const (
	entryBytes = 104
	nextBytes  = 48
	queueBytes = 34
	txBytes    = 64
	seenBytes  = 400
)

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

func (s *latestSet) len() int {
	n := len(s.keys)
	if s.spilled != nil {
		n += s.spilled.len() - len(s.spilled.lost)
	}
	return n
}

// head returns the writes of k.
func (s *latestSet) head(k Key) (head latest, ok bool) {
	if head, ok = s.keys[k]; !ok && s.spilled != nil {
		head, ok = s.spilled.find(k, false)
	}
	return head, ok && head.tx != nil
}

// take returns the writes of k to be changed: what was spilled is in memory again.
func (s *latestSet) take(k Key, but change.Site) (head latest, ok bool) {
	if head, ok = s.keys[k]; ok || s.spilled == nil {
		return head, ok && head.tx != nil
	}
	if head, ok = s.spilled.find(k, true); !ok {
		return head, false
	}
	s.keys[k] = head
	s.bytes += entryBytes
	for e := &head; e != nil; e = e.next {
		if s.bytes += nextBytes + txBytes; len(e.tx.Seen) > 0 {
			s.bytes += seenBytes
		}
		if e.tx.Origin != but {
			s.enqueue(k, e.tx)
		}
	}
	return head, true
}

// count counts a transaction in bytes.
func (s *latestSet) count(tx *Tx) {
	if tx == s.lastTx {
		return
	}
	s.lastTx = tx
	if s.bytes += txBytes; tx.Origin != s.own && len(tx.Seen) > 0 {
		s.bytes += seenBytes
	}
	if s.spilled != nil {
		s.spilled.numbered(tx.Origin)
		for site := range tx.Seen {
			s.spilled.numbered(site)
		}
	}
}

// put notes wr as its origin's latest write of k.
func (s *latestSet) put(k Key, wr *Write) {
	fresh := latest{tx: wr.Tx, op: wr.Op, unchanged: wr.UnchangedMask(), left: wr.UnchangedMask()}
	s.count(wr.Tx)
	head, ok := s.take(k, wr.Tx.Origin)
	if !ok {
		if _, hides := s.keys[k]; hides {
			s.spilled.lost = slices.DeleteFunc(s.spilled.lost, func(o Key) bool { return o == k })
		} else {
			s.bytes += entryBytes
		}
		s.keys[k] = fresh
		s.enqueue(k, wr.Tx)
		return
	}
	for e := &head; ; e = e.next {
		if e.tx.Origin == wr.Tx.Origin {
			if wr.Tx.Seq < e.tx.Seq {
				s.requeue(k, e.tx)
				return
			}
			if wr.Tx.Seq == e.tx.Seq {
				if fresh.op, _ = Net(e.op, nil, wr.Op, nil); wr.Op == change.Update {
					fresh.left &= e.left
				}
				s.requeue(k, wr.Tx)
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
			s.bytes += nextBytes
			s.keys[k] = head
			s.enqueue(k, wr.Tx)
			return
		}
	}
}

// requeue queues k where taking it back left that to the write that came, and that
// turned out not to be a later one. With nothing spilled the queue has it.
func (s *latestSet) requeue(k Key, tx *Tx) {
	if s.spilled != nil {
		s.enqueue(k, tx)
	}
}

func (s *latestSet) enqueue(k Key, tx *Tx) {
	q := s.queue[tx.Origin]
	if q == nil {
		q = &expiry{}
		s.queue[tx.Origin] = q
	}
	q.entries = append(q.entries, expiryEntry{key: k, seq: tx.Seq})
	s.bytes += queueBytes
}

// each calls f for every origin's latest write of k.
func (s *latestSet) each(k Key, f func(*latest)) {
	head, ok := s.head(k)
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
			s.bytes -= queueBytes
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
	if s.spilled != nil {
		s.spilled.expire(bound)
		s.unhide()
	}
	if len(s.keys) == 0 {
		s.bytes, s.lastTx = 0, nil // what was not worth counting exactly
	}
}

// unhide forgets the keys that hid what was lost, when nothing is left to hide.
func (s *latestSet) unhide() {
	if len(s.spilled.runs) > 0 || s.spilled.frozen != nil {
		return
	}
	for _, k := range s.spilled.lost {
		delete(s.keys, k)
	}
	s.spilled.lost = nil
}

// drop drops origin's write of k if it came at or before limit and is in memory.
func (s *latestSet) drop(k Key, origin change.Site, limit uint64) {
	head, ok := s.keys[k]
	if !ok || head.tx == nil {
		return
	}
	if head.tx.Origin == origin {
		if head.tx.Seq > limit {
			return
		}
		if s.bytes -= txBytes; head.next == nil {
			delete(s.keys, k)
			s.bytes -= entryBytes
		} else {
			s.bytes -= nextBytes
			s.keys[k] = *head.next
		}
		return
	}
	for e := &head; e.next != nil; e = e.next {
		if e.next.tx.Origin == origin {
			if e.next.tx.Seq <= limit {
				e.next = e.next.next
				s.bytes -= nextBytes + txBytes
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
	if s.spilled != nil {
		for k := range s.spilled.after(origin, seq) {
			s.each(k, func(e *latest) { // a newer layer may know better
				if e.tx.Origin == origin && e.tx.Seq > seq {
					keys[k] = true
				}
			})
		}
	}
	return keys
}

// lose drops all writes of origin after seq.
func (s *latestSet) lose(origin change.Site, seq uint64) {
	for k := range s.after(origin, seq) {
		_, had := s.take(k, "")
		s.drop(k, origin, ^uint64(0))
		if _, still := s.keys[k]; s.spilled != nil && had && !still {
			s.keys[k] = latest{}
			s.spilled.lost = append(s.spilled.lost, k)
		}
	}
	if q := s.queue[origin]; q != nil {
		q.entries = slices.DeleteFunc(q.entries[q.head:], func(e expiryEntry) bool { return e.seq > seq })
		q.head = 0
	}
}

// freeze makes a layer of what is in memory and returns what writes it into the store,
// which may run beside anything, and what is to be called then, when nothing else does.
func (s *latestSet) freeze() (write, written func()) {
	p := s.spilled
	frozen, number := s.keys, maps.Clone(p.number)
	p.frozen, p.hidden = frozen, 0
	p.lost = nil // they hide as entries of the layer now
	s.keys, s.queue, s.bytes, s.lastTx = map[Key]latest{}, map[change.Site]*expiry{}, 0, nil
	var run *latestRun
	var err error
	write = func() { run, err = p.write(frozen, number) }
	written = func() {
		hidden := p.hidden
		p.frozen, p.hidden = nil, 0
		if p.err == nil {
			p.err = err
		}
		if err == nil {
			run.hidden = hidden
			p.runs = append(p.runs, run)
		}
	}
	return write, written
}
