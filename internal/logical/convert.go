package logical

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// errNone says that a value has no counterpart in a type.
var errNone = errors.New("has no counterpart")

// Convert gives the canonical text that a value of one type has in another, for a pair
// that Pair does not refuse. It is an error when the value has no counterpart; nothing is
// rounded, cut or replaced.
func Convert(text string, from, to Type) (string, error) {
	if from.sameAs(to) {
		return text, nil
	}
	out, ok := convert(text, from, to)
	if !ok {
		err := fmt.Errorf("converting a value of %s (%s) to %s (%s): it %w", from.Name, from.Engine, to.Name, to.Engine, errNone)
		if which := Pair(from, to, false).Reason; which != "" {
			err = fmt.Errorf("%w; without one are: %s", err, which)
		}
		return "", err
	}
	return out, nil
}

func convert(text string, from, to Type) (string, bool) {
	switch to.Family {
	case from.Family:
		return convertWithin(text, from, to)
	case Text:
		return toText(text, from, to)
	case Bool:
		return toBool(text, from)
	case Int, Year:
		return toInteger(text, from, to)
	case Decimal:
		return toDecimal(text, to)
	case Bits:
		return map[string]string{"true": "\x01", "false": "\x00"}[text], text == "true" || text == "false"
	case UUID:
		if from.Family == Bytes {
			return fromSixteen(text)
		}
		return text, isUUID(text)
	case Bytes:
		b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		return string(b), err == nil && len(b) == 16
	case Time:
		return toTime(text, to)
	case Interval:
		return trimFraction(text), true
	case Timestamp:
		return toMoment(strings.TrimSuffix(text, "+00"), from, to)
	case TimestampTZ:
		out, ok := toMoment(text, from, to)
		return out + "+00", ok
	}
	return "", false
}

func convertWithin(text string, from, to Type) (string, bool) {
	switch to.Family {
	case Int, Year:
		return toInteger(text, from, to)
	case Decimal:
		return toDecimal(text, to)
	case Float:
		return toFloat(text, from, to)
	case Text:
		return toText(text, from, to)
	case Bytes:
		return text, (to.Limit == 0 || int64(len(text)) <= to.Limit) && (!to.Fixed || int64(len(text)) == to.Limit)
	case Date:
		return text, isDate(text) || from.postgres() == to.postgres()
	case Time:
		return toTime(text, to)
	case Timestamp:
		return toMoment(text, from, to)
	case TimestampTZ:
		out, ok := toMoment(strings.TrimSuffix(text, "+00"), from, to)
		return out + "+00", ok
	case JSON:
		return Document(text)
	case Enum, Set:
		return text, hasLabels(text, to)
	case Bits:
		return toBits(text, from, to)
	case Inet:
		return toInet(text, to)
	case Spatial: // the SRID comes first
		return text, strings.HasPrefix(text, "\x00\x00\x00\x00")
	}
	return text, true // Bool, UUID, Interval: one text everywhere
}

func toBool(text string, from Type) (string, bool) {
	if from.Family == Bits {
		return map[string]string{"\x01": "true", "\x00": "false"}[text], text == "\x01" || text == "\x00"
	}
	return map[string]string{"1": "true", "0": "false"}[text], text == "1" || text == "0"
}

func toInteger(text string, from, to Type) (string, bool) {
	switch from.Family {
	case Bool:
		return map[string]string{"true": "1", "false": "0"}[text], text == "true" || text == "false"
	case Year:
		if text == "0000" && to.Family == Int {
			return "0", true
		}
	case Decimal:
		text, _, _ = strings.Cut(text, ".") // its scale is 0
	}
	if to.Family == Year {
		if text == "0" || text == "0000" {
			return "0000", true
		}
		n, err := strconv.Atoi(text)
		return text, err == nil && n >= 1901 && n <= 2155
	}
	low, high := to.bounds()
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), n >= low && (n < 0 || uint64(n) <= high)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return strconv.FormatUint(n, 10), err == nil && n <= high
}

