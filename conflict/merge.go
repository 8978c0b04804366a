package conflict

import (
	"iter"
	"maps"

	"github.com/concord-db/concord/internal/change"
)

// mergeRuns is how many layers become one: each costs a question to its filter for every
// key that is looked up.
const mergeRuns = 8

// mergeable returns layers next to each other, the oldest first, that are to become one.
func (s *spilled) mergeable() []*latestRun {
	n := 0
	for i, r := range s.runs {
		if n++; r.merged {
			n = 0
		}
		if n == mergeRuns {
			return s.runs[i+1-n : i+1 : i+1]
		}
	}
	return nil
}

// merge makes one layer of several, of which the newer have the whole truth. They do not
// change meanwhile, and are not dropped.
func (s *spilled) merge(runs []*latestRun) (*latestRun, error) {
	out := &latestRun{merged: true, last: change.Seen{}}
	keys := 0
	for _, r := range runs {
		keys += r.keys
		for site, seq := range r.last {
			out.last[site] = max(out.last[site], seq)
		}
	}
	out.filter = newFilter(keys)
	var failed error
	var entries iter.Seq2[Key, []byte] = func(yield func(Key, []byte) bool) {
		heads := make([]*mergeHead, len(runs))
		for i, r := range runs {
			heads[i] = &mergeHead{}
			next, stop := iter.Pull2(r.All(&failed))
			defer stop()
			heads[i].next = next
			heads[i].step()
		}
		for {
			least := -1
			for i, h := range heads {
				if h.ok && (least < 0 || !heads[least].key.Less(h.key)) {
					least = i // of equal keys the newest
				}
			}
			if least < 0 {
				return
			}
			k := heads[least].key
			out.keys++
			out.filter.add(k)
			if !yield(k, heads[least].value) {
				return
			}
			for _, h := range heads {
				if h.ok && h.key == k {
					h.step()
				}
			}
		}
	}
	run, err := s.store.Write(entries)
	if failed != nil {
		err = failed
	}
	out.Run = run
	return out, err
}

type mergeHead struct {
	next  func() (Key, []byte, bool)
	key   Key
	value []byte
	ok    bool
}

func (h *mergeHead) step() { h.key, h.value, h.ok = h.next() }

// replace puts the layer made of runs in their place.
func (s *spilled) replace(runs []*latestRun, by *latestRun) {
	by.hidden = by.keys
	var kept []*latestRun
	old := map[*latestRun]bool{}
	for _, r := range runs {
		old[r] = true
		by.hidden -= r.keys - r.hidden
	}
	for _, r := range s.runs {
		switch {
		case r == runs[0]:
			kept = append(kept, by)
		case !old[r]:
			kept = append(kept, r)
		}
	}
	s.runs = kept
	for r := range maps.Keys(old) {
		if err := r.Drop(); err != nil && s.err == nil {
			s.err = err
		}
	}
}

// mergeSome makes fewer layers of many, beside everything else.
func (w *Window) mergeSome() {
	s := w.latest.spilled
	if s.merging || s.err != nil {
		return
	}
	runs := s.mergeable()
	if runs == nil {
		return
	}
	s.merging = true
	for _, r := range runs {
		r.busy = true
	}
	var out *latestRun
	var err error
	merge := func() { out, err = s.merge(runs) }
	merged := func() {
		s.merging = false
		if err != nil {
			s.err = err
			return
		}
		s.replace(runs, out)
	}
	if w.background == nil {
		merge()
		merged()
		return
	}
	w.background(func() {
		merge()
		w.mu.Lock()
		defer w.mu.Unlock()
		merged()
		w.mergeSome()
	})
}
