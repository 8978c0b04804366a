package simulation

import (
	"fmt"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// fold is the fold of a mutation that breaks a rule for columns or a custom rule; nil:
// the fold is as designed.
func (m Mutation) fold(at change.Site) func(conflict.Policy, conflict.State, []*conflict.Write, int) conflict.State {
	type (
		policy = conflict.Policy
		state  = conflict.State
		write  = conflict.Write
	)
	switch m {
	case ImageSummed:
		return func(p policy, base state, writes []*write, _ int) state {
			return conflict.Fold(unsummed(p), base, writes)
		}
	case SumRounded:
		return func(p policy, base state, writes []*write, _ int) state {
			return rounded(conflict.Fold(p, base, writes))
		}
	case BaseMoved:
		return func(p policy, base state, writes []*write, _ int) state {
			if last := writes[len(writes)-1]; last.Old != nil {
				base = state{Image: last.Old, Table: last.Table}
			}
			return conflict.Fold(p, base, writes)
		}
	case BaseForgotten:
		return func(p policy, base state, writes []*write, _ int) state {
			return conflict.Fold(rebased(p, writes[len(writes)-1].Old), base, writes)
		}
	case SidesSwapped:
		if at != "s0" {
			return nil
		}
		return func(p policy, base state, writes []*write, _ int) state {
			return conflict.Fold(swapped(p), base, writes)
		}
	case FailureDecided:
		return func(p policy, base state, writes []*write, _ int) state {
			s := conflict.Fold(p, base, writes)
			if s.Err != nil {
				p.Columns, p.Resolver = nil, nil
				s = conflict.Fold(p, base, writes)
			}
			return s
		}
	}
	return nil
}

// withColumns returns p with other rules for its columns.
func withColumns(p conflict.Policy, change func(conflict.ColumnRule) conflict.ColumnRule) conflict.Policy {
	if p.Columns == nil {
		return p
	}
	c := &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{}, Other: change(p.Columns.Other)}
	for name, rule := range p.Columns.ByName {
		c.ByName[name] = change(rule)
	}
	p.Columns = c
	return p
}

func unsummed(p conflict.Policy) conflict.Policy {
	return withColumns(p, func(r conflict.ColumnRule) conflict.ColumnRule {
		if r.Kind == conflict.ColumnSum {
			return conflict.ColumnRule{}
		}
		return r
	})
}

// rounded drops the hundredths of a price that no application has written.
func rounded(s conflict.State) conflict.State {
	if s.Table != stockTable || s.Image == nil || s.Image[2].State != change.Present {
		return s
	}
	s.Image = append([]change.Value(nil), s.Image...)
	s.Image[2] = change.TextValue(fmt.Sprintf("%.1f0", float64(hundredths(s.Image[2]))/100))
	return s
}

// swapped gives the rules of p their rows the wrong way round.
func swapped(p conflict.Policy) conflict.Policy {
	if r := p.Resolver; r != nil {
		p.Resolver = &conflict.Resolver{Name: r.Name, Row: func(t *change.Table, older, newer, base []change.Value) ([]change.Value, error) {
			return r.Row(t, newer, older, base)
		}}
	}
	return withColumns(p, func(rule conflict.ColumnRule) conflict.ColumnRule {
		if r := rule.Resolver; r != nil {
			rule.Resolver = &conflict.Resolver{Name: r.Name, Column: func(t *change.Table, column int, older, newer, base change.Value) (change.Value, error) {
				return r.Column(t, column, newer, older, base)
			}}
		}
		return rule
	})
}

// rebased tells the rules of p another base.
func rebased(p conflict.Policy, other []change.Value) conflict.Policy {
	if r := p.Resolver; r != nil {
		p.Resolver = &conflict.Resolver{Name: r.Name, Row: func(t *change.Table, older, newer, _ []change.Value) ([]change.Value, error) {
			return r.Row(t, older, newer, other)
		}}
	}
	return p
}
