package stream

import (
	"fmt"
	"maps"

	"github.com/concord-db/concord/internal/change"
)

// bodyReader unpacks transactions. Every text it returns is a part of body, every
// image a part of one slab: a frame costs a handful of allocations whatever it
// holds. The first malformed thing is kept in err; after it all reads give zero.
type bodyReader struct {
	body   string
	at     int
	err    error
	sites  []change.Site
	tables []*change.Table
	rows   []change.Row
	values []change.Value
	seen   change.Seen // of the transaction before
	recent change.Seen // the latest one that was not empty, perhaps of a frame before
}

func (r *bodyReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: body at byte %d: %s", errFormat, r.at, fmt.Sprintf(format, args...))
		r.at = len(r.body)
	}
}

// unpack fills f.Transactions from the body. first is the seq of the first one.
func (r *bodyReader) unpack(f *change.Frame, first uint64) error {
	// Each count is checked against the bytes that are there, so that a lie cannot
	// make us allocate: a transaction takes 6 bytes or more, a row 2, a value a
	// quarter.
	n := r.count("transactions", maxTransactions, 6, 1)
	rows := r.count("rows", maxRows, 2, 1)
	values := r.count("values", maxValues, 1, 4)
	sites := r.count("sites", maxSites, 1, 1)
	for range sites {
		r.sites = append(r.sites, change.Site(r.text()))
	}
	if r.err != nil {
		return r.err
	}
	r.rows, r.values = make([]change.Row, rows), make([]change.Value, values)
	if n > 0 {
		f.Transactions = make([]change.Transaction, n)
	}
	seq, hlc, micros := first, uint64(0), int64(0)
	for i := range f.Transactions {
		t := &f.Transactions[i]
		t.Origin, t.Epoch = f.Origin, f.Epoch
		r.transaction(t, &seq, &hlc, &micros)
		if r.err != nil {
			return r.err
		}
	}
	if r.at != len(r.body) || len(r.rows) != 0 || len(r.values) != 0 {
		r.fail("%d bytes, %d rows and %d values are left over", len(r.body)-r.at, len(r.rows), len(r.values))
	}
	return r.err
}

func (r *bodyReader) transaction(t *change.Transaction, seq, hlc *uint64, micros *int64) {
	flags := r.byte()
	if flags&^flagsKnown != 0 {
		r.fail("transaction flags %#x", flags)
	}
	*seq += r.uint()
	*hlc += uint64(r.int())
	t.Seq, t.HLC = *seq, *hlc
	t.Position = change.Position(r.text())
	*micros += r.int()
	var ok bool
	if t.CommitTime, ok = microsTime(*micros); !ok {
		r.fail("commit time out of range")
	}
	if flags&flagHeartbeat != 0 {
		if t.Heartbeat, ok = microsTime(r.int()); !ok {
			r.fail("heartbeat out of range")
		}
	}
	if flags&flagPart != 0 {
		part := r.uint()
		if part == 0 || part > 1<<40 {
			r.fail("part %d", part)
		}
		t.Part = int(part)
	}
	t.More = flags&flagMore != 0
	if flags&flagSeen != 0 {
		r.seenVector()
	}
	t.Seen = r.seen
	n := r.uint()
	if n > uint64(len(r.rows)) {
		r.fail("%d rows where %d are left", n, len(r.rows))
		return
	}
	if n == 0 {
		return
	}
	t.Rows, r.rows = r.rows[:n:n], r.rows[n:]
	for i := range t.Rows {
		r.row(&t.Rows[i])
		if r.err != nil {
			return
		}
	}
}

func (r *bodyReader) seenVector() {
	n := r.uint()
	if n > uint64(len(r.sites)) {
		r.fail("%d sites seen of %d", n, len(r.sites))
		return
	}
	s := make(change.Seen, n)
	for range n {
		i, seq := r.uint(), r.uint()
		if i >= uint64(len(r.sites)) {
			r.fail("site %d of %d", i, len(r.sites))
			return
		}
		s[r.sites[i]] = seq
	}
	if len(s) != int(n) {
		r.fail("a site twice in a seen vector")
	}
	if !maps.Equal(s, r.recent) {
		r.recent = s
	}
	r.seen = r.recent
}

func (r *bodyReader) row(row *change.Row) {
	index, b := r.uint(), r.byte()
	if index >= uint64(len(r.tables)) {
		r.fail("table %d of %d", index, len(r.tables))
		return
	}
	row.Table, row.Op = r.tables[index], change.Op(b&rowOpMask)
	if b&^rowKnown != 0 || !imagesFit(row.Op, b&rowOld != 0, b&rowNew != 0) {
		r.fail("row change %#x", b)
		return
	}
	if b&rowOld != 0 {
		row.Old = r.image(len(row.Table.Columns), nil)
	}
	if b&rowNew != 0 {
		row.New = r.image(len(row.Table.Columns), row.Old)
	}
}

func (r *bodyReader) image(columns int, old []change.Value) []change.Value {
	bitmap := r.take(uint64(columns+3) / 4)
	if columns > len(r.values) || bitmap == "" {
		r.fail("an image of %d values where %d are left", columns, len(r.values))
		return nil
	}
	var image []change.Value
	image, r.values = r.values[:columns:columns], r.values[columns:]
	for i := range image {
		switch bitmap[i/4] >> (2 * (i % 4)) & 3 {
		case stateUnchanged:
		case stateNull:
			image[i].State = change.Null
		case statePresent:
			image[i] = change.Value{Text: r.text(), State: change.Present}
		case stateAsOld:
			if old == nil || old[i].State != change.Present {
				r.fail("a value as the old one, which is not there")
				return nil
			}
			image[i] = old[i]
		}
	}
	if spare := columns % 4; spare != 0 && bitmap[len(bitmap)-1]>>(2*spare) != 0 {
		r.fail("bits beyond the last column")
	}
	return image
}

// count reads the number of things that take at least bytes per things bytes.
func (r *bodyReader) count(what string, limit, bytes, things uint64) int {
	n := r.uint()
	if left := uint64(len(r.body) - r.at); n > limit || n > left/bytes*things {
		r.fail("%d %s in %d bytes", n, what, left)
		return 0
	}
	return int(n)
}

func (r *bodyReader) byte() byte {
	if r.at >= len(r.body) {
		r.fail("it ends early")
		return 0
	}
	r.at++
	return r.body[r.at-1]
}

func (r *bodyReader) uint() uint64 {
	var n uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b := r.byte()
		if shift == 63 && b > 1 {
			break
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.fail("a number beyond 64 bits")
	return 0
}

func (r *bodyReader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *bodyReader) text() string { return r.take(r.uint()) }

func (r *bodyReader) take(n uint64) string {
	if n > uint64(len(r.body)-r.at) {
		r.fail("%d bytes wanted, %d left", n, len(r.body)-r.at)
		return ""
	}
	s := r.body[r.at : r.at+int(n)]
	r.at += int(n)
	return s
}