// toDecimal writes a number with the scale of its column. Digits are never dropped.
func toDecimal(text string, to Type) (string, bool) {
	number, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(number, ".")
	if whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return text, to.postgres() && (number == "NaN" || number == "Infinity") // MySQL never has them
	}
	if to.Precision == 0 {
		return text, true
	}
	if len(fraction) > to.Scale {
		kept := max(to.Scale, 0)
		if strings.Trim(fraction[kept:], "0") != "" {
			return "", false
		}
		fraction = fraction[:kept]
	}
	fraction += strings.Repeat("0", max(0, to.Scale-len(fraction)))
	if whole = strings.TrimLeft(whole, "0"); len(whole) > to.Precision-to.Scale {
		return "", false
	}
	if whole == "" {
		whole = "0"
	}
	out := whole
	if fraction != "" {
		out += "." + fraction
	}
	if negative && strings.Trim(out, "0.") != "" {
		out = "-" + out
		return out, !to.Unsigned
	}
	return out, true
}

func toFloat(text string, from, to Type) (string, bool) {
	v, err := strconv.ParseFloat(text, from.Bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return text, to.postgres() && err == nil
	}
	if err != nil {
		return "", false
	}
	if from.Bits == to.Bits {
		return text, true
	}
	if to.Bits == 32 && float64(float32(v)) != v {
		return "", false
	}
	return floatText(v, to.Bits), true
}

// floatText is the text that every engine here gives a number: the shortest that reads
// back, with an exponent where PostgreSQL writes one.
func floatText(v float64, bits int) string {
	digits := 15
	if bits == 32 {
		digits = 6
	}
	scientific := strconv.FormatFloat(v, 'e', -1, bits)
	_, exponent, _ := strings.Cut(scientific, "e")
	if n, err := strconv.Atoi(exponent); err == nil && n >= -4 && n < digits {
		return strconv.FormatFloat(v, 'f', -1, bits)
	}
	return scientific
}

func toText(text string, from, to Type) (string, bool) {
	if from.Family == Text && from.Fixed {
		text = strings.TrimRight(text, " ")
	}
	length := int64(utf8.RuneCountInString(text))
	switch {
	case to.Limit > 0 && length > to.Limit, to.Room > 0 && int64(len(text)) > to.Room:
		return "", false
	case to.postgres() && strings.Contains(text, "\x00"), !utf8.ValidString(text):
		return "", false
	}
	if to.Fixed && to.postgres() {
		text += strings.Repeat(" ", int(to.Limit-length))
	}
	return text, true
}

func fromSixteen(b string) (string, bool) {
	if len(b) != 16 {
		return "", false
	}
	h := hex.EncodeToString([]byte(b))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], true
}

func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !bytes.ContainsRune([]byte("0123456789abcdef"), rune(c)) {
			return false
		}
	}
	return true
}

func hasLabels(text string, to Type) bool {
	if to.Labels == nil {
		return text != "" // MySQL's error value
	}
	if to.Family == Enum {
		return slices.Contains(to.Labels, text)
	}
	for l := range strings.SplitSeq(text, ",") {
		if text != "" && !slices.Contains(to.Labels, l) {
			return false
		}
	}
	return true
}

// toBits turns the digits that PostgreSQL has into the bytes that MySQL has, or back.
func toBits(text string, from, to Type) (string, bool) {
	size := (to.Bits + 7) / 8
	switch {
	case from.postgres() == to.postgres():
		return text, true
	case from.postgres():
		if len(text) != to.Bits || strings.Trim(text, "01") != "" {
			return "", false
		}
		out := make([]byte, size)
		for i := range text {
			at := len(text) - 1 - i
			out[size-1-i/8] |= (text[at] - '0') << (i % 8)
		}
		return string(out), true
	case len(text) != size:
		return "", false
	}
	out := make([]byte, to.Bits)
	for i := range out {
		out[len(out)-1-i] = '0' + text[size-1-i/8]>>(i%8)&1
	}
	return string(out), true
}

func toInet(text string, to Type) (string, bool) {
	a, err := netip.ParseAddr(text)
	switch {
	case to.postgres():
		return text, true
	case err != nil || a.Zone() != "":
		return "", false
	}
	return text, (to.Name == "inet4") == a.Is4()
}
