package conflict

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/concord-db/concord/internal/change"
)

// exact is arithmetic without rounding: more digits than any database keeps, and an
// error instead of a rounded result.
var exact = apd.BaseContext.WithPrecision(200_000)

// sum adds to state what w changed: after - old. NULL counts as zero; a write of NULL
// makes it NULL.
func sum(c *change.Column, state, old, after change.Value) (change.Value, error) {
	if after.State == change.Null {
		return after, nil
	}
	if c.Kind != change.KindInt && c.Kind != change.KindDecimal {
		return after, fmt.Errorf("sum needs an integer or a decimal; it is %s", c.Type)
	}
	if v, ok := sumFixed(c, state, old, after); ok {
		return v, nil
	}
	return sumExact(c, state, old, after)
}

// sumExact is sum for numbers of any size, none of them a write of NULL.
func sumExact(c *change.Column, state, old, after change.Value) (change.Value, error) {
	var terms [3]apd.Decimal
	for i, v := range []change.Value{state, after, old} {
		if v.State != change.Present {
			continue
		}
		if _, _, err := terms[i].SetString(v.Text); err != nil {
			return after, fmt.Errorf("reading %q as a number: %w", v.Text, err)
		}
		if terms[i].Form != apd.Finite {
			return after, fmt.Errorf("sum cannot count with %s", v.Text)
		}
	}
	var delta, total apd.Decimal
	condition, err := exact.Sub(&delta, &terms[1], &terms[2])
	if err == nil {
		var more apd.Condition
		more, err = exact.Add(&total, &terms[0], &delta)
		condition |= more
	}
	if err != nil || condition.Rounded() || condition.Inexact() {
		return after, fmt.Errorf("sum of %s and the change from %q to %q is not exact", state.Text, old.Text, after.Text)
	}
	if err := fits(c, &total); err != nil {
		return after, fmt.Errorf("sum of %q and the change from %q to %q: %w", state.Text, old.Text, after.Text, err)
	}
	return change.TextValue(total.Text('f')), nil
}

// integerBits are the integer types of the engines.
var integerBits = map[string]uint{"tinyint": 8, "smallint": 16, "mediumint": 24, "integer": 32, "int": 32, "bigint": 64}

// integer reads the name of an integer type: "bigint", "int(11) unsigned". The number
// between parentheses is how wide MySQL shows it, and bounds nothing.
func integer(typ string) (bits uint, unsigned, ok bool) {
	name, rest, _ := strings.Cut(typ, "(")
	name, plain := strings.CutSuffix(strings.TrimSuffix(name, " zerofill"), " unsigned")
	bits, ok = integerBits[name]
	return bits, plain || strings.Contains(rest, "unsigned") || strings.HasSuffix(typ, "zerofill"), ok
}

// bounds are the least and the greatest value of an integer type.
func bounds(bits uint, unsigned bool) (low, high *apd.Decimal) {
	if unsigned {
		return apd.New(0, 0), apd.NewWithBigInt(new(apd.BigInt).SetUint64(^uint64(0)>>(64-bits)), 0)
	}
	return apd.New(-1<<(bits-1), 0), apd.New(1<<(bits-1)-1, 0)
}

// Fits refuses a number that an integer or decimal column cannot hold as it is.
func Fits(c *change.Column, text string) error {
	var n apd.Decimal
	if _, _, err := n.SetString(text); err != nil {
		return fmt.Errorf("reading %q as a number: %w", text, err)
	}
	if n.Form != apd.Finite {
		return nil
	}
	return fits(c, &n)
}

// fits refuses a number that the column cannot hold as it is.
func fits(c *change.Column, n *apd.Decimal) error {
	if bits, unsigned, ok := integer(c.Type); ok {
		if low, high := bounds(bits, unsigned); n.Cmp(low) < 0 || n.Cmp(high) > 0 {
			return fmt.Errorf("%s is out of range of %s", n.Text('f'), c.Type)
		}
		return nil
	}
	precision, scale, ok := modifiers(c.Type)
	if !ok || n.IsZero() {
		return nil
	}
	if whole := n.NumDigits() + int64(n.Exponent); whole > int64(precision-scale) {
		return fmt.Errorf("%s is out of range of %s", n.Text('f'), c.Type)
	}
	return nil
}

