package resolver

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/apd/v3"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Decimal is an exact decimal number in Starlark. It is compared with decimals only;
// it adds to, subtracts from and multiplies with decimals and integers.
type Decimal struct{ n *apd.Decimal }

var (
	_ starlark.Comparable = Decimal{}
	_ starlark.HasBinary  = Decimal{}
	_ starlark.HasUnary   = Decimal{}
	_ starlark.HasAttrs   = Decimal{}
)

// exact is arithmetic that fails rather than rounds.
var exact = func() *apd.Context {
	c := apd.BaseContext.WithPrecision(200_000)
	c.Traps |= apd.Inexact | apd.Rounded
	return c
}()

var predeclared = starlark.StringDict{"decimal": starlark.NewBuiltin("decimal", newDecimal)}

// newDecimal is decimal("1.50") and decimal(3).
func newDecimal(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &v); err != nil {
		return nil, err
	}
	if s, ok := starlark.AsString(v); ok {
		return parseDecimal(s)
	}
	if n, ok := number(v); ok {
		return Decimal{n}, nil
	}
	return nil, fmt.Errorf("decimal: a text or an integer is needed, not a %s: %s", v.Type(), v)
}

func parseDecimal(s string) (starlark.Value, error) {
	n, _, err := apd.NewFromString(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", s)
	}
	return Decimal{n}, nil
}

// number reads an integer or a decimal.
func number(v starlark.Value) (*apd.Decimal, bool) {
	switch v := v.(type) {
	case Decimal:
		return v.n, true
	case starlark.Int:
		n, _, err := apd.NewFromString(v.String())
		return n, err == nil
	}
	return nil, false
}

func (d Decimal) String() string { return d.n.Text('f') }

// Type implements starlark.Value.
func (d Decimal) Type() string { return "decimal" }

// Freeze implements starlark.Value: a decimal never changes.
func (d Decimal) Freeze() {}

// Truth implements starlark.Value: zero is false.
func (d Decimal) Truth() starlark.Bool { return starlark.Bool(!d.n.IsZero()) }

// Hash implements starlark.Value: equal numbers have the same.
func (d Decimal) Hash() (uint32, error) { return starlark.String(reduced(d.n)).Hash() }

func reduced(n *apd.Decimal) string {
	var r apd.Decimal
	r.Reduce(n)
	return r.Text('f')
}

// CompareSameType implements starlark.Comparable.
func (d Decimal) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	o, ok := y.(Decimal)
	if !ok {
		return false, fmt.Errorf("a decimal cannot be compared with a %s", y.Type())
	}
	c := d.n.Cmp(o.n)
	switch op {
	case syntax.EQL:
		return c == 0, nil
	case syntax.NEQ:
		return c != 0, nil
	case syntax.LT:
		return c < 0, nil
	case syntax.LE:
		return c <= 0, nil
	case syntax.GT:
		return c > 0, nil
	case syntax.GE:
		return c >= 0, nil
	}
	return false, fmt.Errorf("decimals have no %s", op)
}

// Unary implements starlark.HasUnary.
func (d Decimal) Unary(op syntax.Token) (starlark.Value, error) {
	switch op {
	case syntax.PLUS:
		return d, nil
	case syntax.MINUS:
		var n apd.Decimal
		n.Neg(d.n)
		return Decimal{&n}, nil
	}
	return nil, nil
}

// Binary implements starlark.HasBinary.
func (d Decimal) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	if _, ok := y.(starlark.Float); ok {
		return nil, errors.New("a decimal does not mix with a float: write decimal(\"…\")")
	}
	o, ok := number(y)
	if !ok {
		return nil, nil
	}
	a, b := d.n, o
	if side == starlark.Right {
		a, b = b, a
	}
	var n apd.Decimal
	var err error
	switch op {
	case syntax.PLUS:
		_, err = exact.Add(&n, a, b)
	case syntax.MINUS:
		_, err = exact.Sub(&n, a, b)
	case syntax.STAR:
		_, err = exact.Mul(&n, a, b)
	case syntax.SLASH, syntax.SLASHSLASH, syntax.PERCENT:
		return nil, errors.New("a division of decimals may not be exact: say how many digits: a.div(b, 2)")
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s %s: %w", a.Text('f'), op, b.Text('f'), err)
	}
	return Decimal{&n}, nil
}

// AttrNames implements starlark.HasAttrs.
func (d Decimal) AttrNames() []string { return []string{"div", "round"} }

// Attr implements starlark.HasAttrs: d.round(digits) and d.div(other, digits) round
// half to even.
func (d Decimal) Attr(name string) (starlark.Value, error) {
	switch name {
	case "round":
		return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var digits int
			if err := starlark.UnpackArgs(name, args, kwargs, "digits", &digits); err != nil {
				return nil, err
			}
			return quantize(d.n, digits)
		}), nil
	case "div":
		return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var by starlark.Value
			var digits int
			if err := starlark.UnpackArgs(name, args, kwargs, "by", &by, "digits", &digits); err != nil {
				return nil, err
			}
			o, ok := number(by)
			if !ok {
				return nil, fmt.Errorf("div: by a decimal or an integer, not a %s", by.Type())
			}
			return divide(d.n, o, digits)
		}), nil
	}
	return nil, nil
}

// digitLimit is more than any database keeps behind the point.
const digitLimit = 16_383

func quantize(n *apd.Decimal, digits int) (starlark.Value, error) {
	if digits < 0 || digits > digitLimit {
		return nil, fmt.Errorf("digits must be from 0 to %d", digitLimit)
	}
	c := apd.BaseContext.WithPrecision(200_000)
	c.Rounding = apd.RoundHalfEven
	var r apd.Decimal
	if _, err := c.Quantize(&r, n, -int32(digits)); err != nil {
		return nil, fmt.Errorf("rounding %s: %w", n.Text('f'), err)
	}
	return Decimal{&r}, nil
}

func divide(a, b *apd.Decimal, digits int) (starlark.Value, error) {
	if b.IsZero() {
		return nil, errors.New("division by zero")
	}
	if digits < 0 || digits > digitLimit {
		return nil, fmt.Errorf("digits must be from 0 to %d", digitLimit)
	}
	// Enough digits for the whole part, those asked for and some that decide the
	// rounding; rounded toward zero first, so that it is rounded once.
	whole := max(0, a.NumDigits()+int64(a.Exponent)-b.NumDigits()-int64(b.Exponent)+1)
	if whole > digitLimit*10 {
		return nil, errors.New("the quotient is too large")
	}
	c := apd.BaseContext.WithPrecision(uint32(whole) + uint32(digits) + 20)
	c.Rounding = apd.RoundDown
	var q apd.Decimal
	condition, err := c.Quo(&q, a, b)
	if err != nil {
		return nil, fmt.Errorf("%s / %s: %w", a.Text('f'), b.Text('f'), err)
	}
	if condition.Inexact() { // something follows: a half is more than a half
		q.Coeff.Mul(&q.Coeff, apd.NewBigInt(10))
		q.Coeff.Add(&q.Coeff, apd.NewBigInt(1))
		q.Exponent--
	}
	return quantize(&q, digits)
}
