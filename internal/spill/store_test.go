package spill

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/conflict"
)

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "window"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// entries are n keys, those with numbers from first on.
func entries(first, n int) func(func(conflict.Key, []byte) bool) {
	return func(yield func(conflict.Key, []byte) bool) {
		var value []byte
		for i := first; i < first+n; i++ {
			value = binary.AppendUvarint(value[:0], uint64(i))
			if !yield(key(i), value) {
				return
			}
		}
	}
}

func key(i int) conflict.Key { return conflict.Key{Hi: uint64(i) >> 8, Lo: uint64(i)} }

func number(t testing.TB, r conflict.Run, i int) (uint64, bool) {
	t.Helper()
	value, err := r.Get(key(i))
	if err != nil {
		t.Fatal(err)
	}
	if value == nil {
		return 0, false
	}
	n, _ := binary.Uvarint(value)
	return n, true
}

func TestARunGivesBackWhatWasWritten(t *testing.T) {
	s := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		first, n := rapid.IntRange(0, 1000).Draw(rt, "first"), rapid.IntRange(1, 3000).Draw(rt, "entries")
		r, err := s.Write(entries(first, n))
		if err != nil {
			rt.Fatal(err)
		}
		other, err := s.Write(entries(0, 10))
		if err != nil {
			rt.Fatal(err)
		}
		for _, i := range []int{first, first + n - 1, first + n/2} {
			if got, ok := number(t, r, i); !ok || got != uint64(i) {
				rt.Fatalf("key %d has %d, %v", i, got, ok)
			}
		}
		for _, i := range []int{first - 1, first + n} {
			if got, ok := number(t, r, i); i >= 0 && ok {
				rt.Fatalf("key %d, which was not written, has %d", i, got)
			}
		}
		found := 0
		for k := range r.All(&err) {
			if k != key(first+found) {
				rt.Fatalf("entry %d is %v", found, k)
			}
			found++
		}
		if err != nil || found != n || r.Bytes() == 0 {
			rt.Fatalf("scanned %d of %d, %d bytes: %v", found, n, r.Bytes(), err)
		}
		if err := r.Drop(); err != nil {
			rt.Fatal(err)
		}
		if got, ok := number(t, other, 3); !ok || got != 3 {
			rt.Fatalf("another run went with it: %d, %v", got, ok)
		}
	})
}

func TestDroppedRunsLeaveTheDisk(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "window"))
	if err != nil {
		t.Fatal(err)
	}
	var runs []conflict.Run
	for range 10 {
		r, err := s.Write(entries(0, 50_000))
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	full := size(t, s.dir)
	for _, r := range runs {
		if err := r.Drop(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); size(t, s.dir) > full/10; { // files go in the background
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are left of %d", size(t, s.dir), full)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestWhatWasLeftBehindIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "window")
	if err := os.MkdirAll(filepath.Join(dir, "runs"), 0o700); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "runs", "CURRENT")
	if err := os.WriteFile(left, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestADirectoryThatIsGoneIsAnError(t *testing.T) {
	s := open(t)
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(entries(0, 10)); err == nil {
		t.Error("a run was written to nowhere")
	}
}

func size(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() { // else it went meanwhile
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func BenchmarkWrite(b *testing.B) {
	s := open(b)
	for b.Loop() {
		if _, err := s.Write(entries(0, 300_000)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b)
	r, err := s.Write(entries(0, 1_000_000))
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i = (i + 7919) % 1_000_000
		number(b, r, i)
	}
}
