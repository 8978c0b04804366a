package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// condition is a test of a column in the predicate of a partial index.
type condition struct {
	column string
	test   change.Test
	values []string
}

// parsePredicate reads the predicate of a partial index as pg_get_expr prints it. It
// understands tests of columns against NULL, truth and constants, joined by AND; anything
// else is an error that names what stands there. kind tells the type of a column.
func parsePredicate(text string, kind func(column string) (change.Kind, bool)) ([]condition, error) {
	p := &predicate{tokens: tokenize(text), kind: kind}
	cs, err := p.all()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q", p.tokens[0].text)
	}
	return cs, err
}

// parsePart reads one part of an index: a column, or lower or upper of one.
func parsePart(text string) (column string, c change.Case, err error) {
	p := &predicate{tokens: tokenize(text)}
	switch {
	case p.word("lower"):
		c = change.Lower
	case p.word("upper"):
		c = change.Upper
	}
	column, ok := p.column()
	if !ok || len(p.tokens) > 0 {
		return "", 0, fmt.Errorf("the expression %s", text)
	}
	return column, c, nil
}

type predicate struct {
	tokens []token
	kind   func(string) (change.Kind, bool)
}

// token is a word (a name, a keyword, a number), a string, or a sign.
type token struct {
	text   string
	class  byte // 'w' word, 'q' quoted name, 's' string, 'o' sign
	called bool // a "(" follows at once
}

func tokenize(s string) []token {
	var ts []token
	for len(s) > 0 {
		switch c := s[0]; {
		case c == ' ' || c == '\n' || c == '\t':
			s = s[1:]
		case c == '\'' || c == '"':
			var b strings.Builder
			i := 1
			for ; i < len(s); i++ {
				if s[i] == c {
					if i+1 == len(s) || s[i+1] != c {
						break
					}
					i++
				}
				b.WriteByte(s[i])
			}
			ts = append(ts, token{text: b.String(), class: map[byte]byte{'\'': 's', '"': 'q'}[c]})
			s = s[min(i+1, len(s)):]
		case c == '_' || c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80:
			i := 1
			for i < len(s) && (s[i] == '_' || s[i] == '$' || s[i] == '.' || s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= 0x80) {
				i++
			}
			ts = append(ts, token{text: s[:i], class: 'w', called: i < len(s) && s[i] == '('})
			s = s[i:]
		default:
			n := 1
			for _, sign := range []string{"::", "<>", "!=", "<=", ">="} {
				if strings.HasPrefix(s, sign) {
					n = 2
				}
			}
			ts = append(ts, token{text: s[:n], class: 'o'})
			s = s[n:]
		}
	}
	return ts
}

