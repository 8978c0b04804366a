package conflict

import (
	"iter"

	"github.com/concord-db/concord/internal/change"
)

// bulkRun is keys of a large transaction that are in the store; the value is what was
// done to them.
type bulkRun struct {
	Run
	filter filter
	keys   int
}

// spillBulk brings the longest runs of keys of large transactions into the store until
// they take no more than a quarter of the memory.
func (w *Window) spillBulk() {
	s := w.latest.spilled
	if s == nil {
		return
	}
	for s.err == nil {
		total := int64(0)
		var longest *bulk
		var of change.Op
		for _, b := range w.bulk {
			total += b.inMemory()
			for op, runs := range b.runs {
				if len(runs) > 0 && (longest == nil || len(runs[0]) > len(longest.runs[of][0])) {
					longest, of = b, op
				}
			}
		}
		if total <= w.memory/4 || longest == nil {
			return
		}
		s.err = longest.spill(s.store, of)
	}
}

// spill brings the first run of op into the store.
func (b *bulk) spill(store Store, op change.Op) error {
	keys := b.runs[op][0]
	r := &bulkRun{filter: newFilter(len(keys)), keys: len(keys)}
	var entries iter.Seq2[Key, []byte] = func(yield func(Key, []byte) bool) {
		for i, k := range keys {
			if i > 0 && k == keys[i-1] {
				continue // two parts wrote it
			}
			r.filter.add(k)
			if !yield(k, []byte{byte(op)}) {
				return
			}
		}
	}
	var err error
	if r.Run, err = store.Write(entries); err != nil {
		return err
	}
	b.runs[op] = append([][]Key(nil), b.runs[op][1:]...)
	b.spilled = append(b.spilled, r)
	return nil
}

// spilledOps calls f for what the store holds of k.
func (b *bulk) spilledOps(k Key, f func(change.Op)) error {
	for _, r := range b.spilled {
		if !r.filter.mayHold(k) {
			continue
		}
		value, err := r.Get(k)
		if err != nil {
			return err
		}
		if value != nil {
			f(change.Op(value[0]))
		}
	}
	return nil
}

// inMemory is what its keys take in memory that could be in the store.
func (b *bulk) inMemory() int64 {
	n := 0
	for _, runs := range b.runs {
		for _, r := range runs {
			n += len(r)
		}
	}
	return int64(n) * 16
}

// bytes is what it takes in memory and in the store.
func (b *bulk) bytes() (memory, stored int64) {
	memory = b.inMemory()
	for _, r := range b.spilled {
		memory += r.filter.bytes()
		stored += r.Bytes()
	}
	return memory, stored
}

// dropBulk takes those large transactions out of which gone says so.
func (w *Window) dropBulk(gone func(*Tx) bool) {
	kept := w.bulk[:0]
	for _, b := range w.bulk {
		if !gone(b.tx) {
			kept = append(kept, b)
			continue
		}
		for _, r := range b.spilled {
			if err := r.Drop(); err != nil && w.latest.spilled.err == nil {
				w.latest.spilled.err = err
			}
		}
	}
	clear(w.bulk[len(kept):])
	w.bulk = kept
}
