package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseDuration reads a length of time: what time.ParseDuration reads, and days
// ("30d", "1d12h") before it.
func parseDuration(s string) (time.Duration, error) {
	var days time.Duration
	rest := s
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/(48*time.Hour)) {
			return 0, errors.New("not a duration")
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		if _, err := strconv.ParseFloat(rest, 64); err == nil {
			return 0, fmt.Errorf("a duration needs a unit")
		}
		return 0, errors.New("not a duration")
	}
	if days > 0 && (d < 0 || strings.ContainsAny(rest[:1], "+-")) {
		return 0, errors.New("not a duration")
	}
	if d > math.MaxInt64-days {
		return 0, errors.New("longer than any duration")
	}
	return days + d, nil
}

// durationText writes a duration the way parseDuration reads it, in its largest
// unit that leaves no fraction.
func durationText(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return d.String()
}

// units of sizes, by lower-case name. Powers of ten and of two are both in use, so
// each is what its name says.
var sizeUnits = map[string]int64{
	"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// parseSize reads a number of bytes: "10GB", "512 MiB".
func parseSize(s string) (int64, error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return 0, errors.New("not a size")
	}
	name := strings.TrimSpace(s[digits:])
	if name == "" {
		return 0, errors.New("a size needs a unit")
	}
	unit, ok := sizeUnits[strings.ToLower(name)]
	if !ok {
		return 0, errors.New("not a size")
	}
	if n > math.MaxInt64/unit {
		return 0, errors.New("larger than any disk")
	}
	return n * unit, nil
}

// sizeText writes a size the way parseSize reads it, in its largest unit that
// leaves no fraction.
func sizeText(n int64) string {
	for _, name := range []string{"TB", "TiB", "GB", "GiB", "MB", "MiB", "kB", "KiB"} {
		if u := sizeUnits[strings.ToLower(name)]; n >= u && n%u == 0 {
			return fmt.Sprintf("%d%s", n/u, name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
