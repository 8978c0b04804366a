package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// verb is what a statement does with rows.
type verb uint8

const (
	verbInsert verb = iota + 1
	verbUpdate
	verbMove // an update that changes the key
	verbDelete
	verbRemove // a delete that does not say which rows it found
	verbPut
	verbRead
)

// verbs gives the statement of an action.
var verbs = map[apply.Action]verb{
	apply.Insert: verbInsert, apply.Update: verbUpdate, apply.Delete: verbDelete,
	apply.Put: verbPut, apply.Remove: verbRemove,
}

// planKey names a plan of a local table.
type planKey struct {
	shape   uint64 // change.Table.ID
	verb    verb
	columns string // the included columns, one byte each: '1' or '0'
}

// maxPlans bounds how many are remembered of a table.
const maxPlans = 1000

// bound is a column of a plan.
type bound struct {
	at   int // in the shape
	name string
	sent sent
	kind change.Kind
}

// plan is how rows of one shape are written or read, but for their values. Rows are
// found by their key alone, through its index.
type plan struct {
	verb   verb
	flavor flavor
	head   string  // what comes before the rows' values
	set    []bound // assigned by an update, inserted, or read
	key    []bound
	keep   string // assignments that keep a moment the server would set by itself
	tail   string // what comes after all rows
	all    string // of a delete: of many rows, up to its condition
	lock   string // locks rows before they are written and counts them: up to its condition
}

// plan returns that of the shape and the included columns. The table
// fits the shape.
func (t *localTable) plan(shape *change.Table, f flavor, v verb, included []int) *plan {
	mask := make([]byte, len(shape.Columns))
	for i := range mask {
		mask[i] = '0'
	}
	for _, i := range included {
		mask[i] = '1'
	}
	k := planKey{shape.ID, v, string(mask)}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.plans[k]
	if s == nil {
		if len(t.plans) >= maxPlans {
			clear(t.plans)
		}
		s = t.build(shape, f, v, included)
		t.plans[k] = s
	}
	return s
}

func (t *localTable) build(shape *change.Table, f flavor, v verb, included []int) *plan {
	s := &plan{verb: v, flavor: f}
	for _, i := range shape.Key {
		s.key = append(s.key, t.bind(shape, i))
	}
	s.lock = "SELECT count(*) FROM " + t.sql() + t.force + " WHERE "
	writable := slices.DeleteFunc(slices.Clone(included), func(i int) bool { return t.column(shape.Columns[i].Name).generated })
	bind := func(columns []int) {
		for _, i := range columns {
			s.set = append(s.set, t.bind(shape, i))
		}
	}
	switch v {
	case verbInsert, verbPut:
		bind(writable)
		t.insert(s, shape, writable)
	case verbUpdate:
		bind(settable(shape, writable))
		s.head, s.keep = "UPDATE "+t.sql()+" SET ", t.kept(shape, included)
	case verbMove:
		bind(writable)
		s.head, s.keep = "UPDATE "+t.sql()+" SET ", t.kept(shape, included)
	case verbDelete, verbRemove:
		s.head = "DELETE FROM " + t.sql() + " WHERE "
		s.all = "DELETE " + t.sql() + " FROM " + t.sql() + t.force + " WHERE "
	case verbRead:
		for i := range shape.Columns {
			if t.column(shape.Columns[i].Name) != nil {
				s.set = append(s.set, t.bind(shape, i))
			}
		}
		var names, again []string
		for _, b := range s.set {
			names = append(names, b.sent.selected(b.name))
			if b.sent == sentFloat || b.sent == sentDouble {
				again = append(again, b.name)
			}
		}
		names = append(names, again...)
		s.head, s.tail = "SELECT "+strings.Join(names, ", ")+" FROM "+t.sql()+" WHERE ", " FOR UPDATE"
	}
	return s
}

func (t *localTable) bind(shape *change.Table, i int) bound {
	c := t.column(shape.Columns[i].Name)
	return bound{at: i, name: quote(c.name), sent: sentOf(c.dataType), kind: shape.Columns[i].Kind}
}

