package site

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-db/concord/conflict"
)

// Limits of a page of conflicts.
const (
	DefaultConflicts = 100
	MaxConflicts     = 1000
)

// ConflictFilter selects recorded conflicts, newest first. Zero fields do not select.
type ConflictFilter struct {
	Since time.Time // settled at or after
	Until time.Time // settled before
	Table string    // schema.name
	Kind  string
	After ConflictCursor // the page after this place
	Limit int            // 0: DefaultConflicts
}

// ConflictParameters are what ParseConflictFilter asks for.
var ConflictParameters = []string{"since", "until", "table", "kind", "limit", "after"}

// ParseConflictFilter reads the parameters of a listing as a person gives them, "" where
// there is none. An error names the parameter and says what to write.
func ParseConflictFilter(get func(name string) string, now time.Time) (f ConflictFilter, err error) {
	for name, to := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if s := get(name); s != "" {
			if *to, err = moment(s, now); err != nil {
				return f, fmt.Errorf("%s=%q: write how long ago (90m, 24h, 7d) or a time (2026-07-31T12:00:00Z, RFC 3339)", name, s)
			}
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, fmt.Errorf("since=%q is not before until=%q", get("since"), get("until"))
	}
	f.Table = get("table")
	if schema, name, ok := strings.Cut(f.Table, "."); f.Table != "" && (!ok || schema == "" || name == "") {
		return f, fmt.Errorf("table=%q: write schema.name, as in public.orders", f.Table)
	}
	f.Kind = get("kind")
	if f.Kind != "" && !slices.Contains(conflict.Kinds, conflict.Kind(f.Kind)) {
		var kinds []string
		for _, k := range conflict.Kinds {
			kinds = append(kinds, string(k))
		}
		return f, fmt.Errorf("kind=%q: write one of %s", f.Kind, strings.Join(kinds, ", "))
	}
	if s := get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > MaxConflicts {
			return f, fmt.Errorf("limit=%q: write a number from 1 to %d", s, MaxConflicts)
		}
	}
	if s := get("after"); s != "" {
		if f.After, err = ParseConflictCursor(s); err != nil {
			return f, fmt.Errorf("after=%w", err)
		}
	}
	return f, nil
}

// moment reads a time, or how long before now it was.
func moment(s string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			return now.Add(-time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Parse(time.RFC3339, s)
}
