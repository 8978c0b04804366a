package resolver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/concord-db/concord/internal/change"
)

// A script may say beside a rule what the rule is to make of certain rows:
//
//	test_order_status = [
//	    {
//	        "name":  "shipped stays shipped",          # optional
//	        "older": {"id": 1, "status": "shipped"},
//	        "newer": {"id": 1, "status": "paid"},
//	        "base":  {"id": 1, "status": "new"},       # left out: there was none
//	        "want":  {"status": "shipped"},            # the columns that matter; None: no row
//	    },
//	    {"older": …, "newer": …, "fails": "no idea"},  # what the message contains
//	]
//
// For a rule of a column they are values instead of rows. test_values gives, by column,
// the values that are tried beside those of the cases; for a rule of a column without
// a table the column is called "value".
const (
	casesPrefix = "test_"
	valuesName  = "test_values"
	// ValueColumn is the column of a rule for columns of which no table is known.
	ValueColumn = "value"
)

// Cases are what a script says of a rule.
type Cases struct {
	list   []*written
	values map[string][]starlark.Value
	names  []string // of values, in their order
	column bool
}

// written is a case as it is written.
type written struct {
	name                     string
	older, newer, base, want starlark.Value // nil: left out
	fails                    string
}

// Case is a case in the shape of a table. A row is nil when there is none.
type Case struct {
	Name               string
	Older, Newer, Base []change.Value
	// Want is what the rule should return; of values that are Unchanged nothing is said.
	Want  []change.Value
	Fails string // what the rule's error should contain; "": it should not fail
}

// Cases reads what the script says of the rule that a function makes; there may be none.
func (s *Script) Cases(function string) (*Cases, error) {
	c := &Cases{values: map[string][]starlark.Value{}}
	if err := c.readValues(s.globals[valuesName]); err != nil {
		return nil, &Error{File: s.name, Message: err.Error()}
	}
	name := casesPrefix + function
	v, ok := s.globals[name]
	if !ok {
		return c, nil
	}
	list, ok := v.(starlark.Iterable)
	if !ok {
		return nil, &Error{File: s.name, Message: fmt.Sprintf("%s must be a list of cases, not a %s", name, v.Type())}
	}
	for v := range starlark.Elements(list) {
		at := fmt.Sprintf("%s[%d]", name, len(c.list))
		w, err := readCase(at, v)
		if err == nil {
			err = c.add(w)
		}
		if err != nil {
			return nil, &Error{File: s.name, Message: at + ": " + err.Error()}
		}
	}
	return c, nil
}

func (c *Cases) readValues(v starlark.Value) error {
	if v == nil {
		return nil
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return fmt.Errorf("%s must be a dict of columns with their values, not a %s", valuesName, v.Type())
	}
	for _, item := range d.Items() {
		name, named := starlark.AsString(item[0])
		list, listed := item[1].(starlark.Iterable)
		if !named || !listed {
			return fmt.Errorf("%s[%s] must be a list of values", valuesName, item[0])
		}
		c.names = append(c.names, name)
		for v := range starlark.Elements(list) {
			c.values[name] = append(c.values[name], v)
		}
	}
	return nil
}

func readCase(at string, v starlark.Value) (*written, error) {
	d, ok := v.(*starlark.Dict)
	if !ok {
		return nil, fmt.Errorf("a case is a dict, not a %s", v.Type())
	}
	w := &written{name: at}
	for _, item := range d.Items() {
		key, _ := starlark.AsString(item[0])
		text, isText := starlark.AsString(item[1])
		switch key {
		case "older":
			w.older = item[1]
		case "newer":
			w.newer = item[1]
		case "base":
			w.base = item[1]
		case "want":
			w.want = item[1]
		case "name", "fails":
			if !isText || text == "" {
				return nil, fmt.Errorf("%q must be a text", key)
			}
			if key == "name" {
				w.name += " (" + text + ")"
			} else {
				w.fails = text
			}
		default:
			return nil, fmt.Errorf("a case has older, newer, base, want, fails and name, not %s", item[0])
		}
	}
	switch {
	case w.older == nil || w.newer == nil:
		return nil, errors.New("older and newer are needed: a rule is asked only when there are two")
	case (w.want == nil) == (w.fails == ""):
		return nil, errors.New("say either what you want or with which words it fails")
	}
	return w, nil
}

func (c *Cases) add(w *written) error {
	_, row := w.older.(*starlark.Dict)
	if len(c.list) == 0 {
		c.column = !row
	}
	for _, v := range []starlark.Value{w.older, w.newer, w.base, w.want} {
		_, isRow := v.(*starlark.Dict)
		if v != nil && v != starlark.None && isRow == c.column {
			return errors.New("rows are dicts, for a rule of rows; for a rule of a column all are values")
		}
	}
	if !c.column && (w.older == starlark.None || w.newer == starlark.None) {
		return errors.New("older and newer are rows: a rule is asked only when there are two")
	}
	c.list = append(c.list, w)
	return nil
}

// Len is how many there are.
func (c *Cases) Len() int { return len(c.list) }

// OfColumn reports whether they are about a rule of a column.
func (c *Cases) OfColumn() bool { return c.column }

