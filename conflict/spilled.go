package conflict

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// spilled is the part of a latestSet that is not in its map: layers, of which the newest
// that has a key has the whole truth about it. Layers do not change. What has expired in
// them is passed over when they are read; a layer goes when all in it has, the oldest
// first, so that nothing which a newer one hides ever shows.
type spilled struct {
	store   Store
	frozen  map[Key]latest // on its way into the store
	hidden  int            // of frozen: taken back into memory
	runs    []*latestRun   // oldest first
	dropped change.Seen    // what has expired
	merging bool           // some of runs
	lost    []Key          // keys in memory that are there to hide what was lost
	sites   []change.Site
	number  map[change.Site]uint64
	err     error // of the store: what it holds is not known any more
}

type latestRun struct {
	Run
	filter filter
	keys   int
	hidden int // of keys: taken back into memory
	last   change.Seen
	merged bool // of several
	busy   bool // being merged
}

func newSpilled(store Store) *spilled {
	return &spilled{store: store, dropped: change.Seen{}, number: map[change.Site]uint64{}}
}

// find returns what the layers hold of k, and notes that it is taken back into memory
// when take is set.
func (s *spilled) find(k Key, take bool) (head latest, ok bool) {
	if e, ok := s.frozen[k]; ok {
		if head, ok = s.live(&e); ok && take {
			s.hidden++
		}
		return head, ok
	}
	for i := len(s.runs) - 1; i >= 0 && s.err == nil; i-- {
		r := s.runs[i]
		if !r.filter.mayHold(k) {
			continue
		}
		value, err := r.Get(k)
		if err != nil {
			s.err = err
			return latest{}, false
		}
		if value == nil {
			continue
		}
		e := s.decode(value)
		if head, ok = s.live(&e); ok && take {
			r.hidden++
		}
		return head, ok
	}
	return latest{}, false
}

// live copies what of e has not expired.
func (s *spilled) live(e *latest) (head latest, ok bool) {
	for ; e != nil; e = e.next {
		if e.tx == nil || e.tx.Seq <= s.dropped[e.tx.Origin] {
			continue
		}
		one := *e
		if one.next = nil; !ok {
			head, ok = one, true
			continue
		}
		one.next, head.next = head.next, &one
	}
	return head, ok
}

func (s *spilled) len() int {
	n := len(s.frozen) - s.hidden
	for _, r := range s.runs {
		n += r.keys - r.hidden
	}
	return n
}

// bytes are what it takes in memory and in the store.
func (s *spilled) bytes() (memory, stored int64) {
	for _, r := range s.runs {
		memory += r.filter.bytes() + 256
		stored += r.Bytes()
	}
	return memory, stored
}

// expire drops the layers of which everything has expired.
func (s *spilled) expire(bound func(change.Site) uint64) {
	for _, site := range s.sites {
		s.dropped[site] = max(s.dropped[site], bound(site))
	}
	for len(s.runs) > 0 && s.err == nil {
		r := s.runs[0]
		if r.busy {
			return
		}
		for origin, seq := range r.last {
			if seq > s.dropped[origin] {
				return
			}
		}
		s.err = r.Drop()
		s.runs[0] = nil
		s.runs = s.runs[1:]
	}
}

// after lists the keys of which some layer has a write of origin after seq.
func (s *spilled) after(origin change.Site, seq uint64) map[Key]bool {
	keys := map[Key]bool{}
	look := func(k Key, e *latest) {
		for ; e != nil; e = e.next {
			if e.tx != nil && e.tx.Origin == origin && e.tx.Seq > seq {
				keys[k] = true
			}
		}
	}
	for k, e := range s.frozen {
		look(k, &e)
	}
	for _, r := range s.runs {
		if r.last[origin] <= seq || s.err != nil {
			continue
		}
		for k, value := range r.All(&s.err) {
			e := s.decode(value)
			look(k, &e)
		}
	}
	return keys
}

// write makes a run of frozen. It reads only what does not change meanwhile.
func (s *spilled) write(frozen map[Key]latest, number map[change.Site]uint64) (*latestRun, error) {
	keys := slices.SortedFunc(maps.Keys(frozen), compareKeys)
	r := &latestRun{filter: newFilter(len(keys)), keys: len(keys), last: change.Seen{}}
	var entries iter.Seq2[Key, []byte] = func(yield func(Key, []byte) bool) {
		var buf []byte
		for _, k := range keys {
			r.filter.add(k)
			e := frozen[k]
			buf = appendLatest(buf[:0], &e, number, r.last)
			if !yield(k, buf) {
				return
			}
		}
	}
	run, err := s.store.Write(entries)
	r.Run = run
	return r, err
}

// numbered gives every site that frozen mentions a number.
func (s *spilled) numbered(site change.Site) {
	if _, ok := s.number[site]; !ok {
		s.number[site] = uint64(len(s.sites))
		s.sites = append(s.sites, site)
	}
}

// appendLatest encodes the writes of a key: how many, and each.
func appendLatest(b []byte, e *latest, number map[change.Site]uint64, last change.Seen) []byte {
	at := len(b)
	b = append(b, 0)
	for ; e != nil; e = e.next {
		if e.tx == nil {
			continue
		}
		b[at]++
		last[e.tx.Origin] = max(last[e.tx.Origin], e.tx.Seq)
		b = binary.AppendUvarint(b, number[e.tx.Origin])
		b = append(b, byte(e.op))
		b = binary.AppendUvarint(b, e.tx.Seq)
		b = binary.LittleEndian.AppendUint64(b, e.tx.HLC)
		b = binary.AppendUvarint(b, e.tx.XID)
		b = binary.AppendVarint(b, change.HLCTime(e.tx.HLC).UnixMicro()-e.tx.Commit)
		b = binary.AppendUvarint(b, e.unchanged)
		b = binary.AppendUvarint(b, e.left)
		b = binary.AppendUvarint(b, uint64(len(e.tx.Seen)))
		for site, seq := range e.tx.Seen {
			b = binary.AppendUvarint(b, number[site])
			b = binary.AppendUvarint(b, seq)
		}
	}
	return b
}

func (s *spilled) decode(b []byte) latest {
	var head latest
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	n := int(b[0])
	b = b[1:]
	for i := range n {
		tx := &Tx{Origin: s.sites[uvarint()]}
		e := latest{tx: tx, op: change.Op(b[0])}
		b = b[1:]
		tx.Seq = uvarint()
		tx.HLC = binary.LittleEndian.Uint64(b)
		b = b[8:]
		tx.XID = uvarint()
		behind, size := binary.Varint(b)
		b = b[size:]
		tx.Commit = change.HLCTime(tx.HLC).UnixMicro() - behind
		e.unchanged, e.left = uvarint(), uvarint()
		if sites := uvarint(); sites > 0 {
			tx.Seen = make(change.Seen, sites)
			for range sites {
				site := s.sites[uvarint()]
				tx.Seen[site] = uvarint()
			}
		}
		if i == 0 {
			head = e
		} else {
			e.next, head.next = head.next, &e
		}
	}
	return head
}
