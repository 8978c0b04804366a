package simulation

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// scramble makes a short text of its parts, in order: swapped or grouped otherwise
// they give another.
func scramble(parts ...string) (text string, sum uint32) {
	h := fnv.New32a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	sum = h.Sum32()
	return fmt.Sprintf("%08x", sum), sum
}

var errRefused = errors.New("the rule refuses these two")

// scrambleRow is a rule for rows that is neither symmetric nor associative. Now and
// then it removes the row, and now and then it fails.
var scrambleRow = &conflict.Resolver{
	Name: "rules.star:scramble_row", Hash: 1,
	Row: func(t *change.Table, older, newer, base []change.Value) ([]change.Value, error) {
		last := len(t.Columns) - 1
		text, sum := scramble(imageText(older), imageText(newer), imageText(base))
		switch {
		case sum%41 == 0:
			return nil, errRefused
		case sum%11 == 0:
			return nil, nil
		}
		out := append([]change.Value(nil), newer...)
		out[1] = change.TextValue(text)
		if sum%2 == 0 {
			out[last] = older[last]
		}
		return out, nil
	},
}

// scrambleColumn is the same for a column.
var scrambleColumn = &conflict.Resolver{
	Name: "rules.star:scramble_column", Hash: 2,
	Column: func(_ *change.Table, column int, older, newer, base change.Value) (change.Value, error) {
		text, sum := scramble(fmt.Sprint(column), imageText([]change.Value{older, newer, base}))
		if sum%61 == 0 {
			return change.Value{}, errRefused
		}
		return change.TextValue(text), nil
	},
}

// textRules are rules for the columns of the tables of texts.
var textRules = []*conflict.ColumnRules{
	{ByName: map[string]conflict.ColumnRule{"a": {Kind: conflict.ColumnFirst}}},
	{ByName: map[string]conflict.ColumnRule{"a": {Kind: conflict.ColumnPrefer, Site: "s1"}, "b": {Kind: conflict.ColumnResolver, Resolver: scrambleColumn}}},
}

// stockTable has a column for each rule that counts; old and new images whole.
var stockTable = (&change.Table{
	Schema: "s", Name: "stock", Key: []int{0}, Full: true,
	Columns: []change.Column{
		{Name: "id", Type: "text", Kind: change.KindText},
		{Name: "n", Type: "smallint", Kind: change.KindInt},
		{Name: "price", Type: "numeric(6,2)", Kind: change.KindDecimal},
		{Name: "low", Type: "integer", Kind: change.KindInt},
		{Name: "high", Type: "integer", Kind: change.KindInt},
		{Name: "tags", Type: "text[]", Kind: change.KindArray},
		{Name: "note", Type: "text", Kind: change.KindText},
	},
}).Seal()

// stockRules are the rules of stockTable: they differ in the note.
var stockRules = func() []*conflict.ColumnRules {
	var all []*conflict.ColumnRules
	for _, note := range []conflict.ColumnRule{
		{}, {Kind: conflict.ColumnFirst}, {Kind: conflict.ColumnPrefer, Site: "s1"},
		{Kind: conflict.ColumnResolver, Resolver: scrambleColumn},
	} {
		all = append(all, &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{
			"n": {Kind: conflict.ColumnSum}, "price": {Kind: conflict.ColumnSum}, "low": {Kind: conflict.ColumnMin},
			"high": {Kind: conflict.ColumnMax}, "tags": {Kind: conflict.ColumnUnion}, "note": note,
		}})
	}
	return all
}()

// Policies are all built ones, for a world whose sites are named s0, s1 …
func Policies() []conflict.Policy {
	out := basePolicies()
	for _, d := range []conflict.Deletes{conflict.DeletesAreWrites, conflict.DeleteWins, conflict.UpdateWins} {
		out = append(out, conflict.Policy{Deletes: d, Resolver: scrambleRow})
		for _, rules := range textRules {
			out = append(out, conflict.Policy{Deletes: d, Columns: rules})
		}
	}
	return out
}

// stockPolicy is that of stockTable: deletes are settled as the world says, the note
// as its seed does.
func (w *World) stockPolicy() conflict.Policy {
	return conflict.Policy{Deletes: w.policy.Deletes, Columns: stockRules[w.o.Seed%uint64(len(stockRules))]}
}

// asksBase reports whether a rule of the table is told what two writes had in common.
func (w *World) asksBase(t *change.Table) bool {
	p := w.policyOf(t)
	if p.Columns == nil {
		return p.Resolver != nil
	}
	return slices.ContainsFunc(t.Columns, func(c change.Column) bool { return p.Columns.Of(c.Name).Kind == conflict.ColumnResolver })
}

// mayFail reports whether a rule of the table may be unable to decide.
func (w *World) mayFail(t *change.Table) bool {
	p := w.policyOf(t)
	return p.Resolver != nil || p.Columns != nil
}
