package ruletest

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// samples are values of types of which the script shows none; numbers and booleans are
// tried beside those that it does. What is written as text may only be what the rule
// knows, so of it nothing is made up where the script shows some.
var samples = map[change.Kind][]string{
	change.KindBool:        {"false", "true"},
	change.KindInt:         {"0", "1", "2", "-1", "7", "30"},
	change.KindDecimal:     {"0", "1", "1.50", "-1", "0.01", "100"},
	change.KindFloat:       {"0", "1", "0.5", "-1", "1e+20"},
	change.KindText:        {"a", "b", "", "A b"},
	change.KindPaddedText:  {"a", "b", "A"},
	change.KindFoldedText:  {"a", "b", "A"},
	change.KindBytes:       {"a", "b", "", "\x00\xff"},
	change.KindDate:        {"2026-01-01", "2026-01-02", "2025-12-31"},
	change.KindTime:        {"00:00:00", "12:00:00", "23:59:59.5"},
	change.KindTimestamp:   {"2026-01-01 00:00:00", "2026-01-02 00:00:00", "2026-01-01 00:00:00.5"},
	change.KindTimestampTZ: {"2026-01-01 00:00:00+00", "2026-01-02 00:00:00+00", "2026-01-01 00:00:00.5+00"},
	change.KindInterval:    {"00:00:01", "1 day"},
	change.KindUUID:        {"00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"},
	change.KindJSON:        {"{}", `{"a": 1}`, "[]"},
	change.KindJSONB:       {"{}", `{"a": 1}`, "[]"},
	change.KindArray:       {"{}", "{1}", "{1,2}"},
}

// open are the types of which every value may come, whatever the script shows.
var open = []change.Kind{change.KindBool, change.KindInt, change.KindDecimal, change.KindFloat}

// values lists what histories write into a column.
func values(c *change.Column, facts *Column, shown []change.Value, key bool) []change.Value {
	null := len(shown) == 0 && !facts.NotNull || slices.Contains(shown, change.NullValue())
	out := slices.DeleteFunc(slices.Clone(shown), func(v change.Value) bool { return v.State != change.Present || refuses(c, facts, v) != nil })
	add := func(text string) {
		if v := change.TextValue(text); !slices.Contains(out, v) && refuses(c, facts, v) == nil {
			out = append(out, v)
		}
	}
	for _, l := range facts.Labels {
		add(l)
	}
	if key && len(out) == 0 && c.Kind == change.KindInt {
		add("1")
	}
	if len(out) == 0 || slices.Contains(open, c.Kind) {
		for _, s := range samples[c.Kind] {
			add(s)
		}
	}
	if len(out) == 0 && !null {
		out = append(out, change.TextValue("1")) // of a type that only its engine knows
	}
	switch {
	case key:
		return out[:min(1, len(out))]
	case null && !facts.NotNull:
		out = append(out, change.NullValue())
	}
	return out
}

// refuses says why the database would not take a value that a rule returned.
func refuses(c *change.Column, facts *Column, v change.Value) error {
	switch {
	case v.State == change.Null && facts.NotNull:
		return fmt.Errorf("column %s is NOT NULL", c.Name)
	case v.State != change.Present:
		return nil
	case len(facts.Labels) > 0 && !slices.Contains(facts.Labels, v.Text):
		return fmt.Errorf("%q is no value of %s, the type of column %s", v.Text, c.Type, c.Name)
	case c.Kind == change.KindInt || c.Kind == change.KindDecimal:
		if err := conflict.Fits(c, v.Text); err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	return nil
}

// text writes a value for people.
func text(c *change.Column, v change.Value) string {
	switch v.State {
	case change.Null:
		return "NULL"
	case change.Unchanged:
		return "?"
	}
	switch c.Kind {
	case change.KindBool, change.KindInt, change.KindDecimal, change.KindFloat, change.KindEnum, change.KindUUID:
		return v.Text
	}
	return strconv.Quote(v.Text)
}

// rowText writes the columns of a row that something is known of.
func rowText(t *change.Table, image []change.Value) string {
	if image == nil {
		return "no row"
	}
	var out string
	for i, v := range image {
		if v.State != change.Unchanged {
			out += fmt.Sprintf(" %s=%s", t.Columns[i].Name, text(&t.Columns[i], v))
		}
	}
	if out == "" {
		return "(nothing)"
	}
	return out[1:]
}
