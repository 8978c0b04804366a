package conflict

import (
	"encoding/binary"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/collation"
)

// Key names one row of one table: a 128-bit hash over the table's name and the
// canonical form of the key columns. Two keys that the database holds to be equal
// have the same Key, whatever text they came in; that two different ones share it
// is not to be expected in the lifetime of a system (2^-128 a pair).
type Key struct{ Hi, Lo uint64 }

// Less orders keys; apply writes rows in this order, so that two agents take
// their locks in the same one.
func (k Key) Less(o Key) bool {
	if k.Hi != o.Hi {
		return k.Hi < o.Hi
	}
	return k.Lo < o.Lo
}

// KeyOf hashes the key columns of an image in the shape of t. buf is scratch space
// that may be nil; the grown buffer is returned for the next call.
func KeyOf(t *change.Table, image []change.Value, buf []byte) (Key, []byte) {
	buf = append(buf[:0], t.Schema...)
	buf = append(buf, 0)
	buf = append(buf, t.Name...)
	buf = append(buf, 0)
	for _, i := range t.Key {
		at := len(buf)
		buf = append(buf, 0, 0, 0, 0) // length of the canonical text
		buf = appendCanonical(buf, &t.Columns[i], image[i].Text)
		binary.LittleEndian.PutUint32(buf[at:], uint32(len(buf)-at-4))
	}
	h := xxh3.Hash128(buf)
	return Key{Hi: h.Hi, Lo: h.Lo}, buf
}

// appendCanonical appends the form in which equal keys read the same.
func appendCanonical(buf []byte, c *change.Column, text string) []byte {
	switch c.Kind {
	case change.KindDecimal:
		return appendDecimal(buf, text)
	case change.KindPaddedText:
		return append(buf, strings.TrimRight(text, " ")...)
	case change.KindFoldedText:
		return collation.Append(buf, c.Collation, text)
	case change.KindFloat:
		if text == "-0" {
			text = "0"
		}
	}
	return append(buf, text...)
}

// appendDecimal drops what does not count in a decimal number: a plus sign,
// leading zeros, trailing zeros of the fraction, the sign of zero.
func appendDecimal(buf []byte, text string) []byte {
	sign := ""
	switch {
	case strings.HasPrefix(text, "-"):
		sign, text = "-", text[1:]
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	if text == "" || text[0] > '9' { // NaN, Infinity
		return append(append(buf, sign...), text...)
	}
	whole, fraction, _ := strings.Cut(text, ".")
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	if whole == "" && fraction == "" {
		return append(buf, '0')
	}
	buf = append(append(buf, sign...), whole...)
	if fraction != "" {
		buf = append(append(buf, '.'), fraction...)
	}
	return buf
}
