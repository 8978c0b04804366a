package spill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/concord-db/concord/conflict"
)

// cacheBytes is what blocks of the files, and their indexes, take in memory.
const cacheBytes = 8 << 20

// local is for what is done with files of this machine: it does not wait for anybody.
var local = context.Background() //nolint:forbidigo // as said

// Store is a conflict.Store in a directory. Close it when no Window uses it any more.
type Store struct {
	db   *pebble.DB
	dir  string
	next atomic.Uint64 // number of the last run
	dead atomic.Bool   // see guard
}

// Open empties the directory and makes a Store in it.
func Open(dir string) (*Store, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("emptying the directory of spill files: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of spill files: %w", err)
	}
	db, err := pebble.Open(filepath.Join(dir, "runs"), options())
	if err != nil {
		return nil, fmt.Errorf("opening the spill files in %s: %w", dir, err)
	}
	return &Store{db: db, dir: dir}, nil
}

func options() *pebble.Options {
	return &pebble.Options{
		CacheSize: cacheBytes, MemTableSize: 1 << 20, DisableWAL: true, MaxOpenFiles: 256,
		FormatMajorVersion: pebble.FormatNewest, DisableAutomaticCompactions: true, NoSyncOnClose: true,
		FS: unsynced{vfs.Default}, Logger: quiet{},
	}
}

// Close gives everything up and removes the files.
func (s *Store) Close() error {
	var err error
	if !s.dead.Load() { // else it would wait for itself
		err = s.guard(s.db.Close)
	}
	if rerr := os.RemoveAll(s.dir); rerr != nil {
		err = errors.Join(err, fmt.Errorf("removing the spill files: %w", rerr))
	}
	return err
}

// Write implements conflict.Store.
func (s *Store) Write(entries iter.Seq2[conflict.Key, []byte]) (conflict.Run, error) {
	r := &run{store: s, db: s.db, number: s.next.Add(1)}
	path := filepath.Join(s.dir, fmt.Sprintf("%d.sst", r.number))
	if err := s.writeTable(path, r, entries); err != nil {
		_ = os.Remove(path) // what is left goes with the directory
		return nil, fmt.Errorf("writing a spill file: %w", err)
	}
	if err := s.guard(func() error { return s.db.Ingest(local, []string{path}) }); err != nil {
		return nil, fmt.Errorf("taking in a spill file: %w", err)
	}
	return r, nil
}

func (s *Store) writeTable(path string, r *run, entries iter.Seq2[conflict.Key, []byte]) error {
	f, err := unsynced{vfs.Default}.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	o := options()
	o.EnsureDefaults()
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), o.MakeWriterOptions(6, s.db.TableFormat()))
	var key [24]byte
	for k, value := range entries {
		if err := w.Set(r.key(k, &key), value); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	meta, err := w.Metadata()
	if err != nil {
		return err
	}
	r.bytes = int64(meta.Size)
	return nil
}

// run is one run of a Store.
type run struct {
	store  *Store
	db     *pebble.DB
	number uint64
	bytes  int64
}

func (r *run) key(k conflict.Key, buf *[24]byte) []byte {
	binary.BigEndian.PutUint64(buf[0:], r.number)
	binary.BigEndian.PutUint64(buf[8:], k.Hi)
	binary.BigEndian.PutUint64(buf[16:], k.Lo)
	return buf[:]
}

func (r *run) span() (from, to []byte) {
	return binary.BigEndian.AppendUint64(nil, r.number), binary.BigEndian.AppendUint64(nil, r.number+1)
}

// Get implements conflict.Run.
func (r *run) Get(k conflict.Key) ([]byte, error) {
	var buf [24]byte
	value, closer, err := r.db.Get(r.key(k, &buf))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a spill file: %w", err)
	}
	value = append([]byte(nil), value...)
	return value, closer.Close()
}

// All implements conflict.Run.
func (r *run) All(failed *error) iter.Seq2[conflict.Key, []byte] {
	return func(yield func(conflict.Key, []byte) bool) {
		from, to := r.span()
		i, err := r.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
		if err != nil {
			*failed = fmt.Errorf("reading a spill file: %w", err)
			return
		}
		for ok := i.First(); ok; ok = i.Next() {
			k := i.Key()
			if !yield(conflict.Key{Hi: binary.BigEndian.Uint64(k[8:]), Lo: binary.BigEndian.Uint64(k[16:])}, i.Value()) {
				break
			}
		}
		if err := i.Close(); err != nil {
			*failed = fmt.Errorf("reading a spill file: %w", err)
		}
	}
}

// Bytes implements conflict.Run.
func (r *run) Bytes() int64 { return r.bytes }

// Drop implements conflict.Run.
func (r *run) Drop() error {
	from, to := r.span()
	drop := func() error {
		return r.db.Excise(local, pebble.KeyRange{Start: from, End: to})
	}
	if err := r.store.guard(drop); err != nil {
		return fmt.Errorf("dropping a spill file: %w", err)
	}
	return nil
}