func (p *predicate) next() token {
	if len(p.tokens) == 0 {
		return token{text: "the end"}
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *predicate) take(class byte, text string) bool {
	if len(p.tokens) == 0 || p.tokens[0].class != class || !strings.EqualFold(p.tokens[0].text, text) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *predicate) sign(s string) bool { return p.take('o', s) }
func (p *predicate) word(s string) bool { return p.take('w', s) }

func (p *predicate) all() ([]condition, error) {
	cs, err := p.one()
	for err == nil && p.word("AND") {
		var more []condition
		more, err = p.one()
		cs = append(cs, more...)
	}
	return cs, err
}

func (p *predicate) one() ([]condition, error) {
	before := p.tokens
	if p.sign("(") {
		if cs, err := p.all(); err == nil && p.sign(")") && (len(p.tokens) == 0 || p.tokens[0].text == ")" || strings.EqualFold(p.tokens[0].text, "AND")) {
			return cs, nil
		}
		p.tokens = before // the parenthesis is around a column
	}
	not := p.word("NOT")
	column, ok := p.column()
	if !ok {
		return nil, fmt.Errorf("%q", p.next().text)
	}
	kind, ok := p.kind(column)
	if !ok {
		return nil, fmt.Errorf("%q, which is not replicated", column)
	}
	c, err := p.test(column, kind)
	if err != nil {
		return nil, err
	}
	if not {
		if kind != change.KindBool || c.test != change.In || len(c.values) != 1 || c.values[0] != "true" {
			return nil, fmt.Errorf(`"NOT"`)
		}
		c.values = []string{"false"}
	}
	return []condition{c}, nil
}

func (p *predicate) test(column string, kind change.Kind) (condition, error) {
	c := condition{column: column, test: change.In}
	switch {
	case p.word("IS"):
		not := p.word("NOT")
		switch {
		case p.word("NULL"):
			if c.test = change.IsNull; not {
				c.test = change.NotNull
			}
		case !not && p.word("TRUE"):
			c.values = []string{"true"}
		case !not && p.word("FALSE"):
			c.values = []string{"false"}
		default:
			return c, fmt.Errorf(`"IS %s"`, p.next().text)
		}
		return c, nil
	case p.sign("="):
	case p.sign("<>"), p.sign("!="):
		c.test = change.NotIn
	default:
		if kind == change.KindBool {
			c.values = []string{"true"}
			return c, nil
		}
		return c, fmt.Errorf("%q", p.next().text)
	}
	comparable := []change.Kind{change.KindBool, change.KindInt, change.KindDecimal, change.KindText, change.KindPaddedText, change.KindEnum, change.KindUUID}
	if !slices.Contains(comparable, kind) {
		return c, fmt.Errorf("a comparison of %s", column)
	}
	var err error
	if c.test == change.In && p.word("ANY") || c.test == change.NotIn && p.word("ALL") {
		c.values, err = p.array()
	} else {
		var v string
		v, err = p.constant()
		c.values = []string{v}
	}
	if kind == change.KindBool {
		for _, v := range c.values {
			if v != "true" && v != "false" {
				return c, fmt.Errorf("%q", v)
			}
		}
	}
	return c, err
}

// column reads a column, in parentheses or not, cast or not.
func (p *predicate) column() (string, bool) {
	if p.sign("(") {
		c, ok := p.column()
		if !ok || !p.sign(")") {
			return "", false
		}
		return c, p.cast()
	}
	t := p.next()
	if t.class != 'q' && (t.class != 'w' || t.called || strings.ContainsAny(t.text[:1], "-.0123456789")) {
		return "", false
	}
	return t.text, p.cast()
}

// cast reads casts between texts, which change nothing of the value.
func (p *predicate) cast() bool {
	for p.sign("::") {
		t := p.next()
		switch strings.ToLower(t.text) {
		case "text", "varchar", "bpchar":
		case "character":
			if !p.word("varying") {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (p *predicate) array() ([]string, error) {
	if !p.sign("(") {
		return nil, fmt.Errorf("%q", p.next().text)
	}
	inner := p.sign("(")
	if !p.word("ARRAY") || !p.sign("[") {
		return nil, fmt.Errorf("%q", p.next().text)
	}
	var values []string
	for {
		v, err := p.constant()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		if p.sign("]") {
			break
		}
		if !p.sign(",") {
			return nil, fmt.Errorf("%q", p.next().text)
		}
	}
	p.anyCast()
	if inner && !p.sign(")") {
		return nil, fmt.Errorf("%q", p.next().text)
	}
	p.anyCast()
	if !p.sign(")") {
		return nil, fmt.Errorf("%q", p.next().text)
	}
	slices.Sort(values)
	return values, nil
}

func (p *predicate) constant() (string, error) {
	if p.sign("(") {
		v, err := p.constant()
		if err == nil && !p.sign(")") {
			err = fmt.Errorf("%q", p.next().text)
		}
		p.anyCast()
		return v, err
	}
	t := p.next()
	if t.class != 's' && (t.class != 'w' || t.called || !strings.ContainsAny(t.text[:1], "-0123456789") && t.text != "true" && t.text != "false") {
		return "", fmt.Errorf("%q", t.text)
	}
	p.anyCast()
	return t.text, nil
}

// anyCast passes over the casts of a constant: its text is what counts.
func (p *predicate) anyCast() {
	for p.sign("::") {
		p.next()
		for len(p.tokens) > 0 && p.tokens[0].class == 'w' && !slices.ContainsFunc([]string{"AND", "OR", "IS"}, func(k string) bool { return strings.EqualFold(k, p.tokens[0].text) }) {
			p.next() // character varying, timestamp without time zone
		}
		if len(p.tokens) > 1 && p.tokens[0].text == "(" && p.tokens[1].class == 'w' { // (10,2)
			for len(p.tokens) > 0 && !p.sign(")") {
				p.next()
			}
		}
		for p.sign("[") {
			p.sign("]")
		}
	}
}
