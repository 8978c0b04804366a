package ruletest

import "slices"

// shrinkTrials bounds how long a history is made smaller.
const shrinkTrials = 4000

// shrink makes a history that shows something as small as it can be made: no step, no
// changed column and no value less simple than it needs.
func (r *Rule) shrink(h *history, what string) (*history, verdict) {
	best, trials := h, 0
	shown := r.judge(h)
	try := func(smaller *history) bool {
		if trials++; trials > shrinkTrials {
			return false
		}
		v := r.judge(smaller)
		if v.what != what {
			return false
		}
		best, shown = smaller, v
		return true
	}
	for again := true; again && trials < shrinkTrials; {
		again = false
		for i := len(best.steps) - 1; i >= 0; i-- {
			smaller := best.clone()
			smaller.steps = slices.Delete(smaller.steps, i, i+1)
			again = try(smaller) || again
		}
		for i := range best.skew {
			if best.skew[i] > 0 {
				smaller := best.clone()
				smaller.skew[i] = 0
				again = try(smaller) || again
			}
		}
		again = r.simplify(best.start, func(set []int) bool {
			smaller := best.clone()
			smaller.start = set
			return try(smaller)
		}) || again
		for i := range best.steps {
			again = r.simplify(best.steps[i].set, func(set []int) bool {
				smaller := best.clone()
				smaller.steps[i].set = set
				return try(smaller)
			}) || again
		}
	}
	try(best.withoutIdle())
	return best, shown
}

// simplify tries simpler values, and to leave columns alone.
func (r *Rule) simplify(set []int, try func([]int) bool) bool {
	any := false
	for i := range set {
		if r.Table.IsKey(i) {
			continue
		}
		for simpler := -1; simpler < set[i]; simpler++ {
			smaller := slices.Clone(set)
			if smaller[i] = simpler; try(smaller) {
				set, any = smaller, true
				break
			}
		}
	}
	return any
}

// withoutIdle leaves out the sites at which nothing happens, as long as two are left.
func (h *history) withoutIdle() *history {
	out := h.clone()
	for idle := out.sites - 1; idle >= 0 && out.sites > 2; idle-- {
		if slices.ContainsFunc(out.steps, func(s step) bool { return s.site == idle || s.from == idle }) {
			continue
		}
		out.sites--
		copy(out.skew[idle:], out.skew[idle+1:])
		for i := range out.steps {
			if s := &out.steps[i]; s.site > idle {
				s.site--
			}
			if s := &out.steps[i]; s.from > idle {
				s.from--
			}
		}
	}
	return out
}
