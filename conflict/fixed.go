package conflict

import (
	"strconv"

	"github.com/concord-db/concord/internal/change"
)

// fixed is a number with a fixed point that an int64 holds: n / 10^scale. Counters are
// mostly such numbers, and a counter that was raised at two sites for hours is added up
// again and again while the sites catch up.
type fixed struct {
	n     int64
	scale int
}

// fixedLimit keeps sums of three numbers within an int64.
const fixedLimit = 1 << 61

// readFixed reads -12.50. ok is false for whatever it does not read as apd would print
// it again: then apd is to be asked.
func readFixed(text string) (f fixed, ok bool) {
	digits := text
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '.' || digits[len(digits)-1] == '.' {
		return f, false
	}
	point := -1
	for i := range len(digits) {
		switch d := digits[i]; {
		case d >= '0' && d <= '9':
			f.n = 10*f.n + int64(d-'0')
		case d == '.' && point < 0:
			point = i
		default:
			return f, false
		}
	}
	if point >= 0 {
		f.scale = len(digits) - point - 1
	}
	if negative {
		f.n = -f.n
	}
	return f, !negative || f.n != 0
}

// to gives f more digits behind the point.
func (f fixed) to(scale int) (fixed, bool) {
	for ; f.scale < scale; f.scale++ {
		if f.n > fixedLimit/10 || f.n < -fixedLimit/10 {
			return f, false
		}
		f.n *= 10
	}
	return f, f.n <= fixedLimit && f.n >= -fixedLimit
}

// text prints f with all its digits behind the point.
func (f fixed) text() string {
	if f.scale == 0 {
		return strconv.FormatInt(f.n, 10)
	}
	var buf [24]byte
	magnitude := f.n
	if f.n < 0 {
		magnitude = -f.n
	}
	digits := strconv.AppendInt(buf[:0], magnitude, 10)
	out := make([]byte, 0, len(digits)+f.scale+2)
	if f.n < 0 {
		out = append(out, '-')
	}
	if whole := len(digits) - f.scale; whole > 0 {
		out = append(out, digits[:whole]...)
		digits = digits[whole:]
	} else {
		out = append(out, '0')
	}
	out = append(out, '.')
	for n := len(digits); n < f.scale; n++ {
		out = append(out, '0')
	}
	return string(append(out, digits...))
}

// sumFixed is state + (after - old) for texts that readFixed reads; ok is false when apd
// must be asked: for other numbers, and for whatever the column may not hold.
func sumFixed(c *change.Column, state, old, after change.Value) (v change.Value, ok bool) {
	var terms [3]fixed
	scale := 0
	for i, v := range []change.Value{state, after, old} {
		if v.State != change.Present {
			continue
		}
		if terms[i], ok = readFixed(v.Text); !ok {
			return v, false
		}
		scale = max(scale, terms[i].scale)
	}
	for i := range terms {
		if terms[i], ok = terms[i].to(scale); !ok {
			return v, false
		}
	}
	total := fixed{terms[0].n + (terms[1].n - terms[2].n), scale}
	if !fitsFixed(c, total) {
		return v, false
	}
	return change.TextValue(total.text()), true
}

// fitsFixed reports whether a column holds f for certain.
func fitsFixed(c *change.Column, f fixed) bool {
	if bits, unsigned, ok := integer(c.Type); ok {
		switch {
		case unsigned:
			return f.n >= 0 && (bits == 64 || f.n < 1<<bits)
		case bits == 64:
			return true
		}
		return f.n >= -1<<(bits-1) && f.n < 1<<(bits-1)
	}
	precision, scale, ok := modifiers(c.Type)
	if !ok {
		return true
	}
	whole := precision - scale + f.scale
	if whole > 18 {
		return true
	}
	most := int64(1)
	for range max(whole, 0) {
		most *= 10
	}
	return f.n > -most && f.n < most
}
