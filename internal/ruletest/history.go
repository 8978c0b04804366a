package ruletest

import (
	"math/rand/v2"
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// siteNames are those of the sites of a history.
var siteNames = []change.Site{"a", "b", "c"}

// history is what applications did, and what was delivered in between. It can be run
// whatever is taken out of it.
type history struct {
	sites int
	start []int // of the row that all sites begin with, an index into each column's values; nil: there is none
	skew  [3]uint64
	steps []step
}

// step is one thing that happens at a site.
type step struct {
	site int
	from int // delivers the next transaction of this site; -1: an application writes
	gone bool
	set  []int // by column an index into its values, -1: it is left as it is
}

// draw makes a history up: the same of the same seed.
func (r *Rule) draw(seed uint64) *history {
	rnd := rand.New(rand.NewPCG(seed, 0x5eed))
	h := &history{sites: 2 + int(seed%2)}
	any := func() []int {
		set := make([]int, len(r.Columns))
		for i := range set {
			set[i] = rnd.IntN(len(r.Columns[i].Values))
		}
		return set
	}
	if rnd.IntN(4) > 0 {
		h.start = any()
	}
	for i := range h.skew {
		h.skew[i] = rnd.Uint64N(6)
	}
	for writes := 2 + rnd.IntN(4); writes > 0; {
		s := step{site: rnd.IntN(h.sites), from: -1}
		if rnd.IntN(3) == 0 {
			s.from = rnd.IntN(h.sites)
			h.steps = append(h.steps, s)
			continue
		}
		writes--
		if s.gone = rnd.IntN(6) == 0; !s.gone {
			s.set = any()
			for i := range s.set {
				if rnd.IntN(3) == 0 {
					s.set[i] = -1
				}
			}
		}
		h.steps = append(h.steps, s)
	}
	return h
}

func (h *history) clone() *history {
	out := *h
	out.start = slices.Clone(h.start)
	out.steps = slices.Clone(h.steps)
	for i := range out.steps {
		out.steps[i].set = slices.Clone(out.steps[i].set)
	}
	return &out
}

// row makes an image of indices; what they leave is as in under.
func (r *Rule) row(set []int, under []change.Value) []change.Value {
	image := make([]change.Value, len(r.Columns))
	for i := range image {
		switch {
		case r.Table.IsKey(i):
			image[i] = r.Columns[i].Values[0]
		case set[i] >= 0:
			image[i] = r.Columns[i].Values[set[i]]
		case under != nil:
			image[i] = under[i]
		default:
			image[i] = r.Columns[i].Values[0]
		}
	}
	return image
}