// modifiers reads numeric(10,2).
func modifiers(typ string) (precision, scale int, ok bool) {
	_, rest, ok := strings.Cut(typ, "(")
	if !ok {
		return 0, 0, false
	}
	first, second, both := strings.Cut(strings.TrimSuffix(rest, ")"), ",")
	precision, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, 0, false
	}
	if both {
		if scale, err = strconv.Atoi(strings.TrimSpace(second)); err != nil {
			return 0, 0, false
		}
	}
	return precision, scale, true
}

func lesser(c *change.Column, a, b change.Value) (change.Value, error) { return pick(c, a, b, -1) }

func greater(c *change.Column, a, b change.Value) (change.Value, error) { return pick(c, a, b, +1) }

// pick returns the lesser (-1) or the greater (+1) of two values, a when they are
// equal. NULL is not a value: the other one is taken.
func pick(c *change.Column, a, b change.Value, sign int) (change.Value, error) {
	switch {
	case a.State == change.Null:
		return b, nil
	case b.State == change.Null:
		return a, nil
	}
	order, err := Compare(c, a.Text, b.Text)
	if err != nil {
		return a, err
	}
	if order*sign < 0 {
		return b, nil
	}
	return a, nil
}

// Compare orders two texts of a column as its type does: numbers by value, times by
// time, texts and bytes byte by byte. An error says that the type has no order here.
func Compare(c *change.Column, a, b string) (int, error) {
	switch c.Kind {
	case change.KindInt, change.KindDecimal:
		return compareNumbers(a, b)
	case change.KindFloat:
		x, err := strconv.ParseFloat(a, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %q as a number: %w", a, err)
		}
		y, err := strconv.ParseFloat(b, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %q as a number: %w", b, err)
		}
		return compareFloats(x, y), nil
	case change.KindBool, change.KindText, change.KindBytes, change.KindTime, change.KindUUID:
		return strings.Compare(a, b), nil
	case change.KindPaddedText:
		return strings.Compare(strings.TrimRight(a, " "), strings.TrimRight(b, " ")), nil
	case change.KindFoldedText:
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b)), nil
	case change.KindDate, change.KindTimestamp, change.KindTimestampTZ:
		return compareTimes(a, b), nil
	}
	return 0, fmt.Errorf("type %s has no order here: use another rule", c.Type)
}

// compareFloats orders as the database does: NaN is greater than all.
func compareFloats(x, y float64) int {
	switch {
	case x != x || y != y:
		return cmp.Compare(boolInt(x != x), boolInt(y != y))
	default:
		return cmp.Compare(x, y)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareNumbers orders decimals as the database does: NaN is greater than all.
func compareNumbers(a, b string) (int, error) {
	var x, y apd.Decimal
	if _, _, err := x.SetString(a); err != nil {
		return 0, fmt.Errorf("reading %q as a number: %w", a, err)
	}
	if _, _, err := y.SetString(b); err != nil {
		return 0, fmt.Errorf("reading %q as a number: %w", b, err)
	}
	if x.Form == apd.NaN || y.Form == apd.NaN {
		return cmp.Compare(boolInt(x.Form == apd.NaN), boolInt(y.Form == apd.NaN)), nil
	}
	return x.Cmp(&y), nil
}

// compareTimes orders ISO dates and timestamps: years of any length, BC, infinity.
func compareTimes(a, b string) int {
	ra, ya, ta := timeParts(a)
	rb, yb, tb := timeParts(b)
	if c := cmp.Or(cmp.Compare(ra, rb), cmp.Compare(ya, yb)); c != 0 {
		return c
	}
	return strings.Compare(ta, tb)
}

// timeParts splits a time into what sorts: -infinity, times, infinity; the year; what
// follows it.
func timeParts(s string) (rank, year int, rest string) {
	switch s {
	case "-infinity":
		return -1, 0, ""
	case "infinity":
		return 1, 0, ""
	}
	text, bc := strings.CutSuffix(s, " BC")
	digits, rest, _ := strings.Cut(text, "-")
	year, _ = strconv.Atoi(digits) // of canonical text; what is not is ordered as year 0
	if bc {
		year = 1 - year
	}
	return 0, year, strings.TrimRight(strings.TrimSuffix(rest, "+00"), " ")
}
