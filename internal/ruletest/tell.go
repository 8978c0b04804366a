package ruletest

import (
	"fmt"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// Counterexample is the smallest history found that breaks a rule.
type Counterexample struct {
	Seed   uint64   `json:"seed"`
	Sites  int      `json:"sites"`
	What   string   `json:"what"`   // Fails, Refused, Differs or Undoes
	Detail string   `json:"detail"` // the rule's own words, or the rows that differ
	Lines  []string `json:"history"`
	Call   []string `json:"call,omitempty"` // the question that the rule answered badly
}

// tell writes a history down in version order.
func (r *Rule) tell(seed uint64, h *history, v verdict) *Counterexample {
	c := &Counterexample{Seed: seed, Sites: h.sites, What: v.what, Detail: v.detail}
	if h.start != nil {
		c.Lines = append(c.Lines, "everywhere   "+rowText(r.Table, r.row(h.start, nil)))
	}
	for i := range v.txs {
		c.Lines = append(c.Lines, r.line(v.txs, i))
	}
	if q := v.call; q != nil {
		c.Call = []string{"older  " + r.side(q.older), "newer  " + r.side(q.newer), "base   " + r.side(q.base)}
		if q.what == Refused {
			c.Call = append(c.Call, "gives  "+r.side(q.got))
		}
	}
	return c
}

func (r *Rule) line(txs []change.Transaction, at int) string {
	t := &txs[at]
	row := &t.Rows[0]
	out := fmt.Sprintf("%s%d %-7s   ", t.Origin, t.Seq, row.Op)
	switch row.Op {
	case change.Insert:
		out += rowText(r.Table, row.New)
	case change.Update:
		var sets []string
		for i, v := range row.New {
			if v != row.Old[i] {
				c := &r.Table.Columns[i]
				sets = append(sets, fmt.Sprintf("%s: %s -> %s", c.Name, text(c, row.Old[i]), text(c, v)))
			}
		}
		out += strings.Join(sets, ", ")
	default:
		out += "the row"
	}
	var unknown []string
	for i := range txs[:at] {
		if o := &txs[i]; !t.Saw(o.Origin, o.Seq) {
			unknown = append(unknown, fmt.Sprintf("%s%d", o.Origin, o.Seq))
		}
	}
	if len(unknown) > 0 {
		out += ", not knowing " + strings.Join(unknown, ", ")
	}
	return out
}
