package mysql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// errValue is a value that its column's type has no form for.
var errValue = errors.New("the value is not of its type")

// sent is how the values of a column are written in a statement and read from an
// answer.
type sent uint8

const (
	sentText   sent = iota // a quoted text
	sentInt                // digits, so that it is compared as a number
	sentBits               // the number that the bytes of a BIT are
	sentBytes              // a quoted text that is bytes
	sentDouble             // quoted; read as DOUBLE
	sentFloat              // the same of single precision
	sentMoment             // a quoted DATETIME or TIMESTAMP, in UTC
)

// sentOf gives the form of a column's type.
func sentOf(dataType string) sent {
	switch dataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal":
		return sentInt
	case "bit":
		return sentBits
	case "float":
		return sentFloat
	case "double":
		return sentDouble
	case "datetime", "timestamp":
		return sentMoment
	}
	if dataTypeKinds[dataType] == change.KindBytes {
		return sentBytes
	}
	return sentText
}

// appendValue appends a value as an SQL expression: one that is stored exactly, and that
// a comparison with the column takes for a value of its type, so that an index is used.
func appendValue(b []byte, f sent, kind change.Kind, v change.Value) ([]byte, error) {
	if v.State != change.Present {
		return append(b, "NULL"...), nil
	}
	text := nativeText(kind, v.Text)
	if kind == change.KindBool && (f == sentInt || f == sentBits) {
		switch text {
		case "true":
			return append(b, '1'), nil
		case "false":
			return append(b, '0'), nil
		}
	}
	switch f {
	case sentInt:
		if isNumber(text) {
			return append(b, text...), nil
		}
	case sentBits:
		if kind != change.KindBytes {
			if isNumber(text) {
				return append(b, text...), nil
			}
			break
		}
		bits := strings.TrimLeft(text, "\x00")
		if len(bits) > 8 {
			return nil, fmt.Errorf("%w: %d bytes are more than a BIT column has", errValue, len(text))
		}
		var n uint64
		for i := range len(bits) {
			n = n<<8 | uint64(bits[i])
		}
		return strconv.AppendUint(b, n, 10), nil
	case sentFloat:
		// The server reads a text as double precision: the shortest one of the largest
		// number is out of range then.
		if n, err := strconv.ParseFloat(text, 32); err == nil && kind == change.KindFloat {
			text = strconv.FormatFloat(n, 'g', -1, 64)
		}
	case sentBytes:
		if kind == change.KindUUID {
			raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
			if err != nil || len(raw) != 16 {
				return nil, fmt.Errorf("%w: not a UUID", errValue)
			}
			text = string(raw)
		}
		return appendLiteral(append(b, "_binary"...), text), nil
	}
	return appendLiteral(b, text), nil
}

// isNumber reports whether text is an integer or decimal number and nothing else, of no
// more digits than the server counts exactly.
func isNumber(text string) bool {
	text = strings.TrimPrefix(text, "-")
	whole, fraction, point := strings.Cut(text, ".")
	return len(text) <= 66 && isDigits(whole) && (!point || isDigits(fraction))
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// appendLiteral is literal, for large texts.
func appendLiteral(b []byte, s string) []byte {
	b = append(b, '\'')
	for {
		i := strings.IndexAny(s, "\x00'\\")
		if i < 0 {
			return append(append(b, s...), '\'')
		}
		b = append(append(b, s[:i]...), '\\')
		if s[i] == 0 {
			b = append(b, '0')
		} else {
			b = append(b, s[i])
		}
		s = s[i+1:]
	}
}

// selected is the expression that a column is read by.
func (f sent) selected(name string) string {
	if f == sentFloat || f == sentDouble {
		return name + " * 1e0" // FLOAT alone is printed with fewer digits than it has
	}
	return name
}

// canonical is the value that the server printed, as the kind of a shape's column has it.
func (f sent) canonical(kind change.Kind, text string) (string, error) {
	switch f {
	case sentFloat, sentDouble:
		return canonicalFloat(text, f == sentFloat)
	case sentInt:
		if kind == change.KindBool {
			return strconv.FormatBool(strings.Trim(text, "-0") != ""), nil
		}
		if kind == change.KindInt && len(text) > 1 && text[0] == '0' && len(text) != 4 { // ZEROFILL, not a YEAR
			if text = strings.TrimLeft(text, "0"); text == "" {
				text = "0"
			}
		}
	case sentBits:
		switch kind {
		case change.KindBool:
			return strconv.FormatBool(strings.Trim(text, "\x00") != ""), nil
		case change.KindInt:
			var n uint64
			for i := range len(text) {
				n = n<<8 | uint64(text[i])
			}
			return strconv.FormatUint(n, 10), nil
		}
	case sentBytes:
		if kind == change.KindUUID && len(text) == 16 {
			h := hex.EncodeToString([]byte(text))
			return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
		}
	case sentMoment:
		if kind == change.KindTimestampTZ {
			text += "+00"
		}
	}
	return text, nil
}

// canonicalFloat is the shortest text that reads back to the same number.
func canonicalFloat(text string, single bool) (string, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errValue, err)
	}
	bits := 64
	if single {
		bits = 32
	}
	return floatText(n, bits), nil
}
