package stream

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Flags of a transaction in the body.
const (
	flagSeen      = 1 << iota // a seen vector follows: it differs from the transaction before
	flagPart                  // a part number follows
	flagMore                  // further parts follow in later transactions
	flagHeartbeat             // the heartbeat's moment follows
	flagsKnown    = flagSeen | flagPart | flagMore | flagHeartbeat
)

// The byte before a row's images: the operation and which images follow.
const (
	rowOpMask = 0x07
	rowOld    = 0x08
	rowNew    = 0x10
	rowKnown  = rowOpMask | rowOld | rowNew
)

// States of a value in an image's bitmap, two bits each. The first three are
// those of change.State.
const (
	stateUnchanged = byte(change.Unchanged)
	stateNull      = byte(change.Null)
	statePresent   = byte(change.Present)
	stateAsOld     = 3 // in a new image: the value of the old one
)

// Limits on what one frame holds, so that a reader's memory is bounded whatever
// arrives. The encoder keeps them, the decoder insists on them.
const (
	maxBodyBytes    = 32 << 20
	maxTransactions = 1 << 18
	maxRows         = 1 << 20
	maxValues       = 1 << 21
	maxColumns      = 1 << 12
	maxSites        = 1 << 10
)

// bodyWriter packs transactions. It is reused from frame to frame.
type bodyWriter struct {
	buf    []byte
	shapes shapeTable
	sites  []change.Site
	seen   change.Seen
}

// pack writes the body of f; what it returns is valid until the next call.
func (w *bodyWriter) pack(f *change.Frame) ([]byte, error) {
	w.buf, w.sites, w.seen = w.buf[:0], w.sites[:0], nil
	w.shapes.reset()
	if err := w.head(f); err != nil {
		return nil, err
	}
	var seq, hlc uint64
	var micros int64
	if len(f.Transactions) > 0 {
		seq = f.Transactions[0].Seq
	}
	for i := range f.Transactions {
		t := &f.Transactions[i]
		w.transaction(t, t.Seq-seq, int64(t.HLC-hlc), t.CommitTime.UnixMicro()-micros)
		seq, hlc, micros = t.Seq, t.HLC, t.CommitTime.UnixMicro()
		for j := range t.Rows {
			if err := w.row(&t.Rows[j]); err != nil {
				return nil, fmt.Errorf("transaction %d, row %d: %w", t.Seq, j, err)
			}
		}
		if len(w.buf) > maxBodyBytes {
			return nil, tooLarge(f, len(w.buf), maxBodyBytes)
		}
	}
	return w.buf, nil
}

// head writes the totals, which let a reader allocate once, and the names of the
// sites that seen vectors speak of.
func (w *bodyWriter) head(f *change.Frame) error {
	var rows, values int
	for i := range f.Transactions {
		t := &f.Transactions[i]
		rows += len(t.Rows)
		for j := range t.Rows {
			values += len(t.Rows[j].Old) + len(t.Rows[j].New)
		}
		for site := range t.Seen {
			if !slices.Contains(w.sites, site) {
				w.sites = append(w.sites, site)
			}
		}
	}
	if len(f.Transactions) > maxTransactions || rows > maxRows || values > maxValues || len(w.sites) > maxSites {
		return fmt.Errorf("%d transactions, %d rows and %d values are too many for one frame", len(f.Transactions), rows, values)
	}
	slices.Sort(w.sites)
	for _, n := range []int{len(f.Transactions), rows, values, len(w.sites)} {
		w.uint(uint64(n))
	}
	for _, site := range w.sites {
		w.text(string(site))
	}
	return nil
}

func (w *bodyWriter) transaction(t *change.Transaction, seqDelta uint64, hlcDelta, microsDelta int64) {
	var flags byte
	if !maps.Equal(w.seen, t.Seen) {
		flags |= flagSeen
	}
	if t.Part != 0 {
		flags |= flagPart
	}
	if t.More {
		flags |= flagMore
	}
	if !t.Heartbeat.IsZero() {
		flags |= flagHeartbeat
	}
	w.buf = append(w.buf, flags)
	w.uint(seqDelta)
	w.int(hlcDelta)
	w.text(string(t.Position))
	w.int(microsDelta)
	if flags&flagHeartbeat != 0 {
		w.int(t.Heartbeat.UnixMicro())
	}
	if flags&flagPart != 0 {
		w.uint(uint64(t.Part))
	}
	if flags&flagSeen != 0 {
		w.seenVector(t.Seen)
	}
	w.uint(uint64(len(t.Rows)))
}

