package site

import (
	"sync"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Policy translates a rule's policy.
func Policy(p config.Policy) (conflict.Policy, error) { return conflict.ParsePolicy(p.String()) }

// policies looks up the policy of a table by its rule.
func (s *Site) policies() (func(*change.Table) conflict.Policy, error) {
	byRule := map[int]conflict.Policy{}
	for _, r := range s.cfg.Rules {
		if r.Excluded {
			continue
		}
		p, err := Policy(r.Policy)
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
