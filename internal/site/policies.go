package site

import (
	"fmt"
	"sync"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Policy translates a rule's policy. The configuration was read by config.Load.
func Policy(cfg *config.Config, p config.Policy) (conflict.Policy, error) {
	out := conflict.Policy{Site: p.Prefer}
	switch p.Deletes {
	case config.DeleteWins:
		out.Deletes = conflict.DeleteWins
	case config.UpdateWins:
		out.Deletes = conflict.UpdateWins
	}
	switch p.Base {
	case config.FirstWriteWins:
		out.Base = conflict.FirstWriteWins
	case config.Prefer:
		out.Base = conflict.Prefer
	case config.ParkConflict:
		out.Base = conflict.Park
	}
	var err error
	if p.Resolver != "" {
		if out.Resolver, err = resolverOf(cfg, p.Resolver); err != nil {
			return out, err
		}
	}
	if p.Columns == nil {
		return out, nil
	}
	columns := &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{}}
	if columns.Other, err = columnRule(cfg, p.Columns.Other); err != nil {
		return out, err
	}
	for _, c := range p.Columns.Named {
		if columns.ByName[c.Name], err = columnRule(cfg, c.ColumnRule); err != nil {
			return out, err
		}
	}
	out.Columns = columns
	return out, nil
}

var columnKinds = map[string]conflict.ColumnKind{
	config.LastWriteWins: conflict.ColumnLast, config.FirstWriteWins: conflict.ColumnFirst, config.Prefer: conflict.ColumnPrefer,
	config.Sum: conflict.ColumnSum, config.Min: conflict.ColumnMin, config.Max: conflict.ColumnMax, config.Union: conflict.ColumnUnion,
	config.Custom: conflict.ColumnResolver,
}

func columnRule(cfg *config.Config, c config.ColumnRule) (r conflict.ColumnRule, err error) {
	kind, ok := columnKinds[c.Kind]
	if !ok {
		return r, fmt.Errorf("unknown rule for a column: %q", c.Kind)
	}
	r = conflict.ColumnRule{Kind: kind, Site: c.Prefer}
	if c.Resolver != "" {
		r.Resolver, err = resolverOf(cfg, c.Resolver)
	}
	return r, err
}

func resolverOf(cfg *config.Config, ref string) (*conflict.Resolver, error) {
	r, ok := cfg.Resolver(ref)
	if !ok {
		return nil, fmt.Errorf("the rule %s is not loaded", ref)
	}
	return r, nil
}

// policies looks up the policy of a table by its rule.
func (s *Site) policies() (func(*change.Table) conflict.Policy, error) {
	byRule := map[int]conflict.Policy{}
	for _, r := range s.cfg.Rules {
		if r.Excluded {
			continue
		}
		p, err := Policy(s.cfg, r.Policy)
		if err != nil {
			return nil, err
		}
		byRule[r.Index] = p
	}
	return byShape(func(t *change.Table) conflict.Policy {
		if r, ok := s.cfg.Rule(t.QualifiedName()); ok {
			return byRule[r.Index]
		}
		return conflict.Policy{}
	}), nil
}

// byShape remembers f by shape: shapes are few and shared, and rules do not change
// while the process lives.
func byShape[T any](f func(*change.Table) T) func(*change.Table) T {
	var cache sync.Map
	return func(t *change.Table) T {
		if v, ok := cache.Load(t); ok {
			return v.(T)
		}
		v := f(t)
		cache.Store(t, v)
		return v
	}
}

// byPeer remembers a rule by peer and shape.
func byPeer(peers []change.Site, f func(*change.Table, change.Site) bool) func(*change.Table, change.Site) bool {
	of := map[change.Site]func(*change.Table) bool{}
	for _, p := range peers {
		of[p] = byShape(func(t *change.Table) bool { return f(t, p) })
	}
	return func(t *change.Table, from change.Site) bool { return of[from](t) }
}
