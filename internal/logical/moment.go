package logical

import (
	"strconv"
	"strings"
	"time"
)

// MySQL keeps moments in the seconds of 32 bits.
const (
	firstMoment = "1970-01-01 00:00:01"
	lastMoment  = "2038-01-19 03:14:07"
)

// toMoment converts a date with a time, without its zone.
func toMoment(text string, from, to Type) (string, bool) {
	day, clock, ok := strings.Cut(text, " ")
	if from.postgres() && to.postgres() {
		return text, true // infinity and BC too
	}
	if zeros := !from.postgres() && !to.postgres(); !ok || !isDate(day) && !zeros || len(day) != len(time.DateOnly) || len(clock) < len("15:04:05") {
		return "", false
	}
	if to.Family == TimestampTZ && !to.postgres() {
		if second := text[:len(firstMoment)]; second < firstMoment || second > lastMoment {
			return "", false
		}
	}
	if _, err := time.Parse(time.TimeOnly, clock); err != nil { // a BC at its end, for one
		return "", false
	}
	clock, ok = fraction(clock, to)
	return day + " " + clock, ok
}

// isDate reports whether a text is a day that every engine has.
func isDate(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil && !strings.HasPrefix(text, "0000")
}

// toTime converts a time of a day, or a span of hours.
func toTime(text string, to Type) (string, bool) {
	number, negative := strings.CutPrefix(text, "-")
	hours, rest, ok := strings.Cut(number, ":")
	h, err := strconv.Atoi(hours)
	clock, _, _ := strings.Cut(rest, ".")
	if _, wrong := time.Parse("04:05", clock); !ok || err != nil || wrong != nil || len(clock) != len("04:05") || h < 0 {
		return "", false
	}
	_, part, _ := strings.Cut(rest, ".")
	some := strings.Trim(part, "0") != ""
	switch {
	case to.postgres() && (negative || h > 24 || h == 24 && (clock != "00:00" || some)):
		return "", false
	case !to.postgres() && (h > 838 || h == 838 && clock == "59:59" && some):
		return "", false
	}
	return fraction(text, to)
}

// fraction writes the fraction of a second as an engine does: PostgreSQL without zeros at
// its end, MySQL with as many digits as the column has.
func fraction(text string, to Type) (string, bool) {
	text = trimFraction(text)
	if to.postgres() {
		_, digits, _ := strings.Cut(text, ".")
		return text, len(digits) <= to.Precision
	}
	whole, digits, _ := strings.Cut(text, ".")
	if len(digits) > to.Precision {
		return "", false
	}
	if to.Precision == 0 {
		return whole, true
	}
	return whole + "." + digits + strings.Repeat("0", to.Precision-len(digits)), true
}

func trimFraction(text string) string {
	if !strings.Contains(text, ".") {
		return text
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
