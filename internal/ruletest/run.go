package ruletest

import "context"

// Report is what histories showed.
type Report struct {
	Histories int             `json:"histories"`
	Orders    int             `json:"orders"` // in which they arrived, one by one
	Broken    *Counterexample `json:"broken"` // null: nothing broke the rule
}

// Histories tries n random histories from a seed on, and stops at the first that breaks
// the rule. progress is called after each. Its error is ctx's.
func (r *Rule) Histories(ctx context.Context, first, n uint64, progress func(done uint64)) (Report, error) {
	var report Report
	for i := range n {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		h := r.draw(first + i)
		v := r.judge(h)
		report.Histories++
		report.Orders += v.orders
		if v.what != "" {
			small, shown := r.shrink(h, v.what)
			report.Broken = r.tell(first+i, small, shown)
			return report, nil
		}
		progress(i + 1)
	}
	return report, nil
}
