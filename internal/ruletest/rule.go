package ruletest

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/conflict/resolver"
	"github.com/concord-db/concord/internal/change"
)

// Rule is what is examined.
type Rule struct {
	Name    string // of the function
	Table   *change.Table
	Column  int // of a rule for columns; -1: it is one for rows
	Policy  conflict.Policy
	Columns []Column // what a column takes, one for each of Table's
	Cases   []resolver.Case

	rules conflict.Rules // broken by tests of this package; zero: as designed
}

// Column says what a column takes.
type Column struct {
	NotNull bool
	Labels  []string // of an enumeration
	// Values are what histories write, the simplest first; never empty.
	Values []change.Value
}

// Options say what is known of a rule's rows beside what its script shows.
type Options struct {
	Table   *change.Table // nil: the columns that the cases show
	Columns []Column      // of Table, without Values
	Column  string        // the rule is one for this column; "": as the cases are
	Deletes conflict.Deletes
}

// ErrNoColumns says that nothing tells which columns a row has.
var ErrNoColumns = errors.New("nothing says which columns a row has")

// New prepares the examination of a function of a script.
func New(s *resolver.Script, function string, o Options) (*Rule, error) {
	given, err := s.Resolver(function)
	if err != nil {
		return nil, err
	}
	cases, err := s.Cases(function)
	if err != nil {
		return nil, err
	}
	r := &Rule{Name: function, Table: o.Table, Column: -1, Columns: o.Columns}
	if r.Table == nil {
		if r.Table = cases.Shape(); r.Table == nil {
			return nil, ErrNoColumns
		}
		r.Columns = make([]Column, len(r.Table.Columns))
	}
	if o.Column != "" || cases.OfColumn() {
		name := cmp.Or(o.Column, resolver.ValueColumn)
		if r.Column = r.Table.Column(name); r.Column < 0 {
			return nil, fmt.Errorf("table %s has no column %q", r.Table.QualifiedName(), name)
		}
		if r.Table.IsKey(r.Column) {
			return nil, fmt.Errorf("column %q is the key of %s: no rule decides it", name, r.Table.QualifiedName())
		}
		if cases.Len() > 0 && !cases.OfColumn() {
			return nil, fmt.Errorf("the cases of %s are rows, but it is to decide the column %q", function, name)
		}
	}
	if r.Cases, err = cases.In(r.Table, r.Column); err != nil {
		return nil, err
	}
	shown, err := cases.Values(r.Table, r.Column)
	if err != nil {
		return nil, err
	}
	for i := range r.Columns {
		r.Columns[i].Values = values(&r.Table.Columns[i], &r.Columns[i], shown[i], r.Table.IsKey(i))
	}
	r.Policy = conflict.Policy{Deletes: o.Deletes}
	if r.Column < 0 {
		r.Policy.Resolver = given
	} else {
		r.Policy.Columns = &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{
			r.Table.Columns[r.Column].Name: {Kind: conflict.ColumnResolver, Resolver: given},
		}}
	}
	return r, nil
}

// given is the rule itself.
func (r *Rule) given() *conflict.Resolver {
	if r.Column < 0 {
		return r.Policy.Resolver
	}
	return r.Policy.Columns.ByName[r.Table.Columns[r.Column].Name].Resolver
}
