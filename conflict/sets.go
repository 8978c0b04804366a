package conflict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// union changes the set state as w changed its own: what w added is added, what w
// removed is removed. So an element that one side adds while the other removes it
// ends as the later of the two says, and what neither touched stays. NULL is the
// empty set; a write of NULL makes it NULL.
func union(c *change.Column, state, old, after change.Value) (change.Value, error) {
	if after.State == change.Null {
		return after, nil
	}
	split, join := splitArray, joinArray
	switch c.Kind {
	case change.KindArray:
	case change.KindJSON, change.KindJSONB:
		split, join = splitJSON, joinJSON
	default:
		return after, fmt.Errorf("union needs an array or a JSON array; it is %s", c.Type)
	}
	var sets [3][]string
	for i, v := range []change.Value{state, old, after} {
		if v.State != change.Present {
			continue
		}
		elements, err := split(v.Text)
		if err != nil {
			return after, fmt.Errorf("reading %q as a set: %w", v.Text, err)
		}
		sets[i] = elements
	}
	had, was, is := sets[0], sets[1], sets[2]
	var out []string
	for _, e := range had {
		if slices.Contains(out, e) || slices.Contains(was, e) && !slices.Contains(is, e) {
			continue
		}
		out = append(out, e)
	}
	for _, e := range is {
		if !slices.Contains(was, e) && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return change.TextValue(join(out)), nil
}

// splitArray splits the text of a one-dimensional PostgreSQL array into its elements
// as they are written, quotes included. An element is written in one way only, so
// equal texts are equal elements.
func splitArray(s string) ([]string, error) {
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, errors.New("not an array of one dimension that begins at 1")
	}
	s = s[1 : len(s)-1]
	if s == "" {
		return nil, nil
	}
	var out []string
	from, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '{', '}':
			if !quoted {
				return nil, errors.New("an array of more than one dimension is not a set")
			}
		case ',':
			if !quoted {
				out = append(out, s[from:i])
				from = i + 1
			}
		}
	}
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	return append(out, s[from:]), nil
}

func joinArray(elements []string) string { return "{" + strings.Join(elements, ",") + "}" }

// splitJSON splits a JSON array into the compact texts of its elements, in which the
// members of objects are in order: numbers stay as they are written.
func splitJSON(s string) ([]string, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, fmt.Errorf("not a JSON array: %w", err)
	}
	out := make([]string, len(raw))
	for i, r := range raw {
		d := json.NewDecoder(bytes.NewReader(r))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return nil, err
		}
		out[i] = strings.TrimSuffix(b.String(), "\n")
	}
	return out, nil
}

// joinJSON writes an array as jsonb prints it between elements.
func joinJSON(elements []string) string { return "[" + strings.Join(elements, ", ") + "]" }
