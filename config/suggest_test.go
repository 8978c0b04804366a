package config

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"match", "exclude", "conflict", "from", "password_file", "max_lag", "max_clock_drift"}
	for written, want := range map[string]string{
		"form": "from", "Match": "match", "matches": "match", "exlude": "exclude", "conflicts": "conflict",
		"max-lag": "max_lag", "password": "password_file", "clock": "", "max": "", "x": "", "": "", "tables": "",
		"pattern": "", "from_site": "from",
	} {
		if got := nearest(written, known); got != want {
			t.Errorf("%q: got %q, want %q", written, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"form", "from", 1}, {"kitten", "sitting", 3}} {
		if got, back := distance(tt.a, tt.b), distance(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("%q, %q: got %d and %d, want %d", tt.a, tt.b, got, back, tt.want)
		}
	}
}
