package mysql

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// errJSON is a JSON value of the log that does not follow its format.
var errJSON = errors.New("malformed JSON in the log")

// jsonDepth is how deep values may be nested; the server allows 100.
const jsonDepth = 110

// The types of values in the server's binary JSON.
const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString
	jsonOpaque = 15
)

// jsonText turns a JSON document of the log into the text that the server prints. An
// empty one, which lax sessions can store, is null.
func jsonText(doc string) (string, error) {
	if doc == "" {
		return "null", nil
	}
	j := jsonWriter{}
	if err := j.value(doc[0], doc[1:], 0); err != nil {
		return "", err
	}
	return j.out.String(), nil
}

// jsonWriter writes JSON as the server does: keys in stored order, a space after each
// colon and comma.
type jsonWriter struct{ out strings.Builder }

func (j *jsonWriter) value(typ byte, data string, depth int) error {
	if depth > jsonDepth {
		return errJSON
	}
	c := cursor{s: data}
	switch typ {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		return j.container(typ, data, depth)
	case jsonLiteral:
		switch c.little(1) {
		case 0:
			j.out.WriteString("null")
		case 1:
			j.out.WriteString("true")
		case 2:
			j.out.WriteString("false")
		default:
			return errJSON
		}
	case jsonInt16:
		j.out.WriteString(strconv.FormatInt(int64(int16(c.little(2))), 10))
	case jsonInt32:
		j.out.WriteString(strconv.FormatInt(int64(int32(c.little(4))), 10))
	case jsonInt64:
		j.out.WriteString(strconv.FormatInt(int64(c.little(8)), 10))
	case jsonUint16:
		j.out.WriteString(strconv.FormatUint(c.little(2), 10))
	case jsonUint32:
		j.out.WriteString(strconv.FormatUint(c.little(4), 10))
	case jsonUint64:
		j.out.WriteString(strconv.FormatUint(c.little(8), 10))
	case jsonDouble:
		j.out.WriteString(jsonDoubleText(math.Float64frombits(c.little(8))))
	case jsonString:
		j.quote(c.take(c.variable()))
	case jsonOpaque:
		inner := byte(c.little(1))
		return j.opaque(inner, c.take(c.variable()), c.bad)
	default:
		return errJSON
	}
	if c.bad {
		return errJSON
	}
	return nil
}

// variable reads a length of 7 bits a byte, least significant first.
func (c *cursor) variable() int {
	n := 0
	for shift := 0; shift < 35; shift += 7 {
		b := c.little(1)
		n |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			return n
		}
	}
	c.bad = true
	return 0
}

// container writes an object or an array: count, size, entries of keys and of values,
// then what they point to, counted from data.
func (j *jsonWriter) container(typ byte, data string, depth int) error {
	width := 2
	if typ == jsonLargeObject || typ == jsonLargeArray {
		width = 4
	}
	object := typ == jsonSmallObject || typ == jsonLargeObject
	c := cursor{s: data}
	count, size := int(c.little(width)), int(c.little(width))
	if c.bad || size > len(data) || count > size {
		return errJSON
	}
	data = data[:size]
	var keys []string
	if object {
		keys = make([]string, count)
		for i := range keys {
			at, n := int(c.little(width)), int(c.little(2))
			if c.bad || at > size || n > size-at {
				return errJSON
			}
			keys[i] = data[at : at+n]
		}
	}
	opening, closing := byte('['), byte(']')
	if object {
		opening, closing = '{', '}'
	}
	j.out.WriteByte(opening)
	for i := range count {
		if i > 0 {
			j.out.WriteString(", ")
		}
		if object {
			j.quote(keys[i])
			j.out.WriteString(": ")
		}
		typ := byte(c.little(1))
		entry := c.take(width)
		if c.bad {
			return errJSON
		}
		inline := typ == jsonLiteral || typ == jsonInt16 || typ == jsonUint16 || width == 4 && (typ == jsonInt32 || typ == jsonUint32)
		if !inline {
			at := int((&cursor{s: entry}).little(width))
			if at > size {
				return errJSON
			}
			entry = data[at:]
		}
		if err := j.value(typ, entry, depth+1); err != nil {
			return err
		}
	}
	j.out.WriteByte(closing)
	return nil
}

// opaque writes a value of a type that JSON does not have.
func (j *jsonWriter) opaque(typ byte, data string, bad bool) error {
	if bad {
		return errJSON
	}
	c := cursor{s: data}
	switch typ {
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		precision, scale := int(c.little(1)), int(c.little(1))
		if precision > 65 || scale > precision {
			return errJSON
		}
		j.out.WriteString(decimalText(&c, precision, scale))
	case gomysql.MYSQL_TYPE_DATE:
		date, _ := packedMoment(int64(c.little(8)))
		j.quote(date)
	case gomysql.MYSQL_TYPE_DATETIME, gomysql.MYSQL_TYPE_TIMESTAMP:
		date, clock := packedMoment(int64(c.little(8)))
		j.quote(date + " " + clock)
	case gomysql.MYSQL_TYPE_TIME:
		j.quote(packedTime(int64(c.little(8))))
	default:
		j.quote(fmt.Sprintf("base64:type%d:%s", typ, base64.StdEncoding.EncodeToString([]byte(data))))
	}
	if c.bad {
		return errJSON
	}
	return nil
}

// quote writes a string with its escapes.
func (j *jsonWriter) quote(s string) {
	j.out.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			j.out.WriteByte('\\')
			j.out.WriteByte(c)
		case '\b':
			j.out.WriteString(`\b`)
		case '\t':
			j.out.WriteString(`\t`)
		case '\n':
			j.out.WriteString(`\n`)
		case '\f':
			j.out.WriteString(`\f`)
		case '\r':
			j.out.WriteString(`\r`)
		default:
			if c < 0x20 {
				fmt.Fprintf(&j.out, `\u%04x`, c)
			} else {
				j.out.WriteByte(c)
			}
		}
	}
	j.out.WriteByte('"')
}

// jsonDoubleText is a double as the server writes it into JSON: never like an integer.
func jsonDoubleText(v float64) string {
	s := strconv.FormatFloat(v, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(s, "e")
	exp, err := strconv.Atoi(exponent)
	if err != nil {
		return s
	}
	if exp+1 < -14 || exp+1 > 15 {
		return mantissa + "e" + strconv.Itoa(exp)
	}
	s = strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
