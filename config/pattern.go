package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a compiled glob on schema and table. The signs are those of
// path.Match: * any run of characters, ? one, [a-z] and [^a-z] one of a class, \
// takes the next literally. None of them crosses the dot between schema and table:
// the first dot of a pattern.
type pattern struct {
	text          string
	schema, table []atom
}

// atom is one step of a glob: a star, or one character that a class holds.
type atom struct {
	star  bool
	class []runeRange // of one character; nil is any
	not   bool
}

type runeRange struct{ lo, hi rune }

func (a atom) holds(r rune) bool {
	if a.class == nil {
		return true
	}
	in := slices.ContainsFunc(a.class, func(x runeRange) bool { return x.lo <= r && r <= x.hi })
	return in != a.not
}

// maxPatternBytes is twice what the longest names of the engines need.
const maxPatternBytes = 256

// parsePattern reads a glob.
func parsePattern(s string) (pattern, *fault) {
	if len(s) > maxPatternBytes {
		return pattern{}, &fault{fmt.Sprintf("a pattern has at most %d bytes", maxPatternBytes), ""}
	}
	if strings.ContainsAny(s, `"`+"`") {
		return pattern{}, &fault{fmt.Sprintf("quotes do not belong in pattern %q", s),
			"write the names as the catalogue has them, in their case, without SQL quotes"}
	}
	schema, table, ok := strings.Cut(s, ".")
	switch {
	case s == "*":
		return pattern{}, &fault{`"*" has no schema`, `write "*.*" for every table of every schema`}
	case !ok:
		return pattern{}, &fault{fmt.Sprintf("pattern %q has no schema", s), fmt.Sprintf("write %q", "public."+s)}
	case schema == "" || table == "":
		return pattern{}, &fault{fmt.Sprintf("pattern %q lacks a part", s), `write "schema.table"`}
	case Reserved(schema):
		return pattern{}, &fault{fmt.Sprintf("schema %q is never replicated", schema), "remove the pattern"}
	}
	p := pattern{text: s}
	var f *fault
	if p.schema, f = parseGlob(schema); f == nil {
		p.table, f = parseGlob(table)
	}
	return p, f
}

func parseGlob(s string) ([]atom, *fault) {
	var atoms []atom
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch r {
		case '*':
			if len(atoms) == 0 || !atoms[len(atoms)-1].star {
				atoms = append(atoms, atom{star: true})
			}
			continue
		case '?':
			atoms = append(atoms, atom{})
			continue
		case '[':
			a, rest, f := parseClass(s)
			if f != nil {
				return nil, f
			}
			atoms, s = append(atoms, a), rest
			continue
		case '\\':
			if s == "" {
				return nil, &fault{`a pattern ends in \`, `write \\ for the character itself`}
			}
			r, n = utf8.DecodeRuneInString(s)
			s = s[n:]
		}
		atoms = append(atoms, atom{class: []runeRange{{r, r}}})
	}
	return atoms, nil
}

// parseClass reads a class after its opening bracket.
func parseClass(s string) (a atom, rest string, f *fault) {
	bad := &fault{"a pattern has a malformed class", `write [a-z], [abc] or [^a-z]; \[ for the character itself`}
	s, a.not = strings.CutPrefix(s, "^")
	next := func() (rune, bool) {
		s = strings.TrimPrefix(s, `\`)
		if s == "" {
			return 0, false
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		return r, true
	}
	for !strings.HasPrefix(s, "]") {
		lo, ok := next()
		if !ok {
			return a, "", bad
		}
		hi := lo
		if after, dash := strings.CutPrefix(s, "-"); dash && !strings.HasPrefix(after, "]") {
			s = after
			if hi, ok = next(); !ok || hi < lo {
				return a, "", bad
			}
		}
		a.class = append(a.class, runeRange{lo, hi})
	}
	if a.class == nil {
		return a, "", bad
	}
	return a, s[1:], nil
}

// matches reports whether the table is one of the pattern's.
func (p pattern) matches(schema, table string) bool {
	return globMatches(p.schema, schema) && globMatches(p.table, table)
}

func globMatches(atoms []atom, name string) bool {
	return align(atoms, []rune(name), func(a atom, r rune) bool { return !a.star && a.holds(r) })
}

// covers reports whether every table of q is also one of p. False may mean that it
// cannot be told from the signs alone.
func (p pattern) covers(q pattern) bool {
	return globCovers(p.schema, q.schema) && globCovers(p.table, q.table)
}

// globCovers matches p against q's own steps: a star of p takes any of them, a
// character of p only a character of q that is nothing else.
func globCovers(p, q []atom) bool {
	return align(p, q, func(a, b atom) bool {
		if a.star || b.star {
			return false
		}
		if a.class == nil {
			return true
		}
		if b.class == nil {
			return false
		}
		if a.not == b.not && slices.Equal(a.class, b.class) {
			return true
		}
		return !b.not && len(b.class) == 1 && b.class[0].lo == b.class[0].hi && a.holds(b.class[0].lo)
	})
}

// align reports whether the steps of a glob fit a sequence: a star any run of it,
// every other step one element that one accepts. Time is linear in the product of
// the lengths.
func align[E any](atoms []atom, seq []E, one func(atom, E) bool) bool {
	i, j := 0, 0
	star, resume := -1, 0
	for j < len(seq) {
		switch {
		case i < len(atoms) && atoms[i].star:
			star, resume = i, j
			i++
		case i < len(atoms) && one(atoms[i], seq[j]):
			i, j = i+1, j+1
		case star >= 0:
			resume++
			i, j = star+1, resume
		default:
			return false
		}
	}
	for i < len(atoms) && atoms[i].star {
		i++
	}
	return i == len(atoms)
}

// Reserved reports whether a schema is the database's own or Concord's: its tables
// are never replicated, whatever the rules say.
func Reserved(schema string) bool {
	switch schema {
	case "concord", "pg_catalog", "pg_toast", "information_schema":
		return true
	}
	return strings.HasPrefix(schema, "pg_temp_") || strings.HasPrefix(schema, "pg_toast_temp_")
}
