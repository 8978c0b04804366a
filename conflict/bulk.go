package conflict

import (
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// bulk holds the keys that one large transaction wrote, for tables under
// last_write_wins: 16 bytes a key, in sorted runs that are merged as they grow, so
// that a transaction of millions of rows stays small and is still searched fast.
type bulk struct {
	tx   *Tx
	runs map[change.Op][][]Key    // each sorted; lengths fall
	left map[*tableTraffic]uint64 // columns that some of its updates do not carry

	spilled []*bulkRun // keys that are not in runs
}

// bulkRunLimit bounds the memory that merging two runs needs for a moment: runs of
// this length (16 MiB) are not merged further.
const bulkRunLimit = 1 << 20

func (b *bulk) len() int {
	n := 0
	for _, runs := range b.runs {
		for _, r := range runs {
			n += len(r)
		}
	}
	for _, r := range b.spilled {
		n += r.keys
	}
	return n
}

// add takes ownership of keys.
func (b *bulk) add(op change.Op, keys []Key) {
	if len(keys) == 0 {
		return
	}
	slices.SortFunc(keys, compareKeys)
	runs := append(slices.Clip(b.runs[op]), keys)
	for n := len(runs); n > 1 && len(runs[n-2]) <= 2*len(runs[n-1]) && len(runs[n-2]) < bulkRunLimit; n = len(runs) {
		runs[n-2] = mergeKeys(runs[n-2], runs[n-1])
		runs[n-1] = nil
		runs = runs[:n-1]
	}
	b.runs[op] = runs
}

// op tells what the transaction did to k; 0 when it did not touch it. The rank of
// several operations on one key is delete, update, insert: what can conflict most.
func (b *bulk) op(k Key) (change.Op, error) {
	found := b.opInMemory(k)
	err := b.spilledOps(k, func(op change.Op) { found = max(found, op) }) // their numbers rise with the rank
	return found, err
}

func (b *bulk) opInMemory(k Key) change.Op {
	for _, op := range []change.Op{change.Delete, change.Update, change.Insert} {
		for _, run := range b.runs[op] {
			if _, ok := slices.BinarySearchFunc(run, k, compareKeys); ok {
				return op
			}
		}
	}
	return 0
}

func compareKeys(a, b Key) int {
	switch {
	case a == b:
		return 0
	case a.Less(b):
		return -1
	}
	return 1
}

func mergeKeys(a, b []Key) []Key {
	out := make([]Key, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Less(b[0]) {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// addBulk adds rows of a part of a large transaction, by their net effect. Rows of
// tables whose policy needs images go to their lists: that policy pays for images.
func (w *Window) addBulk(tx *Tx, rows []change.Row) {
	ops := map[Key]change.Op{}
	note := func(t *change.Table, image []change.Value, op change.Op) {
		var k Key
		k, w.buf = KeyOf(t, image, w.buf)
		ops[k], _ = Net(ops[k], nil, op, nil)
	}
	wiped := LastTruncates(rows)
	left := map[*tableTraffic]uint64{}
	for i := range rows {
		r := &rows[i]
		if wiped.Covers(i, r) {
			continue
		}
		tt := w.traffic(r.Table)
		if !tt.versionsOnly || r.Op == change.Truncate {
			w.addRows(tx, rows[i:i+1])
			continue
		}
		tt.note(tx)
		left[tt] |= (&Write{Op: r.Op, Image: r.New}).UnchangedMask()
		if r.MovesKey() {
			note(r.Table, r.Old, change.Delete)
			note(r.Table, r.New, change.Insert)
			continue
		}
		note(r.Table, r.Key(), r.Op)
	}
	byOp := map[change.Op][]Key{}
	for k, op := range ops {
		byOp[op] = append(byOp[op], k)
	}
	b := w.bulkOf(tx)
	for tt, mask := range left {
		b.left[tt] |= mask
	}
	for op, keys := range byOp {
		b.add(op, keys)
	}
	w.spillBulk()
}

func (w *Window) bulkOf(tx *Tx) *bulk {
	for _, b := range w.bulk {
		if b.tx.Origin == tx.Origin && b.tx.Seq == tx.Seq {
			return b
		}
	}
	b := &bulk{tx: tx, runs: map[change.Op][][]Key{}, left: map[*tableTraffic]uint64{}}
	w.bulk = append(w.bulk, b)
	return b
}
