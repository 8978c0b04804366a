package conflict

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Store holds outside of memory what a Window has no room for. Nothing in it outlives the
// Window: that is rebuilt from the streams.
type Store interface {
	// Write stores entries, which ascend by key, and returns them as a run. Values are
	// not empty, and are the caller's again when the next one is asked for.
	Write(entries iter.Seq2[Key, []byte]) (Run, error)
}

// Run is entries that do not change any more. It may be read from several goroutines.
type Run interface {
	// Get returns the value of k; nil when there is none.
	Get(k Key) ([]byte, error)
	// All ranges over the entries in order. A value is the run's again when the next one is
	// asked for. What ends it early is left in failed.
	All(failed *error) iter.Seq2[Key, []byte]
	// Bytes is how much of the store it takes.
	Bytes() int64
	// Drop gives it up. It is not used again.
	Drop() error
}

// ErrStore says that the store failed. The Window does not know any more what it held and
// must not be asked: another one is to be built.
var ErrStore = errors.New("the window's spill files cannot be used")

// MemoryStore is a Store that holds its runs in memory, for tests. It may be given a
// fault, which is asked before everything it does.
type MemoryStore struct{ Fault func() error }

type memoryRun struct {
	store  *MemoryStore
	values map[Key][]byte
	bytes  int64
}

func (s *MemoryStore) fault() error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault()
}

// Write implements Store.
func (s *MemoryStore) Write(entries iter.Seq2[Key, []byte]) (Run, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	r := &memoryRun{store: s, values: map[Key][]byte{}}
	var last Key
	for k, v := range entries {
		if len(v) == 0 || len(r.values) > 0 && !last.Less(k) {
			return nil, fmt.Errorf("an entry that is empty or out of order: %v", k)
		}
		last = k
		r.values[k] = append([]byte(nil), v...)
		r.bytes += int64(len(v)) + 16
	}
	return r, nil
}

func (r *memoryRun) Get(k Key) ([]byte, error) { return r.values[k], r.store.fault() }

func (r *memoryRun) All(failed *error) iter.Seq2[Key, []byte] {
	return func(yield func(Key, []byte) bool) {
		if err := r.store.fault(); err != nil {
			*failed = err
			return
		}
		for _, k := range slices.SortedFunc(maps.Keys(r.values), compareKeys) {
			if !yield(k, r.values[k]) {
				return
			}
		}
	}
}

func (r *memoryRun) Bytes() int64 { return r.bytes }

func (r *memoryRun) Drop() error { return r.store.fault() }
