package resolver

import (
	"fmt"

	"go.starlark.net/starlark"

	"github.com/concord-db/concord/internal/change"
)

// row is a row as a rule sees it: row.column, row["column"], row.replace(column = …).
// It cannot be changed.
type row struct {
	table  *change.Table
	values []starlark.Value
}

var (
	_ starlark.HasAttrs        = (*row)(nil)
	_ starlark.IterableMapping = (*row)(nil)
)

// rowOf makes a row of an image; None of nil.
func rowOf(t *change.Table, image []change.Value) (starlark.Value, error) {
	if image == nil {
		return starlark.None, nil
	}
	r := &row{table: t, values: make([]starlark.Value, len(t.Columns))}
	for i := range t.Columns {
		v, err := valueOf(&t.Columns[i], image[i])
		if err != nil {
			return nil, err
		}
		r.values[i] = v
	}
	return r, nil
}

func (r *row) String() string {
	s := "row("
	for i := range r.values {
		if i > 0 {
			s += ", "
		}
		s += r.table.Columns[i].Name + " = " + r.values[i].String()
	}
	return s + ")"
}

func (r *row) Type() string          { return "row" }
func (r *row) Freeze()               {}
func (r *row) Truth() starlark.Bool  { return true }
func (r *row) Hash() (uint32, error) { return 0, fmt.Errorf("a row cannot be a key") }

// AttrNames implements starlark.HasAttrs.
func (r *row) AttrNames() []string {
	names := []string{"replace"}
	for i := range r.table.Columns {
		names = append(names, r.table.Columns[i].Name)
	}
	return names
}

// Attr implements starlark.HasAttrs. A column that is named "replace" is read as
// row["replace"].
func (r *row) Attr(name string) (starlark.Value, error) {
	if name == "replace" {
		return starlark.NewBuiltin(name, r.replace), nil
	}
	if i := r.table.Column(name); i >= 0 {
		return r.values[i], nil
	}
	return nil, nil
}

// Get implements starlark.Mapping.
func (r *row) Get(k starlark.Value) (starlark.Value, bool, error) {
	name, ok := starlark.AsString(k)
	if !ok {
		return nil, false, fmt.Errorf("columns are named by text, not by a %s", k.Type())
	}
	i := r.table.Column(name)
	if i < 0 {
		return nil, false, nil
	}
	return r.values[i], true, nil
}

// Items implements starlark.IterableMapping.
func (r *row) Items() []starlark.Tuple {
	items := make([]starlark.Tuple, len(r.values))
	for i := range r.values {
		items[i] = starlark.Tuple{starlark.String(r.table.Columns[i].Name), r.values[i]}
	}
	return items
}

// Iterate implements starlark.Iterable: the names of the columns.
func (r *row) Iterate() starlark.Iterator {
	names := make([]starlark.Value, len(r.table.Columns))
	for i := range names {
		names[i] = starlark.String(r.table.Columns[i].Name)
	}
	return starlark.NewList(names).Iterate()
}

// replace returns a row with some values replaced.
func (r *row) replace(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("replace takes columns by name: row.replace(status = \"paid\")")
	}
	out := &row{table: r.table, values: append([]starlark.Value(nil), r.values...)}
	for _, kv := range kwargs {
		name, _ := starlark.AsString(kv[0])
		i := r.table.Column(name)
		if i < 0 {
			return nil, fmt.Errorf("table %s has no column %q", r.table.QualifiedName(), name)
		}
		out.values[i] = kv[1]
	}
	return out, nil
}

// imageOf makes an image of what a rule returned: a row, a dict (a column it does not
// name is as in older), or None: no row.
func imageOf(t *change.Table, v starlark.Value, older, newer []change.Value) ([]change.Value, error) {
	if v == starlark.None {
		return nil, nil
	}
	m, ok := v.(starlark.IterableMapping)
	if !ok {
		return nil, fmt.Errorf("a rule returns a row, a dict or None, not a %s: %s", v.Type(), v)
	}
	image := append([]change.Value(nil), older...)
	for _, item := range m.Items() {
		name, ok := starlark.AsString(item[0])
		if !ok {
			return nil, fmt.Errorf("columns are named by text, not by a %s", item[0].Type())
		}
		i := t.Column(name)
		if i < 0 {
			return nil, fmt.Errorf("table %s has no column %q", t.QualifiedName(), name)
		}
		x, err := textOf(&t.Columns[i], item[1], older[i], newer[i])
		if err != nil {
			return nil, err
		}
		if t.IsKey(i) && x != older[i] && x != newer[i] {
			return nil, fmt.Errorf("column %s belongs to the key: a rule cannot change it", name)
		}
		image[i] = x
	}
	return image, nil
}
