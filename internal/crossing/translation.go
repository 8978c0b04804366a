package crossing

import (
	"fmt"
	"slices"
	"sync"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/logical"
)

// translation is how rows of one shape of a peer become rows of the table here.
type translation struct {
	table   *change.Table
	columns []converter // one per column
	any     bool        // some column is converted
}

// converter gives a value's text in the other type; nil: it is the same.
type converter func(text string) (string, error)

// row translates in place.
func (t *translation) row(r *change.Row) {
	r.Table = t.table
	if t.any {
		t.image(r.Old)
		t.image(r.New)
	}
}

func (t *translation) image(image []change.Value) {
	for i := range image {
		if t.columns[i] != nil && image[i].State == change.Present {
			image[i].Text = converted(t.columns[i], image[i].Text)
		}
	}
}

func converted(c converter, text string) string {
	if _, already := logical.MisfitOf(text); already {
		return text
	}
	out, err := c(text)
	if err != nil {
		return logical.Misfit(text, err)
	}
	return out
}

// pairing makes translations between two engines.
type pairing struct {
	from, to string // engines
	peer     change.Site
	policy   func(*change.Table) conflict.Policy
	refused  *refusals
}

// translate makes the translation of a peer's shape into the table here; nil: there is no
// such table.
func (p *pairing) translate(shape *change.Table, local *enginesite.Table) *translation {
	t := &translation{table: shape, columns: make([]converter, len(shape.Columns))}
	if local == nil {
		return t
	}
	table := *shape
	table.Columns = slices.Clone(shape.Columns)
	refuse := func(i int, here, why, remedy string) *translation {
		c := shape.Columns[i]
		return p.refuse(t, shape, fmt.Sprintf("column %s is %s at %s (%s) and %s here (%s): %s; %s", c.Name, c.Type, p.peer, p.from, here, p.to, why, remedy))
	}
	for i := range shape.Columns {
		c := &shape.Columns[i]
		at := slices.IndexFunc(local.Columns, func(l enginesite.Column) bool { return l.Name == c.Name })
		if at < 0 {
			if there := logical.Counterpart(logical.Of(p.from, *c), p.to); there != "" {
				table.Columns[i].Type = there // the target says what is missing
			}
			continue
		}
		l := &local.Columns[at]
		from, to := types(p.from, p.to, c, l)
		verdict := logical.Pair(from, to, shape.IsKey(i) || inUnique(shape, i))
		if verdict.Fit == logical.Refused {
			return refuse(i, l.Type, verdict.Reason, verdict.Remedy)
		}
		table.Columns[i].Type, table.Columns[i].Kind, table.Columns[i].Collation = l.Type, l.Kind, l.Collation
		if convert := logical.Converter(from, to); convert != nil {
			t.columns[i], t.any = convert, true
		}
	}
	table.Unique = p.unique(shape, t)
	t.table = table.Seal()
	policy := p.policy(t.table)
	for i := range shape.Columns {
		if why := sees(policy, shape, t, i); why != "" {
			return refuse(i, t.table.Columns[i].Type, why, "give the column one type at both sites, or the table another rule")
		}
	}
	return t
}

func types(fromEngine, toEngine string, c *change.Column, l *enginesite.Column) (from, to logical.Type) {
	from = logical.Of(fromEngine, *c)
	to = logical.Of(toEngine, change.Column{Name: l.Name, Type: l.Type, Kind: l.Kind, Collation: l.Collation})
	if to.Labels == nil {
		to.Labels = l.Labels
	}
	return from, to
}

func inUnique(t *change.Table, column int) bool {
	return slices.ContainsFunc(t.Unique, func(u change.UniqueKey) bool {
		return slices.ContainsFunc(u.Parts, func(p change.UniquePart) bool { return p.Column == column })
	})
}

// unique gives the unique keys of the peer with the values of their conditions as they
// are here.
func (p *pairing) unique(shape *change.Table, t *translation) []change.UniqueKey {
	out := slices.Clone(shape.Unique)
	for i := range out {
		out[i].Where = slices.Clone(out[i].Where)
		for j := range out[i].Where {
			w := &out[i].Where[j]
			convert := t.columns[w.Column]
			if convert == nil {
				continue
			}
			w.Values = slices.Clone(w.Values)
			for k, v := range w.Values {
				w.Values[k] = converted(convert, v)
			}
		}
	}
	return out
}

// refuse makes a translation whose table is held back with the reason.
func (p *pairing) refuse(t *translation, shape *change.Table, why string) *translation {
	held := *shape
	held.Columns = slices.Clone(shape.Columns)
	for i := range held.Columns { // no shape of a table here
		held.Columns[i].Type += " of " + p.from + ", which does not map"
	}
	t.table, t.columns, t.any = held.Seal(), make([]converter, len(shape.Columns)), false
	p.refused.add(t.table, &apply.SchemaError{Table: shape.QualifiedName(), Detail: why})
	return t
}

// sees says why a rule would not decide alike at both sites: it looks at a value that is
// another one there. "" when it does not.
func sees(policy conflict.Policy, shape *change.Table, t *translation, i int) string {
	from, to := &shape.Columns[i], &t.table.Columns[i]
	custom := policy.Resolver
	if policy.Columns != nil {
		switch rule := policy.Columns.Of(from.Name); rule.Kind {
		case conflict.ColumnResolver:
			custom = rule.Resolver
		case conflict.ColumnMin, conflict.ColumnMax:
			if text(from.Kind) && text(to.Kind) && from.Kind != to.Kind {
				return "min and max compare texts as the column does, and they compare differently"
			}
		}
	}
	if custom == nil || t.columns[i] == nil || seenAs(from.Kind) != "" && seenAs(from.Kind) == seenAs(to.Kind) {
		return ""
	}
	return fmt.Sprintf("the rule %s would see two different values", custom.Name)
}

func text(k change.Kind) bool {
	return k == change.KindText || k == change.KindPaddedText || k == change.KindFoldedText
}

// seenAs names what a custom rule takes a value for, of the kinds whose values it sees
// alike whatever their texts: numbers as numbers, moments without zeros at their end,
// documents in their one spelling, labels.
func seenAs(k change.Kind) string {
	switch k {
	case change.KindInt, change.KindDecimal, change.KindFloat, change.KindDate, change.KindTime, change.KindTimestamp, change.KindTimestampTZ, change.KindEnum:
		return fmt.Sprint(k)
	case change.KindJSON, change.KindJSONB:
		return "document"
	}
	return ""
}

// refusals are the shapes whose tables are held back, by their fingerprints.
type refusals struct{ byID sync.Map }

func (r *refusals) add(t *change.Table, e *apply.SchemaError) { r.byID.Store(t.ID, e) }

func (r *refusals) of(t *change.Table) *apply.SchemaError {
	if e, ok := r.byID.Load(t.ID); ok {
		return e.(*apply.SchemaError)
	}
	return nil
}
