package conflict

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// ColumnKind is the rule for one column that both sides wrote.
type ColumnKind uint8

// The rules for columns. What a side did not change is not written by it: the other
// side's value stays, whatever the rule.
const (
	ColumnLast     ColumnKind = iota // the greater version
	ColumnFirst                      // the lesser version
	ColumnPrefer                     // ColumnRule.Site's
	ColumnSum                        // both changes, added up exactly
	ColumnMin                        // the lesser value
	ColumnMax                        // the greater value
	ColumnUnion                      // of a set: what either side added or removed
	ColumnResolver                   // ColumnRule.Resolver's
)

var columnWords = map[ColumnKind]string{
	ColumnLast: "last_write_wins", ColumnFirst: "first_write_wins", ColumnSum: "sum",
	ColumnMin: "min", ColumnMax: "max", ColumnUnion: "union",
}

// ColumnRule says how a column changed on both sides is settled.
type ColumnRule struct {
	Kind     ColumnKind
	Site     change.Site // for ColumnPrefer
	Resolver *Resolver   // for ColumnResolver
}

// String gives the rule in the words of the configuration.
func (r ColumnRule) String() string {
	switch r.Kind {
	case ColumnPrefer:
		return "prefer:" + string(r.Site)
	case ColumnResolver:
		return r.Resolver.Name
	}
	return columnWords[r.Kind]
}

// ColumnRules are the rules of a table's columns. They are shared and never changed.
type ColumnRules struct {
	ByName map[string]ColumnRule
	Other  ColumnRule // of columns that are not named: "*"
}

// Of returns the rule of a column.
func (c *ColumnRules) Of(name string) ColumnRule {
	if r, ok := c.ByName[name]; ok {
		return r
	}
	return c.Other
}

// String gives the rules in the words of the configuration, the same for equal rules.
func (c *ColumnRules) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.ByName)) {
		parts = append(parts, name+" = "+c.ByName[name].String())
	}
	return "columns{" + strings.Join(append(parts, "* = "+c.Other.String()), ", ") + "}"
}

// resolves reports whether some column is decided by a custom rule.
func (c *ColumnRules) resolves() bool {
	for _, r := range c.ByName {
		if r.Kind == ColumnResolver {
			return true
		}
	}
	return c.Other.Kind == ColumnResolver
}

// Resolver is a custom rule for two rows, or two values of a column, that did not
// know each other. Its functions are pure: they give the same at every site. older is
// the state so far in version order, newer what the write made, base the state at the
// last point that both knew. They are asked only when both rows exist.
type Resolver struct {
	Name string // "orders.star:order_status"
	Hash uint64 // of the script's text
	// Row returns the row; nil removes it. base is nil when there was no row, or when a
	// truncate came next. nil when the rule is one for columns.
	Row func(t *change.Table, older, newer, base []change.Value) ([]change.Value, error)
	// Column returns the value of the column at an index. base is unchanged when there
	// was no row. nil when the rule is one for rows.
	Column func(t *change.Table, column int, older, newer, base change.Value) (change.Value, error)
}

// merge is the step of a policy with columns: what w changed, on the state. Both rows
// exist and w did not know all that made the state.
func (f *folding) merge(w *Write, after []change.Value) State {
	out := make([]change.Value, len(after))
	var before State
	if f.commons != nil {
		if before = f.common().in(w.Table); before.Err != nil {
			return before
		}
	}
	for i := range out {
		c := &w.Table.Columns[i]
		state := valueAt(f.state.Image, i)
		if w.Table.IsKey(i) {
			out[i] = after[i]
			continue
		}
		switch changed, ok := w.changed(i); {
		case !ok:
			continue // it was not logged whole: not known
		case !changed:
			out[i] = state
			continue
		}
		v, err := f.column(w, i, state, after[i], valueAt(before.Image, i))
		if err != nil {
			return State{Err: fmt.Errorf("column %s: %w", c.Name, err)}
		}
		out[i] = v
	}
	return State{Image: out, Table: w.Table}
}

// column settles one column that w changed.
func (f *folding) column(w *Write, i int, state, after, base change.Value) (change.Value, error) {
	column := &w.Table.Columns[i]
	rule := f.policy.Columns.Of(column.Name)
	if state.State == change.Unchanged || after.State == change.Unchanged {
		if rule.Kind == ColumnLast {
			return after, nil
		}
		return change.Value{}, nil
	}
	if f.columns != nil && f.columns.seenBy(w.Tx, column.Name, "") && rule.Kind != ColumnSum && rule.Kind != ColumnUnion {
		return after, nil // nobody else changed the column
	}
	switch rule.Kind {
	case ColumnFirst:
		return state, nil
	case ColumnPrefer:
		if w.Tx.Origin != rule.Site && !f.columns.seenBy(w.Tx, column.Name, rule.Site) {
			return state, nil
		}
	case ColumnSum:
		return sum(column, state, w.old(i), after)
	case ColumnMin:
		return lesser(column, state, after)
	case ColumnMax:
		return greater(column, state, after)
	case ColumnUnion:
		return union(column, state, w.old(i), after)
	case ColumnResolver:
		v, err := rule.Resolver.Column(w.Table, i, state, after, base)
		if err != nil {
			return v, fmt.Errorf("rule %s: %w", rule.Resolver.Name, err)
		}
		return v, nil
	}
	return after, nil
}

// changed reports whether w changed column i; ok is false when the log does not say.
// An insert writes every column.
func (w *Write) changed(i int) (changed, ok bool) {
	if w.Old == nil {
		if w.Op == change.Update && valueAt(w.Image, i).State == change.Unchanged {
			return false, true
		}
		return true, w.Op == change.Insert
	}
	old, image := valueAt(w.Old, i), valueAt(w.Image, i)
	switch {
	case image.State == change.Unchanged:
		return false, true
	case old.State == change.Unchanged:
		return true, w.Op == change.Insert
	}
	return old != image, true
}

// old is column i before w: NULL when w made the row.
func (w *Write) old(i int) change.Value {
	if v := valueAt(w.Old, i); v.State != change.Unchanged {
		return v
	}
	return change.NullValue()
}

func valueAt(image []change.Value, i int) change.Value {
	if i < len(image) {
		return image[i]
	}
	return change.Value{}
}

// columnWrites are the earlier writes, by the column they changed.
type columnWrites struct {
	byName map[string]known
	whole  known // deletes, and writes of which the log does not say
}

// asks reports whether some rule asks who wrote a column. A sum and a union do not:
// the change of a write that knew the state makes of it what it wrote.
func (c *ColumnRules) asks() bool {
	asks := func(r ColumnRule) bool {
		return r.Kind != ColumnLast && r.Kind != ColumnSum && r.Kind != ColumnUnion
	}
	for _, r := range c.ByName {
		if asks(r) {
			return true
		}
	}
	return asks(c.Other)
}

func (c *columnWrites) note(w *Write) {
	if w.Op == change.Delete || w.Table == nil {
		c.whole.add(w.Tx)
		return
	}
	for i := range w.Table.Columns {
		if changed, ok := w.changed(i); ok && !changed {
			continue
		}
		k := c.byName[w.Table.Columns[i].Name]
		k.add(w.Tx)
		c.byName[w.Table.Columns[i].Name] = k
	}
}

// seenBy reports whether t knew of all earlier writes of a column, of origin only if
// that is not "".
func (c *columnWrites) seenBy(t *Tx, name string, origin change.Site) bool {
	column, whole := c.byName[name], c.whole
	if origin != "" {
		column, whole = column.of(origin), whole.of(origin)
	}
	return column.seenBy(t) && whole.seenBy(t)
}