// insert makes the statement that inserts, or updates what is there by its key. The
// latter only where no other unique index may find another row.
func (t *localTable) insert(s *plan, shape *change.Table, columns []int) {
	names := make([]string, len(s.set))
	for i, b := range s.set {
		names[i] = b.name
	}
	s.head = fmt.Sprintf("INSERT INTO %s (%s) VALUES ", t.sql(), strings.Join(names, ", "))
	if s.verb != verbPut {
		return
	}
	var set []string
	for _, i := range settable(shape, columns) {
		name := t.bind(shape, i).name
		if s.flavor == mySQL {
			set = append(set, name+" = concord_new."+name)
		} else {
			set = append(set, name+" = VALUES("+name+")")
		}
	}
	if s.flavor == mySQL {
		s.tail = " AS concord_new"
	}
	s.tail += " ON DUPLICATE KEY UPDATE " + strings.Join(set, ", ") + t.kept(shape, columns)
}

// settable lists the columns that an update assigns. Not those of the key, but where
// equal values of its type may be written differently, or where there is nothing else:
// then the row is written as it is.
func settable(shape *change.Table, writable []int) []int {
	set := slices.DeleteFunc(slices.Clone(writable), func(i int) bool { return shape.IsKey(i) && oneText(shape.Columns[i].Kind) })
	if len(set) == 0 && len(writable) > 0 {
		return writable[:1]
	}
	return set
}

// oneText reports whether equal values of a kind have the same text at every site,
// whatever its tables compare them by.
func oneText(k change.Kind) bool {
	switch k {
	case change.KindBool, change.KindInt, change.KindBytes, change.KindUUID, change.KindDate, change.KindTimestampTZ, change.KindTimestamp:
		return true
	}
	return false
}

// kept are assignments of the moments that an update does not have: the server sets some
// of them by itself when they are not named.
func (t *localTable) kept(shape *change.Table, included []int) string {
	var b strings.Builder
	for i := range t.columns {
		c := &t.columns[i]
		if c.generated || sentOf(c.dataType) != sentMoment {
			continue
		}
		if slices.ContainsFunc(included, func(i int) bool { return strings.EqualFold(shape.Columns[i].Name, c.name) }) {
			continue
		}
		fmt.Fprintf(&b, ", %[1]s = %[1]s", quote(c.name))
	}
	return b.String()
}

// appendRow appends what the statement says of one row: new is the image that values are
// taken from, old the one whose key names the row.
func (s *plan) appendRow(b []byte, old, new []change.Value) (_ []byte, err error) {
	switch s.verb {
	case verbInsert, verbPut:
		b = append(b, '(')
		for i, c := range s.set {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = appendValue(b, c.sent, c.kind, new[c.at]); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
		}
		return append(b, ')'), nil
	case verbUpdate, verbMove:
		b = append(b, s.head...)
		for i, c := range s.set {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(append(b, c.name...), " = "...)
			if b, err = appendValue(b, c.sent, c.kind, new[c.at]); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
		}
		b = append(append(b, s.keep...), " WHERE "...)
		return s.appendKey(b, old)
	}
	if b, err = s.appendKey(append(b, s.head...), old); err != nil {
		return nil, err
	}
	return append(b, s.tail...), nil
}

// appendKey appends the condition that names a row.
func (s *plan) appendKey(b []byte, image []change.Value) (_ []byte, err error) {
	for i, c := range s.key {
		if i > 0 {
			b = append(b, " AND "...)
		}
		b = append(append(b, c.name...), " = "...)
		if b, err = appendValue(b, c.sent, c.kind, image[c.at]); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return b, nil
}

// appendAny appends the condition that names several rows. Alternatives of conditions and
// a list of values are both looked up in the index, value by value.
func (s *plan) appendAny(b []byte, rows int, image func(i int) []change.Value) (_ []byte, err error) {
	if len(s.key) == 1 {
		b = append(append(b, s.key[0].name...), " IN ("...)
	}
	for i := range rows {
		if len(s.key) == 1 {
			if i > 0 {
				b = append(b, ", "...)
			}
			c := s.key[0]
			if b, err = appendValue(b, c.sent, c.kind, image(i)[c.at]); err != nil {
				return nil, fmt.Errorf("column %s: %w", c.name, err)
			}
			continue
		}
		if i > 0 {
			b = append(b, " OR "...)
		}
		if b, err = s.appendKey(append(b, '('), image(i)); err != nil {
			return nil, err
		}
		b = append(b, ')')
	}
	if len(s.key) == 1 {
		b = append(b, ')')
	}
	return b, nil
}

// covers reports whether the included columns are all that are written of the table.
func (t *localTable) covers(shape *change.Table, included []int) bool {
	for i := range t.columns {
		c := &t.columns[i]
		if !c.generated && !slices.ContainsFunc(included, func(i int) bool { return strings.EqualFold(shape.Columns[i].Name, c.name) }) {
			return false
		}
	}
	return true
}