func (w *bodyWriter) seenVector(s change.Seen) {
	w.seen = s
	w.uint(uint64(len(s)))
	for i, site := range w.sites {
		if seq, ok := s[site]; ok {
			w.uint(uint64(i))
			w.uint(seq)
		}
	}
}

func (w *bodyWriter) row(r *change.Row) error {
	if err := checkRow(r); err != nil {
		return err
	}
	index, err := w.shapes.index(r.Table)
	if err != nil {
		return err
	}
	w.uint(uint64(index))
	b := byte(r.Op)
	if r.Old != nil {
		b |= rowOld
	}
	if r.New != nil {
		b |= rowNew
	}
	w.buf = append(w.buf, b)
	if r.Old != nil {
		w.image(r.Old, nil)
	}
	if r.New != nil {
		w.image(r.New, r.Old)
	}
	return nil
}

// image writes the bitmap and the texts. Values that equal old's are not written
// again: with full old images most of an update is.
func (w *bodyWriter) image(image, old []change.Value) {
	at := len(w.buf)
	for range (len(image) + 3) / 4 {
		w.buf = append(w.buf, 0)
	}
	for i := range image {
		v := &image[i]
		state := byte(v.State)
		if v.State == change.Present {
			if old != nil && old[i].State == change.Present && old[i].Text == v.Text {
				state = stateAsOld
			} else {
				w.text(v.Text)
			}
		}
		w.buf[at+i/4] |= state << (2 * (i % 4))
	}
}

func (w *bodyWriter) uint(n uint64) { w.buf = binary.AppendUvarint(w.buf, n) }
func (w *bodyWriter) int(n int64)   { w.buf = binary.AppendVarint(w.buf, n) }
func (w *bodyWriter) text(s string) {
	w.buf = binary.AppendUvarint(w.buf, uint64(len(s)))
	w.buf = append(w.buf, s...)
}

// checkRow verifies what the format takes for granted.
func checkRow(r *change.Row) error {
	if r.Table == nil {
		return fmt.Errorf("a row without table")
	}
	columns := len(r.Table.Columns)
	for _, image := range [][]change.Value{r.Old, r.New} {
		if image != nil && len(image) != columns {
			return fmt.Errorf("%s: an image of %d values for %d columns", r.Table.QualifiedName(), len(image), columns)
		}
		for i := range image {
			if image[i].State > change.Present {
				return fmt.Errorf("%s: value %d is in no known state", r.Table.QualifiedName(), i)
			}
		}
	}
	if !imagesFit(r.Op, r.Old != nil, r.New != nil) {
		return fmt.Errorf("%s: images do not fit a row change of kind %s", r.Table.QualifiedName(), r.Op)
	}
	return nil
}

// imagesFit tells which images an operation has.
func imagesFit(op change.Op, hasOld, hasNew bool) bool {
	switch op {
	case change.Insert:
		return !hasOld && hasNew
	case change.Update:
		return hasNew
	case change.Delete:
		return hasOld && !hasNew
	case change.Truncate:
		return !hasOld && !hasNew
	}
	return false
}

// microsTime is the inverse of time.Time.UnixMicro, for times in the range that
// has one.
func microsTime(us int64) (time.Time, bool) {
	if us > math.MaxInt64/2 || us < math.MinInt64/2 {
		return time.Time{}, false
	}
	return time.UnixMicro(us).UTC(), true
}

// tooLarge names the table whose row is the reason, when one row is most of f.
func tooLarge(f *change.Frame, size, limit int) error {
	var biggest *change.Row
	for i := range f.Transactions {
		for j := range f.Transactions[i].Rows {
			if r := &f.Transactions[i].Rows[j]; biggest == nil || RowSize(r) > RowSize(biggest) {
				biggest = r
			}
		}
	}
	if biggest != nil && biggest.Table != nil && RowSize(biggest) > size/2 {
		return fmt.Errorf("%w: a row of table %s takes %d bytes, more than the bus carries in one message (%d)",
			change.ErrRefused, biggest.Table.QualifiedName(), RowSize(biggest), limit)
	}
	return fmt.Errorf("%w: a frame of %d bytes is more than the bus carries in one message (%d)", change.ErrRefused, size, limit)
}
