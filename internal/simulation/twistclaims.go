package simulation

import (
	"iter"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// joint is the joint fold at a site of a mutation that breaks a rule for unique keys; nil: it is as
// designed.
func (m Mutation) joint(at change.Site) func(conflict.Policy, []*conflict.JointRow) []conflict.Collision {
	switch {
	case m == ClaimsIgnored, m == ClaimsHidden && at == "s1":
		return func(p conflict.Policy, rows []*conflict.JointRow) (out []conflict.Collision) {
			for _, r := range rows {
				out = append(out, conflict.FoldJoint(p, []*conflict.JointRow{r})...)
			}
			return out
		}
	case m == LesserClaim:
		return func(p conflict.Policy, rows []*conflict.JointRow) []conflict.Collision {
			if p.Base == conflict.LastWriteWins {
				p.Base = conflict.FirstWriteWins
			}
			return conflict.FoldJoint(p, rows)
		}
	}
	return nil
}

// store is where windows keep what they have no room for.
func (m Mutation) store() conflict.Store {
	if m == SpilledLost {
		return losing{&conflict.MemoryStore{}}
	}
	return &conflict.MemoryStore{}
}

// losing is a store that loses every third entry.
type losing struct{ conflict.Store }

func (s losing) Write(entries iter.Seq2[conflict.Key, []byte]) (conflict.Run, error) {
	n := 0
	return s.Store.Write(func(yield func(conflict.Key, []byte) bool) {
		for k, v := range entries {
			if n++; n%3 > 0 && !yield(k, v) {
				return
			}
		}
	})
}
