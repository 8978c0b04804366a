package mysql

import (
	"fmt"
	"strconv"
	"time"
)

// The log has numbers in groups of nine decimal digits, four bytes each, and the rest
// of a group in as few bytes as it needs.
var groupBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

// decimalText reads a DECIMAL of so many digits, scale of them behind the point. The
// first bit is the sign, inverted; a negative number has all its bits inverted.
func decimalText(c *cursor, precision, scale int) string {
	whole := precision - scale
	size := whole/9*4 + groupBytes[whole%9] + scale/9*4 + groupBytes[scale%9]
	b := []byte(c.take(size))
	if len(b) == 0 {
		return "0"
	}
	out := make([]byte, 0, precision+3)
	if b[0]&0x80 == 0 {
		out = append(out, '-')
		for i := range b {
			b[i] ^= 0xff
		}
	}
	b[0] ^= 0x80
	group := func(digits int) string {
		n := groupBytes[digits]
		var v uint64
		for _, x := range b[:n] {
			v = v<<8 | uint64(x)
		}
		b = b[n:]
		s := strconv.FormatUint(v, 10)
		for len(s) < digits {
			s = "0" + s
		}
		return s
	}
	zeros := true
	put := func(s string) {
		for i := range len(s) {
			if zeros = zeros && s[i] == '0'; !zeros {
				out = append(out, s[i])
			}
		}
	}
	if whole%9 > 0 {
		put(group(whole % 9))
	}
	for range whole / 9 {
		put(group(9))
	}
	if zeros {
		out = append(out, '0')
	}
	if scale == 0 {
		return string(out)
	}
	out = append(out, '.')
	for range scale / 9 {
		out = append(out, group(9)...)
	}
	if scale%9 > 0 {
		out = append(out, group(scale%9)...)
	}
	return string(out)
}

// dateText is a DATE: 5 bits of day, 4 of month, the rest year. There are days 0.
func dateText(v uint64) string { return fmt.Sprintf("%04d-%02d-%02d", v>>9, v>>5&15, v&31) }

// fraction reads the part of a second that stands behind a time and returns it in
// microseconds.
func fraction(c *cursor, digits int) uint64 {
	v := c.big((digits + 1) / 2)
	for n := (digits + 1) / 2 * 2; n < 6; n += 2 {
		v *= 100
	}
	return v
}

// fractionText is "" or a point and so many digits of the microseconds.
func fractionText(micros uint64, digits int) string {
	if digits == 0 {
		return ""
	}
	return "." + fmt.Sprintf("%06d", micros)[:digits]
}

// datetimeText is a DATETIME: year·13+month, 5 bits of day, of hour, 6 of minute, of
// second. Zero and partly zero dates are as the server prints them.
func datetimeText(c *cursor, digits int) string {
	v := c.big(5) - 0x8000000000
	micros := fraction(c, digits)
	ym, day := v>>22, v>>17&31
	return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d%s", ym/13, ym%13, day, v>>12&31, v>>6&63, v&63, fractionText(micros, digits))
}

// timestampText is a TIMESTAMP: seconds since 1970; 0 is the zero date.
func timestampText(c *cursor, digits int) string {
	sec := c.big(4)
	micros := fraction(c, digits)
	if sec == 0 && micros == 0 {
		return "0000-00-00 00:00:00" + fractionText(0, digits) + "+00"
	}
	return time.Unix(int64(sec), 0).UTC().Format("2006-01-02 15:04:05") + fractionText(micros, digits) + "+00"
}

// timeText is a TIME: 10 bits of hours, 6 of minutes, of seconds, then the fraction, as
// one number that is negative for a negative time.
func timeText(c *cursor, digits int) string {
	n := (digits + 1) / 2
	v := int64(c.big(3+n)) - 0x800000<<(8*n)
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	micros := uint64(v) & (1<<(8*n) - 1)
	for i := n * 2; i < 6; i += 2 {
		micros *= 100
	}
	v >>= 8 * n
	return fmt.Sprintf("%s%02d:%02d:%02d%s", sign, v>>12&1023, v>>6&63, v&63, fractionText(micros, digits))
}

// packedMoment is a date or moment inside JSON.
func packedMoment(v int64) (date, clock string) {
	if v < 0 {
		v = -v
	}
	micros, t := uint64(v)&(1<<24-1), v>>24
	ym := t >> 22
	date = fmt.Sprintf("%04d-%02d-%02d", ym/13, ym%13, t>>17&31)
	clock = fmt.Sprintf("%02d:%02d:%02d.%06d", t>>12&31, t>>6&63, t&63, micros)
	return date, clock
}

// packedTime is a time of day inside JSON.
func packedTime(v int64) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	micros, t := v&(1<<24-1), v>>24
	return fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, t>>12&1023, t>>6&63, t&63, micros)
}
