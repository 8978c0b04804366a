package resolver

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// moment is a date, a time, a timestamp or an interval: its text, compared as its type
// is.
type moment struct {
	column *change.Column
	text   string
}

var _ starlark.Comparable = moment{}

// String leaves out zeros at the end of a fraction, which some engines write: a rule
// sees the same text at every site.
func (m moment) String() string {
	if m.column.Kind == change.KindInterval || !strings.Contains(m.text, ".") {
		return m.text
	}
	text, zone := strings.CutSuffix(m.text, "+00")
	text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	if zone {
		text += "+00"
	}
	return text
}

func (m moment) Type() string          { return "moment" }
func (m moment) Freeze()               {}
func (m moment) Truth() starlark.Bool  { return true }
func (m moment) Hash() (uint32, error) { return starlark.String(m.String()).Hash() }

// CompareSameType implements starlark.Comparable.
func (m moment) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	o, ok := y.(moment)
	if !ok || o.column.Kind != m.column.Kind {
		return false, fmt.Errorf("%s cannot be compared with %s", m.text, y)
	}
	switch op {
	case syntax.EQL:
		return m.String() == o.String(), nil
	case syntax.NEQ:
		return m.String() != o.String(), nil
	}
	c, err := conflict.Compare(m.column, m.text, o.text)
	if err != nil {
		return false, err
	}
	switch op {
	case syntax.LT:
		return c < 0, nil
	case syntax.LE:
		return c <= 0, nil
	case syntax.GT:
		return c > 0, nil
	}
	return c >= 0, nil
}

// valueOf makes a Starlark value of a column's value.
func valueOf(c *change.Column, v change.Value) (starlark.Value, error) {
	if v.State != change.Present {
		return starlark.None, nil
	}
	switch c.Kind {
	case change.KindBool:
		return starlark.Bool(v.Text == "true"), nil
	case change.KindInt:
		n, ok := new(big.Int).SetString(v.Text, 10)
		if !ok {
			return nil, fmt.Errorf("column %s: %q is not an integer", c.Name, v.Text)
		}
		return starlark.MakeBigInt(n), nil
	case change.KindDecimal:
		d, err := parseDecimal(v.Text)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		return d, nil
	case change.KindFloat:
		f, err := strconv.ParseFloat(v.Text, 64)
		if err != nil {
			return nil, fmt.Errorf("column %s: %q is not a number", c.Name, v.Text)
		}
		return starlark.Float(f), nil
	case change.KindBytes:
		return starlark.Bytes(v.Text), nil
	case change.KindDate, change.KindTime, change.KindTimestamp, change.KindTimestampTZ, change.KindInterval:
		return moment{c, v.Text}, nil
	}
	return starlark.String(v.Text), nil
}

// textOf makes a column's value of a Starlark value. A value that is one of those the
// rule was given keeps its text.
func textOf(c *change.Column, v starlark.Value, given ...change.Value) (change.Value, error) {
	if v == starlark.None {
		return change.NullValue(), nil
	}
	for _, g := range given {
		if g.State != change.Present {
			continue
		}
		if x, err := valueOf(c, g); err == nil && x.Type() == v.Type() {
			if same, err := starlark.Equal(x, v); err == nil && same {
				return g, nil
			}
		}
	}
	wrong := func(needs string) (change.Value, error) {
		return change.Value{}, fmt.Errorf("column %s needs %s, not a %s: %s", c.Name, needs, v.Type(), v)
	}
	switch c.Kind {
	case change.KindBool:
		if b, ok := v.(starlark.Bool); ok {
			return change.TextValue(strconv.FormatBool(bool(b))), nil
		}
		return wrong("True or False")
	case change.KindInt:
		if n, ok := v.(starlark.Int); ok {
			return change.TextValue(n.String()), nil
		}
		return wrong("an integer")
	case change.KindDecimal:
		if n, ok := number(v); ok {
			return change.TextValue(n.Text('f')), nil
		}
		return wrong("a decimal")
	case change.KindFloat:
		if f, ok := starlark.AsFloat(v); ok {
			return change.TextValue(strconv.FormatFloat(f, 'g', -1, 64)), nil
		}
		return wrong("a number")
	case change.KindBytes:
		if b, ok := v.(starlark.Bytes); ok {
			return change.TextValue(string(b)), nil
		}
		return wrong("bytes")
	case change.KindDate, change.KindTime, change.KindTimestamp, change.KindTimestampTZ, change.KindInterval:
		switch m := v.(type) {
		case moment:
			if m.column.Kind == c.Kind {
				return change.TextValue(m.text), nil
			}
		case starlark.String:
			return change.TextValue(string(m)), nil
		}
		return wrong("a " + c.Type)
	}
	if s, ok := starlark.AsString(v); ok {
		return change.TextValue(s), nil
	}
	return wrong("a text")
}
