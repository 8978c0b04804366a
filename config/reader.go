package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader walks a document, fills a Config and collects what is wrong.
type reader struct {
	doc      *document
	cfg      *Config
	problems []Problem
	warnings []Problem
}

func (r *reader) fail(at span, remedy, format string, args ...any) {
	r.problems = append(r.problems, r.doc.problem(at, remedy, fmt.Sprintf(format, args...)))
}

func (r *reader) warn(at span, remedy, format string, args ...any) {
	r.warnings = append(r.warnings, r.doc.problem(at, remedy, fmt.Sprintf(format, args...)))
}

// missing is fail for what is not in the file; a file that was not read to its end
// may still have it.
func (r *reader) missing(at span, remedy, format string, args ...any) {
	if !r.doc.cut {
		r.fail(at, remedy, format, args...)
	}
}

// field is a key that a section may have, and what is done with it.
type field struct {
	name string
	read func(e *entry)
}

// section reads the keys of a table and refuses those that are not among the
// fields. where names the section in messages. A key that is nearly a known one,
// and the only one to be, is then read as that: what is wrong below it is told in
// the same go, and the key is not reported as missing.
func (r *reader) section(t *value, where string, fields []field) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	for _, e := range t.entries {
		if !slices.Contains(names, e.name) {
			r.unknown(t, e, where, names)
		}
		if i := slices.Index(names, e.name); i >= 0 {
			fields[i].read(e)
		}
	}
}

func (r *reader) unknown(t *value, e *entry, where string, names []string) {
	what := "key"
	if e.value.kind == kindTable && !e.value.closed || e.value.kind == kindArray && !e.value.closed {
		what = "section"
	}
	r.fail(e.key, "the keys of "+where+" are "+strings.Join(names, ", "),
		"unknown %s %q in %s%s", what, e.name, where, didYouMean(e.name, names))
	if meant := nearest(e.name, names); meant != "" && t.find(meant) == nil {
		t.rename(e, meant)
	}
}

// wrongKind refuses a value of another type than the key needs.
func (r *reader) wrongKind(e *entry, needs, example string) {
	r.fail(e.value.at, fmt.Sprintf("write %s = %s", e.name, example), "%q must be %s, not %s", e.name, needs, e.value.kind)
}

// text reads a string.
func (r *reader) text(e *entry, example string) (string, bool) {
	if e.value.kind != kindString {
		r.wrongKind(e, "a string", example)
		return "", false
	}
	if strings.TrimSpace(e.value.text) == "" {
		r.fail(e.value.at, fmt.Sprintf("write %s = %s", e.name, example), "%q is empty", e.name)
		return "", false
	}
	return e.value.text, true
}

// texts reads a string or an array of strings, each with its place.
func (r *reader) texts(e *entry, example string) []*value {
	if e.value.kind != kindArray {
		if _, ok := r.text(e, example); !ok {
			return nil
		}
		return []*value{e.value}
	}
	if len(e.value.items) == 0 {
		r.fail(e.value.at, fmt.Sprintf("write %s = %s", e.name, example), "%q is an empty array", e.name)
	}
	var texts []*value
	for _, v := range e.value.items {
		if _, ok := r.text(&entry{name: e.name, key: e.key, value: v}, example); ok {
			texts = append(texts, v)
		}
	}
	return texts
}

// boolean reads true or false.
func (r *reader) boolean(e *entry) bool {
	if e.value.kind != kindBool {
		r.wrongKind(e, "true or false", "true")
		return false
	}
	return e.value.text == "true"
}

// duration reads a length of time within bounds into to.
func (r *reader) duration(e *entry, low, high time.Duration, to *time.Duration) {
	example := fmt.Sprintf("%q", durationText(*to))
	if e.value.kind == kindInteger || e.value.kind == kindFloat {
		r.fail(e.value.at, fmt.Sprintf("write %s = %s", e.name, example),
			"%q is a duration: a string with a unit", e.name)
		return
	}
	s, ok := r.text(e, example)
	if !ok {
		return
	}
	d, err := parseDuration(s)
	switch {
	case err != nil:
		r.fail(e.value.at, fmt.Sprintf("write %s = %s; the units are d, h, m, s, ms", e.name, example), "%q: %s", e.name, err)
	case d < low || d > high:
		r.fail(e.value.at, fmt.Sprintf("the default is %s", example),
			"%q must be from %s to %s", e.name, durationText(low), durationText(high))
	default:
		*to = d
	}
}

// count reads a whole number within bounds into to.
func (r *reader) count(e *entry, low, high int64, to *int64) {
	example := strconv.FormatInt(*to, 10)
	if e.value.kind != kindInteger {
		r.wrongKind(e, "a number", example)
		return
	}
	n, err := strconv.ParseInt(e.value.text, 0, 64) // 1_000 is a number too
	if err != nil || n < low || n > high {
		r.fail(e.value.at, fmt.Sprintf("the default is %s", example), "%q must be from %d to %d", e.name, low, high)
		return
	}
	*to = n
}

// size reads a number of bytes, at least low, into to.
func (r *reader) size(e *entry, low int64, to *int64) {
	example := fmt.Sprintf("%q", sizeText(*to))
	if e.value.kind == kindInteger || e.value.kind == kindFloat {
		r.fail(e.value.at, fmt.Sprintf("write %s = %s", e.name, example), "%q is a size: a string with a unit", e.name)
		return
	}
	s, ok := r.text(e, example)
	if !ok {
		return
	}
	n, err := parseSize(s)
	switch {
	case err != nil:
		r.fail(e.value.at, fmt.Sprintf("write %s = %s; the units are kB, MB, GB, TB and KiB, MiB, GiB, TiB", e.name, example), "%q: %s", e.name, err)
	case n < low:
		r.fail(e.value.at, fmt.Sprintf("the default is %s", example), "%q must be at least %s", e.name, sizeText(low))
	default:
		*to = n
	}
}

// policy reads a conflict policy into to.
func (r *reader) policy(e *entry, sites []string, to *Policy) bool {
	s, ok := r.text(e, `"last_write_wins"`)
	if !ok {
		return false
	}
	p, f := parsePolicy(s, sites)
	if f != nil {
		r.fail(r.within(e.value, f.at), f.remedy, "%s", f.message)
		return false
	}
	*to = p
	if p.Resolver != "" {
		r.script(p.Resolver, e.value)
	}
	return true
}

// script notes where a rule in Starlark is named, for Load.
func (r *reader) script(ref string, v *value) {
	r.cfg.scripts = append(r.cfg.scripts, scriptRef{ref: ref, at: r.doc.problem(v.at, "", "")})
}

// within returns the place of a part of a string: exact where the string is
// written as it reads, otherwise the whole.
func (r *reader) within(v *value, part span) span {
	written := string(r.doc.data[v.at.from:v.at.to])
	if len(written) != len(v.text)+2 || written[1:len(written)-1] != v.text {
		return v.at
	}
	return span{v.at.from + 1 + part.from, v.at.from + 1 + part.to}
}
