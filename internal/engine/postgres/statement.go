package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// verb is what a statement does with a set of rows.
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

// statementKey names a statement of a local table.
type statementKey struct {
	shape   uint64 // change.Table.ID
	verb    verb
	columns string // the included columns, one byte each: '1' or '0'
}

// param is one parameter of a statement: the array of one column's values.
type param struct {
	column   int  // index in the shape
	old      bool // of the row before: the key of a verbMove
	transfer transfer
	kind     change.Kind
}

// statement writes or reads a whole set of rows, however many: every parameter is an
// array with one element per row.
//
// Deletes and updates find rows by joining the arrays to the key's index, in the
// order of the arrays; so locks are taken in the order the caller chose. The session
// leaves the planner no other way (see laneSettings), because a plan made while a
// table was small would scan it when it is large.
type statement struct {
	sql     string
	params  []param
	returns bool  // rows come back: the ordinal of each row found first
	columns []int // verbRead: shape column of each further result column
	results []int16
	formats []int16
}

// statement returns the statement for the shape, of the included columns. The table
// fits the shape.
func (t *localTable) statement(shape *change.Table, v verb, included []int) *statement {
	mask := make([]byte, len(shape.Columns))
	for i := range mask {
		mask[i] = '0'
	}
	for _, i := range included {
		mask[i] = '1'
	}
	k := statementKey{shape.ID, v, string(mask)}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.statements[k]
	if s == nil {
		if len(t.statements) >= maxPrepared { // sessions forget theirs at as many
			clear(t.statements)
		}
		b := statementBuilder{table: t, shape: shape, included: included}
		s = b.build(v)
		s.formats = make([]int16, len(s.params))
		for i := range s.formats {
			s.formats[i] = 1
		}
		t.statements[k] = s
	}
	return s
}

// statementBuilder puts a statement together.
type statementBuilder struct {
	table    *localTable
	shape    *change.Table
	included []int
	s        statement
	from     []string // $1::text[], …
	names    []string // c1, …
}

func (b *statementBuilder) build(v verb) *statement {
	t := b.table
	switch v {
	case verbInsert, verbPut:
		b.insert(v == verbPut)
	case verbUpdate:
		columns := b.set()
		if len(columns) == 0 { // the row is there or not, and locked
			where := b.match(false)
			b.s.sql = fmt.Sprintf("SELECT s.n FROM %s JOIN %s AS t ON %s FOR NO KEY UPDATE OF t", b.source(true), t.only(), where)
			b.s.returns, b.s.results = true, []int16{1}
			break
		}
		set, where := b.assignments(columns), b.match(false)
		b.s.sql = fmt.Sprintf("UPDATE %s AS t SET %s FROM %s WHERE %s RETURNING s.n", t.only(), set, b.source(true), where)
		b.s.returns, b.s.results = true, []int16{1}
	case verbMove:
		set, where := b.assignments(b.moved()), b.match(true)
		b.s.sql = fmt.Sprintf("UPDATE %s AS t SET %s FROM %s WHERE %s RETURNING s.n", t.only(), set, b.source(true), where)
		b.s.returns, b.s.results = true, []int16{1}
	case verbDelete:
		where := b.match(false)
		b.s.sql = fmt.Sprintf("DELETE FROM %s AS t USING %s WHERE %s RETURNING s.n", t.only(), b.source(true), where)
		b.s.returns, b.s.results = true, []int16{1}
	case verbRemove:
		where := b.match(false)
		b.s.sql = fmt.Sprintf("DELETE FROM %s AS t USING %s WHERE %s", t.only(), b.source(false), where)
	case verbRead:
		b.read()
	}
	return &b.s
}

// value adds the parameter of a column and returns it as an expression of one row.
func (b *statementBuilder) value(column int, old bool) string {
	c := &b.shape.Columns[column]
	local := b.table.columns[c.Name]
	for i, p := range b.s.params {
		if p.column == column && p.old == old {
			return "s." + b.names[i] + local.cast()
		}
	}
	b.s.params = append(b.s.params, param{column, old, local.transfer, c.Kind})
	n := len(b.s.params)
	b.from = append(b.from, fmt.Sprintf("$%d::%s", n, local.transfer.array()))
	b.names = append(b.names, fmt.Sprintf("c%d", n))
	return "s." + b.names[n-1] + local.cast()
}

// source is the FROM item that yields one row per element. It comes last: all
// parameters are known.
func (b *statementBuilder) source(ordinal bool) string {
	names := strings.Join(b.names, ", ")
	with := ""
	if ordinal {
		with, names = " WITH ORDINALITY", names+", n"
	}
	return fmt.Sprintf("unnest(%s)%s AS s(%s)", strings.Join(b.from, ", "), with, names)
}

