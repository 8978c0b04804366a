package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// span is a range of bytes of the file.
type span struct{ from, to int }

// kind is the type of a TOML value, in words for messages.
type kind string

const (
	kindString  kind = "a string"
	kindBool    kind = "a boolean"
	kindInteger kind = "a number"
	kindFloat   kind = "a number with a fraction"
	kindTime    kind = "a date or time"
	kindArray   kind = "an array"
	kindTable   kind = "a table"
)

// value is one value of the document with its place.
type value struct {
	kind    kind
	at      span
	text    string   // of a string: what it says; of other scalars: as written
	items   []*value // of an array, or the tables of [[name]]
	entries []*entry // of a table, in the order of the file; see add and find
	byName  map[string]*entry
	closed  bool // an inline table or array: nothing can be added later
	defined bool // a table that has had its own [header], or dotted keys
}

// entry is one key of a table with its value.
type entry struct {
	name  string
	key   span // of the first mention
	value *value
}

// find returns the entry of a table, or nil.
func (v *value) find(name string) *entry {
	return v.byName[name]
}

// add appends an entry whose name the table does not have yet.
func (v *value) add(e *entry) {
	if v.byName == nil {
		v.byName = map[string]*entry{}
	}
	v.byName[e.name] = e
	v.entries = append(v.entries, e)
}

// rename gives an entry a name that the table does not have yet.
func (v *value) rename(e *entry, name string) {
	delete(v.byName, e.name)
	e.name = name
	v.byName[name] = e
}

// part is one part of a dotted key.
type part struct {
	name string
	at   span
}

// document is a parsed file: what it says, where, and what is wrong with it as TOML.
type document struct {
	name     string
	data     []byte
	starts   []int // offset of each line
	root     *value
	problems []Problem
	// cut is set when a syntax error ended the reading: what follows is unknown.
	cut bool
}

// parseDocument reads data as TOML, as far as that goes.
func parseDocument(name string, data []byte) *document {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	d := &document{name: name, data: data[:len(data):len(data)], root: &value{kind: kindTable}}
	d.starts = []int{0}
	for i, c := range d.data {
		if c == '\n' {
			d.starts = append(d.starts, i+1)
		}
	}
	var p unstable.Parser
	p.Reset(d.data)
	table := d.root
	for p.NextExpression() {
		switch n := p.Expression(); n.Kind {
		case unstable.Table:
			table = d.openTable(keyParts(n))
		case unstable.ArrayTable:
			table = d.addTable(keyParts(n))
		case unstable.KeyValue:
			d.set(table, n)
		}
	}
	var syntax *unstable.ParserError
	switch err := p.Error(); {
	case errors.As(err, &syntax):
		from := min(max(cap(d.data)-cap(syntax.Highlight), 0), len(d.data))
		d.cut = true
		d.refuse(span{from, from + len(syntax.Highlight)}, syntaxRemedy, "not TOML here: %s", plainSyntax(syntax.Message))
	case err != nil:
		d.cut = true
		d.refuse(span{}, syntaxRemedy, "not TOML")
	}
	return d
}

const syntaxRemedy = "if this line looks right, look above it for a quote or bracket that is not closed"

// plainSyntax leaves out of the library's message the character it found: it may be
// one of a password.
func plainSyntax(message string) string {
	before, _, _ := strings.Cut(message, "U+")
	before = strings.TrimRight(before, ": ")
	return strings.TrimSuffix(before, " but got")
}

// confirm asks the TOML library whether the document is valid in all that this
// reading does not check, such as the digits of a date.
func (d *document) confirm() {
	var bad *toml.DecodeError
	switch err := toml.Unmarshal(d.data, &map[string]any{}); {
	case errors.As(err, &bad):
		line, column := bad.Position()
		at := d.offset(line, column)
		d.refuse(span{at, at + 1}, syntaxRemedy, "not TOML here: %s", plainSyntax(strings.TrimPrefix(bad.Error(), "toml: ")))
	case err != nil:
		d.refuse(span{}, syntaxRemedy, "not TOML")
	}
}

// openTable returns the table of a [header].
func (d *document) openTable(path []part) *value {
	parent, last := d.descend(d.root, path[:len(path)-1], false), path[len(path)-1]
	e := parent.find(last.name)
	switch {
	case e == nil:
		t := &value{kind: kindTable, at: last.at, defined: true}
		parent.add(&entry{last.name, last.at, t})
		return t
	case e.value.kind == kindTable && !e.value.defined && !e.value.closed:
		e.value.defined, e.value.at, e.key = true, last.at, last.at
		return e.value
	}
	remedy := "put the keys of both together"
	if e.value.kind == kindArray {
		remedy = fmt.Sprintf("write [[%s]], with two brackets, each time", dotted(path))
	}
	d.refuse(last.at, remedy, "[%s] was already defined on line %d", dotted(path), d.line(e.key))
	if e.value.kind == kindTable {
		return e.value
	}
	return &value{kind: kindTable, at: last.at}
}

