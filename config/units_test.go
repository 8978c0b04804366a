package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"1s": time.Second, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond, "30d": 30 * day,
		"1d12h": 36 * time.Hour, "0d": 0, "0s": 0, "1.5h": 90 * time.Minute, "-1s": -time.Second,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%q: got %s, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"10": "a duration needs a unit", "1.5": "a duration needs a unit", "": "not a duration", "d": "not a duration",
		"1d2": "a duration needs a unit", "1d-2h": "not a duration", "1d+2h": "not a duration", "-1d": "not a duration",
		"1.5d": "not a duration", "9999999d": "not a duration", "1dd": "not a duration", "ten": "not a duration", "1 s": "not a duration",
	} {
		if got, err := parseDuration(s); err == nil || err.Error() != want {
			t.Errorf("%q: got %s, %v; want %s", s, got, err, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{
		"10GB": 10_000_000_000, "512MiB": 512 << 20, "512 mib": 512 << 20, "1kB": 1000, "1KiB": 1024, "0B": 0, "7TB": 7e12,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"10": "a size needs a unit", "": "not a size", "GB": "not a size", "1.5GB": "not a size", "-1GB": "not a size",
		"10G": "not a size", "10 gigs": "not a size", "9999999999TB": "larger than any disk", "99999999999999999999B": "not a size",
	} {
		if got, err := parseSize(s); err == nil || err.Error() != want {
			t.Errorf("%q: got %d, %v; want %s", s, got, err, want)
		}
	}
}

func TestUnitsAreWrittenAsTheyAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<62).Draw(t, "duration"))
		if got, err := parseDuration(durationText(d)); err != nil || got != d {
			t.Fatalf("%s is written %q and read %s, %v", d, durationText(d), got, err)
		}
		n := rapid.Int64Range(0, 1<<62).Draw(t, "size")
		if got, err := parseSize(sizeText(n)); err != nil || got != n {
			t.Fatalf("%d is written %q and read %d, %v", n, sizeText(n), got, err)
		}
	})
}
