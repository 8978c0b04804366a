package mysql

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// errEvent is an event of the log that does not follow its format.
var errEvent = errors.New("malformed event of the log")

// cursor reads an event's values. Reading beyond the end yields zeros and sets bad.
// Strings are substrings: an event is copied once, by whoever made s.
type cursor struct {
	s   string
	i   int
	bad bool
}

func (c *cursor) take(n int) string {
	if n < 0 || n > len(c.s)-c.i {
		c.bad, c.i = true, len(c.s)
		return ""
	}
	s := c.s[c.i : c.i+n]
	c.i += n
	return s
}

// little reads an n byte number, least significant byte first; big the other way.
func (c *cursor) little(n int) uint64 {
	s := c.take(n)
	var v uint64
	for i := len(s) - 1; i >= 0; i-- {
		v = v<<8 | uint64(s[i])
	}
	return v
}

func (c *cursor) big(n int) uint64 {
	var v uint64
	for _, b := range []byte(c.take(n)) {
		v = v<<8 | uint64(b)
	}
	return v
}

// field is how the log has the values of one column.
type field struct {
	typ       byte // MYSQL_TYPE_…, the real one of enums and sets
	length    int  // bytes of a string at most, of a length prefix, of an enum's number; bits of a BIT
	scale     int  // digits behind the point, of a decimal or a second
	unsigned  bool
	charset   string // of a text; "binary": bytes
	collation string
	labels    []string // of an enum or a set
	form      form
}

// form is what remains to be done to the bytes of a string.
type form uint8

const (
	formSame form = iota
	formText      // into UTF-8
	formChar      // the same, without padding
	formPad       // zero bytes up to length
	formUUID      // 16 bytes
	formInet      // an address
)

// value reads one value that is not NULL, as canonical text.
func (f *field) value(c *cursor) (string, error) {
	switch f.typ {
	case gomysql.MYSQL_TYPE_TINY:
		return f.integer(c, 1), nil
	case gomysql.MYSQL_TYPE_SHORT:
		return f.integer(c, 2), nil
	case gomysql.MYSQL_TYPE_INT24:
		return f.integer(c, 3), nil
	case gomysql.MYSQL_TYPE_LONG:
		return f.integer(c, 4), nil
	case gomysql.MYSQL_TYPE_LONGLONG:
		return f.integer(c, 8), nil
	case gomysql.MYSQL_TYPE_YEAR:
		if y := c.little(1); y != 0 {
			return strconv.FormatUint(1900+y, 10), nil
		}
		return "0000", nil
	case gomysql.MYSQL_TYPE_FLOAT:
		return floatText(float64(math.Float32frombits(uint32(c.little(4)))), 32), nil
	case gomysql.MYSQL_TYPE_DOUBLE:
		return floatText(math.Float64frombits(c.little(8)), 64), nil
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return decimalText(c, f.length, f.scale), nil
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE:
		return dateText(c.little(3)), nil
	case gomysql.MYSQL_TYPE_TIME2:
		return timeText(c, f.scale), nil
	case gomysql.MYSQL_TYPE_DATETIME2:
		return datetimeText(c, f.scale), nil
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		return timestampText(c, f.scale), nil
	case gomysql.MYSQL_TYPE_BIT:
		return c.take((f.length + 7) / 8), nil
	case gomysql.MYSQL_TYPE_ENUM:
		n := c.little(f.length)
		switch {
		case n == 0:
			return "", nil
		case n > uint64(len(f.labels)):
			return "", errors.New("an enum has more values than labels are known")
		}
		return f.labels[n-1], nil
	case gomysql.MYSQL_TYPE_SET:
		return f.set(c.little(f.length))
	case gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING, gomysql.MYSQL_TYPE_STRING:
		prefix := 1
		if f.length > 255 {
			prefix = 2
		}
		return f.text(c.take(int(c.little(prefix))))
	case gomysql.MYSQL_TYPE_BLOB, gomysql.MYSQL_TYPE_GEOMETRY, gomysql.MYSQL_TYPE_VECTOR:
		return f.text(c.take(int(c.little(f.length))))
	case gomysql.MYSQL_TYPE_JSON:
		return jsonText(c.take(int(c.little(f.length))))
	}
	return "", errors.New("a value of an unknown type")
}

func (f *field) integer(c *cursor, n int) string {
	v := c.little(n)
	if f.unsigned {
		return strconv.FormatUint(v, 10)
	}
	shift := 64 - 8*n
	return strconv.FormatInt(int64(v<<shift)>>shift, 10)
}

// set joins the labels whose bits are there.
func (f *field) set(bits uint64) (string, error) {
	var b strings.Builder
	for i := range 64 {
		if bits&(1<<i) == 0 {
			continue
		}
		if i >= len(f.labels) {
			return "", errors.New("a set has more values than labels are known")
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(f.labels[i])
	}
	return b.String(), nil
}

// text is the bytes of a string as canonical text.
func (f *field) text(s string) (string, error) {
	switch f.form {
	case formText:
		return toUTF8(f.charset, s)
	case formChar:
		s, err := toUTF8(f.charset, s)
		return strings.TrimRight(s, " "), err
	case formPad:
		return pad(s, f.length), nil
	case formUUID:
		return uuidText(pad(s, 16)), nil
	case formInet:
		addr, ok := netip.AddrFromSlice([]byte(pad(s, f.length)))
		if !ok {
			return "", errors.New("an address that is neither 4 nor 16 bytes long")
		}
		return addr.String(), nil
	}
	return s, nil
}

// pad puts back the zero bytes that the log leaves out at the end of fixed strings.
func pad(s string, n int) string {
	if len(s) >= n {
		return s
	}
	return s + strings.Repeat("\x00", n-len(s))
}

// uuidText is the 16 bytes of a UUID as its text.
func uuidText(s string) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i := range 16 {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(out)
}

// floatText is the shortest text that reads back to the same bits, with an exponent
// where PostgreSQL writes one.
func floatText(v float64, bits int) string {
	digits := 15
	if bits == 32 {
		digits = 6
	}
	s := strconv.FormatFloat(v, 'e', -1, bits)
	exp, err := strconv.Atoi(s[strings.IndexByte(s, 'e')+1:])
	if err == nil && exp >= -4 && exp < digits {
		return strconv.FormatFloat(v, 'f', -1, bits)
	}
	return s
}
