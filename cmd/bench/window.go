package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/spill"
)

// windowResult is what it takes to remember what is in flight while a peer is away.
type windowResult struct {
	Keys       int     `json:"keys"`
	Seconds    float64 `json:"seconds"`
	AddRate    float64 `json:"added_per_second"`
	MemoryMiB  int64   `json:"window_mib"`
	SpilledMiB int64   `json:"spilled_mib"`
	PeakMiB    int64   `json:"process_peak_mib"`
	// Processor time of one decision about a key that is not in flight, and about one that
	// is, in microseconds; and about one by a window that holds next to nothing.
	Unknown float64 `json:"decide_unknown_us"`
	Known   float64 `json:"decide_known_us"`
	Small   float64 `json:"decide_small_us"`
}

var windowTable = (&change.Table{
	Schema: "public", Name: "accounts",
	Columns: []change.Column{{Name: "id", Kind: change.KindInt}, {Name: "v", Kind: change.KindInt}}, Key: []int{0},
}).Seal()

// window fills a window with the writes of so many keys, one a transaction, as capture
// does while the peer is down, and then asks it about writes of the peer. It needs no server.
func window(o options) (any, error) {
	debug.SetGCPercent(50)
	dir, err := os.MkdirTemp("", "concord-bench-window-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	store, err := spill.Open(filepath.Join(dir, "window"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }() // temporary
	var writes sync.WaitGroup
	defer writes.Wait() // before it is closed
	w := conflict.NewWindow(conflict.WindowOptions{
		Self: "a", Peers: []change.Site{"b"}, Policy: func(*change.Table) conflict.Policy { return conflict.Policy{} },
		Memory: 128 << 20, Store: store, Background: func(f func()) { writes.Go(f) },
	})
	r := windowResult{Keys: o.keys}
	if r.Small, err = decideTime(w, 1_000_000_000); err != nil {
		return nil, err
	}
	began := time.Now()
	for i := range o.keys {
		seq := uint64(i + 1)
		w.AddLocal(&change.Transaction{
			Origin: "a", Seq: seq, HLC: seq << 8, Seen: change.Seen{"b": 1},
			Rows: []change.Row{{Table: windowTable, Op: change.Update, New: windowRow(i)}},
		})
	}
	writes.Wait()
	r.Seconds = time.Since(began).Seconds()
	r.AddRate = float64(o.keys) / r.Seconds
	if keys, _ := w.Size(); keys != o.keys {
		return nil, fmt.Errorf("the window holds %d keys of %d", keys, o.keys)
	}
	m := w.Memory()
	r.MemoryMiB, r.SpilledMiB = m.Bytes>>20, m.SpilledBytes>>20
	if r.Unknown, err = decideTime(w, 1_000_000_000); err != nil {
		return nil, err
	}
	if r.Known, err = decideTime(w, o.keys); err != nil {
		return nil, err
	}
	if r.PeakMiB, err = peakMiB(); err != nil {
		return nil, err
	}
	if o.output != "json" {
		fmt.Printf("window: %d keys in flight, added at %.0f/s; window %d MiB, files %d MiB, process at most %d MiB resident\n"+
			"  a decision: %.2f µs about a key that is not in flight, %.2f µs about one that is; %.2f µs by a small window\n",
			r.Keys, r.AddRate, r.MemoryMiB, r.SpilledMiB, r.PeakMiB, r.Unknown, r.Known, r.Small)
	}
	return r, nil
}

// decideTime times decisions about keys: spread over those below limit when they are in
// flight, above it otherwise.
func decideTime(w *conflict.Window, limit int) (micros float64, err error) {
	const n = 200_000
	runtime.GC()
	met := 0
	began := time.Now()
	for i := range n {
		id := int(binary.LittleEndian.Uint32([]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i)}) % uint32(limit))
		if limit == 1_000_000_000 {
			id = limit + i
		}
		image := windowRow(id)
		k, _ := conflict.KeyOf(windowTable, image, nil)
		e := &conflict.Write{Tx: &conflict.Tx{Origin: "b", Seq: 2, HLC: 1, Seen: nil}, Op: change.Update, Image: image, Table: windowTable}
		if d := w.Decide(windowTable, k, []*conflict.Write{e}, image); len(d.Met) > 0 {
			met++
		}
	}
	took := time.Since(began)
	if want := n; limit == 1_000_000_000 {
		if met != 0 {
			return 0, fmt.Errorf("%d keys that are not in flight were met", met)
		}
	} else if met != want {
		return 0, fmt.Errorf("%d keys of %d were met", met, want)
	}
	return float64(took.Microseconds()) / n, w.Err()
}

func windowRow(i int) []change.Value {
	return []change.Value{change.TextValue(strconv.Itoa(i)), change.TextValue("1")}
}

// peakMiB is the most memory that this process had.
func peakMiB() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib >> 10, err
		}
	}
	return 0, fmt.Errorf("the kernel does not tell the peak of memory")
}