// addTable returns a new table for a [[header]].
func (d *document) addTable(path []part) *value {
	parent, last := d.descend(d.root, path[:len(path)-1], false), path[len(path)-1]
	t := &value{kind: kindTable, at: last.at, defined: true}
	e := parent.find(last.name)
	switch {
	case e == nil:
		list := &value{kind: kindArray, at: last.at, items: []*value{t}}
		parent.add(&entry{last.name, last.at, list})
	case e.value.kind == kindArray && !e.value.closed:
		e.value.items = append(e.value.items, t)
	default:
		d.refuse(last.at, fmt.Sprintf("write [[%s]], with two brackets, each time", dotted(path)),
			"%q was already defined on line %d in another form", dotted(path), d.line(e.key))
	}
	return t
}

// set puts one key = value into the table.
func (d *document) set(table *value, n *unstable.Node) {
	path := keyParts(n)
	last := path[len(path)-1]
	parent := d.descend(table, path[:len(path)-1], true)
	v := d.convert(n.Value(), d.valueSpan(n, last))
	if e := parent.find(last.name); e != nil {
		d.refuse(last.at, "remove one of the two", "%q was already set on line %d", dotted(path), d.line(e.key))
		return
	}
	parent.add(&entry{last.name, last.at, v})
}

// descend goes from a table along a path, making tables that are not there yet.
// byKey says that the path is of a dotted key, not of a header.
func (d *document) descend(t *value, path []part, byKey bool) *value {
	for i, p := range path {
		e := t.find(p.name)
		if e == nil {
			e = &entry{p.name, p.at, &value{kind: kindTable, at: p.at, defined: byKey}}
			t.add(e)
		}
		next := e.value
		if next.kind == kindArray && !next.closed && !byKey && len(next.items) > 0 {
			next = next.items[len(next.items)-1]
		}
		if next.kind != kindTable || next.closed {
			d.refuse(p.at, "give one of the two another name, or remove it", "%q was already set on line %d and is not a section", dotted(path[:i+1]), d.line(e.key))
			return &value{kind: kindTable, at: p.at}
		}
		t = next
	}
	return t
}

// convert copies a value out of the parser. The place at is used for values whose
// own place the parser does not tell.
func (d *document) convert(n *unstable.Node, at span) *value {
	if n.Raw.Length > 0 && n.Kind != unstable.InlineTable {
		at = span{int(n.Raw.Offset), int(n.Raw.Offset + n.Raw.Length)}
	}
	v := &value{at: at, text: string(n.Data)}
	switch n.Kind {
	case unstable.String:
		v.kind = kindString
	case unstable.Bool:
		v.kind = kindBool
	case unstable.Integer:
		v.kind = kindInteger
	case unstable.Float:
		v.kind = kindFloat
	case unstable.Array:
		v.kind, v.closed = kindArray, true
		for it := n.Children(); it.Next(); {
			item, place := it.Node(), at
			if item.Kind == unstable.InlineTable { // its own place is that of its brace
				place = span{int(item.Raw.Offset), int(item.Raw.Offset + item.Raw.Length)}
			}
			v.items = append(v.items, d.convert(item, place))
		}
	case unstable.InlineTable:
		v.kind, v.closed = kindTable, false
		for it := n.Children(); it.Next(); {
			d.set(v, it.Node())
		}
		v.closed = true
	default:
		v.kind = kindTime
	}
	return v
}

// keyParts copies the key of a key-value or header.
func keyParts(n *unstable.Node) []part {
	var path []part
	for it := n.Key(); it.Next(); {
		k := it.Node()
		from := int(k.Raw.Offset)
		path = append(path, part{string(k.Data), span{from, from + int(k.Raw.Length)}})
	}
	return path
}

// valueSpan returns the place of the value of a key-value: after the equals sign.
func (d *document) valueSpan(n *unstable.Node, last part) span {
	to := min(int(n.Raw.Offset+n.Raw.Length), len(d.data))
	from := min(last.at.to, to)
	for from < to && strings.IndexByte(" \t=", d.data[from]) >= 0 {
		from++
	}
	return span{from, to}
}

func dotted(path []part) string {
	names := make([]string, len(path))
	for i, p := range path {
		names[i] = p.name
	}
	return strings.Join(names, ".")
}

// refuse notes a problem with the document as TOML.
func (d *document) refuse(at span, remedy, format string, args ...any) {
	d.problems = append(d.problems, d.problem(at, remedy, fmt.Sprintf(format, args...)))
}

// problem describes a place of the file.
func (d *document) problem(at span, remedy, message string) Problem {
	from := min(max(at.from, 0), len(d.data))
	n := d.line(at)
	start, end := d.starts[n-1], len(d.data)
	if n < len(d.starts) {
		end = d.starts[n] - 1
	}
	line := strings.TrimSuffix(string(d.data[start:end]), "\r")
	p := Problem{
		File: d.name, Line: n, Column: utf8.RuneCount(d.data[start:from]) + 1,
		Message: message, Remedy: remedy,
	}
	if strings.TrimSpace(line) != "" {
		p.Excerpt = excerpt(line, from-start, at.to-start)
	}
	return p
}

// line returns the number of the line, from 1, on which a place begins.
func (d *document) line(at span) int {
	n, found := slices.BinarySearch(d.starts, at.from)
	if found {
		n++
	}
	return max(n, 1)
}

// offset returns the place of a line and column, the latter in bytes, both from 1.
func (d *document) offset(line, column int) int {
	start := d.starts[min(max(line, 1), len(d.starts))-1]
	return min(start+max(column-1, 0), len(d.data))
}
