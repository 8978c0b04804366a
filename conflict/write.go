package conflict

import "github.com/concord-db/concord/internal/change"

// Tx identifies the transaction a write belongs to. One value is shared by all
// writes of a transaction and never changed.
type Tx struct {
	Origin change.Site
	Seq    uint64
	HLC    uint64
	Seen   change.Seen

	// What a person looks for in the origin's log; nothing is decided by them.
	XID    uint64 // 0: not known
	Commit int64  // microseconds since 1970 by the origin database's clock; 0: not known
}

// TxOf returns the identity of t.
func TxOf(t *change.Transaction) *Tx {
	tx := &Tx{Origin: t.Origin, Seq: t.Seq, HLC: t.HLC, Seen: t.Seen, XID: t.XID}
	if !t.CommitTime.IsZero() {
		tx.Commit = t.CommitTime.UnixMicro()
	}
	return tx
}

// Version returns the version of the transaction's writes.
func (t *Tx) Version() change.Version { return change.Version{HLC: t.HLC, Origin: t.Origin} }

// Saw reports whether t knew of o when it committed.
func (t *Tx) Saw(o *Tx) bool {
	if o.Origin == t.Origin {
		return o.Seq < t.Seq
	}
	return t.Seen[o.Origin] >= o.Seq
}

// Write is the net effect of one transaction on one key.
type Write struct {
	Tx *Tx
	Op change.Op // Insert, Update or Delete
	// Image after the write in Table's shape; nil for Delete. Unchanged values are
	// those the log left out.
	Image []change.Value
	// Old is the row before, in Table's shape, where the table logs whole rows; nil for
	// Insert, and where the log does not say. After a delete and an insert of one
	// transaction it is what was deleted.
	Old   []change.Value
	Table *change.Table
	// Wiped: it is a truncate, or its transaction truncated the table before. What the row
	// was no log tells.
	Wiped bool
}

// OldOf returns the row before a row change when the log has it whole, else nil.
func OldOf(r *change.Row) []change.Value {
	if r.Old == nil || !r.Table.Full || lacks(r.Old) {
		return nil
	}
	return r.Old
}

// Then is the net effect of w and next, a later write of its transaction on its key. Of
// w nothing is left when a truncate came between them, in a later part of a large
// transaction.
func (w *Write) Then(next *Write) *Write {
	if next.Wiped && !w.Wiped {
		return next
	}
	op, image := Net(w.Op, w.Image, next.Op, next.Image)
	net := &Write{Tx: next.Tx, Op: op, Image: image, Table: next.Table, Wiped: w.Wiped}
	if w.Table == next.Table {
		net.Old = w.Old
	}
	return net
}

// UnchangedMask has a bit set for each of the first 64 columns that the image does
// not carry; columns beyond count as carried, so that nothing is guessed.
func (w *Write) UnchangedMask() uint64 {
	if w.Op != change.Update {
		return 0
	}
	var m uint64
	for i := range w.Image {
		if i == 64 {
			break
		}
		if w.Image[i].State == change.Unchanged {
			m |= 1 << i
		}
	}
	return m
}

// Net folds the row changes of one transaction on one key, in log order, into one
// write: op and image of before are those so far (op 0: nothing yet). Folding the
// first ones, then the last ones, and then the two gives the same: the parts of a
// large transaction may be folded one by one. What was deleted and is there again is
// an insert: its image is whole.
func Net(op change.Op, image []change.Value, next change.Op, nextImage []change.Value) (change.Op, []change.Value) {
	switch {
	case next == change.Delete:
		return change.Delete, nil
	case next == change.Insert || op == 0 || op == change.Delete:
		return next, nextImage
	default: // insert or update, then update
		return op, Overlay(image, nextImage)
	}
}

// Overlay returns next with the values it lacks taken from under. Neither is
// changed; next itself is returned when it lacks none. A nil under gives next.
func Overlay(under, next []change.Value) []change.Value {
	var out []change.Value
	for i := range next {
		if next[i].State != change.Unchanged || i >= len(under) || under[i].State == change.Unchanged {
			continue
		}
		if out == nil {
			out = append([]change.Value(nil), next...)
		}
		out[i] = under[i]
	}
	if out == nil {
		return next
	}
	return out
}