// match finds the row of the key.
func (b *statementBuilder) match(old bool) string {
	names := keyNames(b.shape)
	key := b.table.key(names)
	terms := make([]string, 0, len(names))
	for i, k := range b.shape.Key {
		column := "t." + quote(names[i])
		if c := b.table.columns[names[i]]; c.domain {
			column += "::" + c.base // the index has the operators of the base type
		}
		terms = append(terms, fmt.Sprintf("%s %s %s", column, key.operator(names[i]), b.value(k, old)))
	}
	return strings.Join(terms, " AND ")
}

func (k *localKey) operator(column string) string {
	for i, c := range k.columns {
		if c == column {
			return k.operators[i]
		}
	}
	return "="
}

// local is the local column for column i of the shape.
func (b *statementBuilder) local(i int) *localColumn { return b.table.columns[b.shape.Columns[i].Name] }

// writable lists the included columns that are not computed here.
func (b *statementBuilder) writable() []int {
	return slices.DeleteFunc(slices.Clone(b.included), func(i int) bool { return b.local(i).generated })
}

// set lists the columns that an update assigns. Not those of the key, but where equal
// values of its type may be written differently (1.0 and 1.00), or where there is
// nothing else: then the row is written as it is. And not an identity column that is
// GENERATED ALWAYS: no update can set one, nor could the origin's.
func (b *statementBuilder) set() []int {
	settable := slices.DeleteFunc(b.writable(), func(i int) bool { return b.local(i).always })
	set := slices.DeleteFunc(slices.Clone(settable), func(i int) bool {
		return b.shape.IsKey(i) && plainText(b.shape.Columns[i].Kind)
	})
	if len(set) == 0 && len(settable) > 0 {
		return settable[:1]
	}
	return set
}

// moved lists the columns that an update of the key assigns: the key above all. If a
// column of it is GENERATED ALWAYS here the server refuses.
func (b *statementBuilder) moved() []int {
	return slices.DeleteFunc(b.writable(), func(i int) bool { return b.local(i).always && !b.shape.IsKey(i) })
}

func (b *statementBuilder) assignments(columns []int) string {
	terms := make([]string, len(columns))
	for i, c := range columns {
		terms[i] = fmt.Sprintf("%s = %s", quote(b.shape.Columns[c].Name), b.value(c, false))
	}
	return strings.Join(terms, ", ")
}

func (b *statementBuilder) insert(put bool) {
	t := b.table
	var names, values []string
	overriding := ""
	for _, i := range b.writable() {
		name := b.shape.Columns[i].Name
		names = append(names, quote(name))
		values = append(values, b.value(i, false))
		if t.columns[name].always {
			overriding = "OVERRIDING SYSTEM VALUE "
		}
	}
	b.s.sql = fmt.Sprintf("INSERT INTO %s AS t (%s) %sSELECT %s FROM %s",
		t.sql(), strings.Join(names, ", "), overriding, strings.Join(values, ", "), b.source(false))
	if !put {
		return
	}
	key := keyNames(b.shape)
	for i := range key {
		key[i] = quote(key[i])
	}
	var set []string
	for _, i := range b.set() {
		name := quote(b.shape.Columns[i].Name)
		set = append(set, name+" = EXCLUDED."+name)
	}
	if len(set) == 0 {
		b.s.sql += fmt.Sprintf(" ON CONFLICT (%s) DO NOTHING", strings.Join(key, ", "))
		return
	}
	b.s.sql += fmt.Sprintf(" ON CONFLICT (%s) DO UPDATE SET %s", strings.Join(key, ", "), strings.Join(set, ", "))
}

// read locks as an update of the row would: enough to keep every other writer away,
// and out of the way of applications that only check a foreign key to it.
func (b *statementBuilder) read() {
	t := b.table
	where := b.match(false)
	selects := []string{"s.n"}
	b.s.returns, b.s.results = true, []int16{1}
	for i := range b.shape.Columns {
		name := b.shape.Columns[i].Name
		c := t.columns[name]
		if c == nil {
			continue
		}
		selects = append(selects, "t."+quote(name))
		b.s.columns = append(b.s.columns, i)
		format := int16(0)
		if c.transfer == transferBytes {
			format = 1
		}
		b.s.results = append(b.s.results, format)
	}
	b.s.sql = fmt.Sprintf("SELECT %s FROM %s JOIN %s AS t ON %s FOR NO KEY UPDATE OF t",
		strings.Join(selects, ", "), b.source(true), t.only(), where)
}