// shown calls f with the columns of every row that is written.
func (c *Cases) shown(f func(w *written, name string, v starlark.Value)) {
	for _, w := range c.list {
		for _, v := range []starlark.Value{w.older, w.newer, w.base, w.want} {
			if c.column && v != nil {
				f(w, ValueColumn, v)
			}
			if d, ok := v.(*starlark.Dict); ok && !c.column {
				for _, item := range d.Items() {
					name, _ := starlark.AsString(item[0])
					f(w, name, item[1])
				}
			}
		}
	}
	for _, name := range c.names {
		for _, v := range c.values[name] {
			f(nil, name, v)
		}
	}
}

// Shape is a table of the columns that the cases show, for when no other is known: nil
// when they show none. Its key is the column "id", else the first one that has the same
// value in all rows of each case, else one that is added.
func (c *Cases) Shape() *change.Table {
	t := &change.Table{Schema: "public", Name: "rows", Full: true}
	same := map[string]bool{}
	by := map[*written]map[string]string{}
	c.shown(func(w *written, name string, v starlark.Value) {
		i := t.Column(name)
		if i < 0 {
			i = len(t.Columns)
			t.Columns, same[name] = append(t.Columns, change.Column{Name: name}), !c.column
		}
		if k, ok := kinds[v.Type()]; ok && t.Columns[i].Type == "" {
			t.Columns[i].Kind, t.Columns[i].Type = k.kind, k.name
		}
		if by[w] == nil {
			by[w] = map[string]string{}
		}
		if had, ok := by[w][name]; ok && had != v.String() || v == starlark.None {
			same[name] = false
		}
		by[w][name] = v.String()
	})
	if len(t.Columns) == 0 {
		return nil
	}
	for i := range t.Columns {
		if t.Columns[i].Type == "" {
			t.Columns[i].Kind, t.Columns[i].Type = change.KindText, "text"
		}
	}
	key := t.Column("id")
	if key < 0 {
		key = slices.IndexFunc(t.Columns, func(c change.Column) bool { return same[c.Name] })
	}
	if key < 0 {
		key = 0
		t.Columns = slices.Insert(t.Columns, 0, change.Column{Name: "id", Kind: change.KindInt, Type: "bigint"})
	}
	t.Key = []int{key}
	return t.Seal()
}

// kinds are those of Starlark's types.
var kinds = map[string]struct {
	kind change.Kind
	name string
}{
	"int": {change.KindInt, "bigint"}, "decimal": {change.KindDecimal, "numeric"}, "bool": {change.KindBool, "boolean"},
	"float": {change.KindFloat, "double precision"}, "bytes": {change.KindBytes, "bytea"}, "string": {change.KindText, "text"},
}

// In returns the cases in the shape of a table; column is that of a rule for columns.
// Columns that a row does not name are NULL.
func (c *Cases) In(t *change.Table, column int) ([]Case, error) {
	var out []Case
	for _, w := range c.list {
		one := Case{Name: w.name, Fails: w.fails}
		for _, part := range []struct {
			image *[]change.Value
			v     starlark.Value
			rest  change.Value
		}{
			{&one.Older, w.older, change.NullValue()}, {&one.Newer, w.newer, change.NullValue()},
			{&one.Base, w.base, change.NullValue()}, {&one.Want, w.want, change.Value{}},
		} {
			var err error
			if *part.image, err = c.image(t, column, part.v, part.rest); err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// image is a row as it is written.
func (c *Cases) image(t *change.Table, column int, v starlark.Value, rest change.Value) ([]change.Value, error) {
	if v == nil || !c.column && v == starlark.None {
		return nil, nil
	}
	image := make([]change.Value, len(t.Columns))
	for i := range image {
		image[i] = rest
	}
	set := func(i int, v starlark.Value) (err error) {
		image[i], err = textOf(&t.Columns[i], v)
		return err
	}
	if c.column {
		return image, set(column, v)
	}
	for _, item := range v.(*starlark.Dict).Items() {
		name, _ := starlark.AsString(item[0])
		i := t.Column(name)
		if i < 0 {
			return nil, fmt.Errorf("table %s has no column %q; it has %s", t.QualifiedName(), name, columnNames(t))
		}
		if err := set(i, item[1]); err != nil {
			return nil, err
		}
	}
	return image, nil
}

func columnNames(t *change.Table) string {
	var names []string
	for i := range t.Columns {
		names = append(names, t.Columns[i].Name)
	}
	return strings.Join(names, ", ")
}

// Values lists what is written of each column of a table, in its order, each once. What
// stands only in cases that fail is left out: it is known not to be decided.
func (c *Cases) Values(t *change.Table, column int) ([][]change.Value, error) {
	out := make([][]change.Value, len(t.Columns))
	var failed error
	c.shown(func(w *written, name string, v starlark.Value) {
		if w != nil && w.fails != "" {
			return
		}
		i := t.Column(name)
		if c.column && name == ValueColumn {
			i = column
		}
		if i < 0 {
			failed = errors.Join(failed, fmt.Errorf("%s: table %s has no column %q; it has %s", valuesName, t.QualifiedName(), name, columnNames(t)))
			return
		}
		x, err := textOf(&t.Columns[i], v)
		if err != nil {
			failed = errors.Join(failed, err)
		} else if !slices.Contains(out[i], x) {
			out[i] = append(out[i], x)
		}
	})
	return out, failed
}
