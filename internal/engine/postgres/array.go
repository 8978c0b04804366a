package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/concord-db/concord/internal/change"
)

// Object identifiers of the element types of array parameters.
var elementOIDs = [...]uint32{transferText: 25, transferInt2: 21, transferInt4: 23, transferInt8: 20, transferBytes: 17}

// Bytes of the integers that travel in binary.
var integerSizes = [...]int{transferText: 0, transferInt2: 2, transferInt4: 4, transferInt8: 8}

const noValue = 0xffffffff // the length of NULL

// errValue is a value that cannot be one of the local column's type. The server
// would refuse it with the same result.
var errValue = errors.New("value does not fit the column's type")

// arrayHeader begins a one-dimensional array of n elements in the server's binary
// format.
func arrayHeader(buf []byte, w transfer, n int) []byte {
	buf = binary.BigEndian.AppendUint32(buf, 1) // dimensions
	buf = binary.BigEndian.AppendUint32(buf, 1) // there may be nulls
	buf = binary.BigEndian.AppendUint32(buf, elementOIDs[w])
	buf = binary.BigEndian.AppendUint32(buf, uint32(n))
	return binary.BigEndian.AppendUint32(buf, 1) // lower bound
}

// arrayElement appends one value. An unchanged value has no place here and counts as
// NULL. kind is the kind of the origin's column, which decides what the text means.
func arrayElement(buf []byte, w transfer, kind change.Kind, v change.Value) ([]byte, error) {
	if v.State != change.Present {
		return binary.BigEndian.AppendUint32(buf, noValue), nil
	}
	switch w {
	case transferInt2, transferInt4, transferInt8:
		size := integerSizes[w]
		n, err := strconv.ParseInt(v.Text, 10, 8*size)
		if err != nil {
			return buf, fmt.Errorf("%w (%d-byte integer)", errValue, size)
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(size))
		switch w {
		case transferInt2:
			return binary.BigEndian.AppendUint16(buf, uint16(n)), nil
		case transferInt4:
			return binary.BigEndian.AppendUint32(buf, uint32(n)), nil
		}
		return binary.BigEndian.AppendUint64(buf, uint64(n)), nil
	case transferBytes:
		if kind != change.KindBytes {
			return buf, fmt.Errorf("%w: text for a bytea", errValue)
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(v.Text)))
		return append(buf, v.Text...), nil
	}
	text := nativeText(kind, v.Text)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(text)))
	return append(buf, text...), nil
}
