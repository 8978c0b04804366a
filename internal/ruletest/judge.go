package ruletest

import (
	"fmt"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// What can be wrong with a rule.
const (
	Fails   = "it fails"
	Refused = "the table refuses what it returns"
	Differs = "sites end with different rows"
	Undoes  = "it undoes a write that knew all others"
)

// verdict is what a history showed.
type verdict struct {
	what   string // one of the above; "": nothing is wrong
	detail string
	call   *call // of the rule, when one call is at fault
	txs    []change.Transaction
	orders int
}

// call is a question to the rule.
type call struct {
	older, newer, base, got []change.Value
	err                     error
	what                    string
}

// watched is the policy with a rule that notes its first bad answer.
func (r *Rule) watched(bad **call) conflict.Policy {
	given, p := r.given(), r.Policy
	note := func(c call) {
		if *bad != nil {
			return
		}
		c.what = Fails
		for i := range c.got {
			if c.err == nil && c.got[i].State != change.Unchanged {
				if c.err = refuses(&r.Table.Columns[i], &r.Columns[i], c.got[i]); c.err != nil {
					c.what = Refused
				}
			}
		}
		if c.err != nil {
			*bad = &c
		}
	}
	one := func(v change.Value) []change.Value {
		image := make([]change.Value, len(r.Table.Columns))
		image[r.Column] = v
		return image
	}
	watch := *given
	watch.Row = func(t *change.Table, older, newer, base []change.Value) ([]change.Value, error) {
		got, err := given.Row(t, older, newer, base)
		note(call{older: older, newer: newer, base: base, got: got, err: err})
		return got, err
	}
	watch.Column = func(t *change.Table, i int, older, newer, base change.Value) (change.Value, error) {
		got, err := given.Column(t, i, older, newer, base)
		c := call{older: one(older), newer: one(newer), got: one(got), err: err}
		if base.State != change.Unchanged {
			c.base = one(base)
		}
		note(c)
		return got, err
	}
	if r.Column < 0 {
		p.Resolver = &watch
	} else {
		p.Columns = &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{
			r.Table.Columns[r.Column].Name: {Kind: conflict.ColumnResolver, Resolver: &watch},
		}}
	}
	return p
}

// judge runs a history and then lets its transactions arrive in every order.
func (r *Rule) judge(h *history) verdict {
	var bad *call
	p := r.watched(&bad)
	start, sites := r.begin(h), siteNames[:h.sites]
	places := r.play(h, p)
	v := verdict{}
	var logs [][]change.Transaction
	for _, at := range places {
		logs = append(logs, at.log)
		v.txs = append(v.txs, at.log...)
	}
	slices.SortFunc(v.txs, func(a, b change.Transaction) int {
		if (change.Version{HLC: a.HLC, Origin: a.Origin}).Less(change.Version{HLC: b.HLC, Origin: b.Origin}) {
			return -1
		}
		return 1
	})
	judge := func() bool {
		if bad != nil {
			v.what, v.detail, v.call = bad.what, bad.err.Error(), bad
		}
		return v.what == ""
	}
	if !judge() {
		return v
	}
	want := r.folded(p, start, v.txs)
	// An observer that writes nothing sees any order; the sites themselves those that fit
	// what they wrote.
	for _, self := range append([]change.Site{"an observer"}, sites...) {
		for _, compact := range []bool{false, true} {
			each(self, logs, sites, func(order []*change.Transaction) bool {
				v.orders++
				r.arrive(p, self, sites, start, order, compact, want, &v)
				return judge()
			})
			if v.what != "" {
				return v
			}
		}
	}
	return v
}

// begin is the row that all sites have at first.
func (r *Rule) begin(h *history) []change.Value {
	if h.start == nil {
		return nil
	}
	return r.row(h.start, nil)
}

// play runs a history and returns its sites.
func (r *Rule) play(h *history, p conflict.Policy) []*place {
	sites := siteNames[:h.sites]
	places := make([]*place, h.sites)
	for i := range places {
		places[i] = r.place(p, sites[i], sites, r.begin(h))
		places[i].compact = true
	}
	for i, s := range h.steps {
		at := places[s.site]
		switch {
		case s.from == s.site:
		case s.from >= 0:
			if log := places[s.from].log; at.had[sites[s.from]] < uint64(len(log)) {
				at.receive(&log[at.had[sites[s.from]]])
			}
		case at.err != nil: // the row waits for a person
		case s.gone:
			at.commit(uint64(i)+h.skew[s.site], nil)
		default:
			at.commit(uint64(i)+h.skew[s.site], r.row(s.set, at.row))
		}
	}
	return places
}

// folded is the row that all transactions make, by the fold alone.
func (r *Rule) folded(p conflict.Policy, start []change.Value, txs []change.Transaction) conflict.State {
	var writes []*conflict.Write
	for i := range txs {
		writes = append(writes, write(&txs[i]))
	}
	return conflict.Fold(p, conflict.State{Image: start, Table: r.Table}, writes)
}

// arrive lets transactions arrive at a site in an order.
func (r *Rule) arrive(p conflict.Policy, self change.Site, sites []change.Site, start []change.Value, order []*change.Transaction, compact bool, want conflict.State, v *verdict) {
	at := r.place(p, self, sites, start)
	at.compact = compact
	for n, t := range order {
		if t.Origin == self {
			if at.err == nil && !slices.Equal(at.row, t.Rows[0].Old) {
				v.what = Differs
				v.detail = fmt.Sprintf("%s wrote when its row was %s; after%s it is %s", self, rowText(r.Table, t.Rows[0].Old), names(order[:n]), rowText(r.Table, at.row))
				return
			}
			at.local(*t)
			at.err = nil
		} else {
			at.receive(t)
		}
		if last := knewAll(order[:n+1]); last != nil && at.err == nil && !slices.Equal(at.row, last.Rows[0].New) {
			v.what = Undoes
			v.detail = fmt.Sprintf("%s wrote %s and knew all that had been written; then the row is %s", last.Origin, rowText(r.Table, last.Rows[0].New), rowText(r.Table, at.row))
			return
		}
	}
	if !slices.Equal(at.row, want.Image) {
		v.what = Differs
		v.detail = fmt.Sprintf("in version order the row is %s; arriving at %s as%s it is %s", rowText(r.Table, want.Image), self, names(order), rowText(r.Table, at.row))
	}
}

func names(order []*change.Transaction) string {
	var out string
	for _, t := range order {
		out += fmt.Sprintf(" %s%d", t.Origin, t.Seq)
	}
	return out
}

// knewAll returns the transaction that knew all the others of some; nil when none did.
func knewAll(txs []*change.Transaction) *change.Transaction {
	for _, t := range txs {
		if !slices.ContainsFunc(txs, func(o *change.Transaction) bool { return o != t && !t.Saw(o.Origin, o.Seq) }) {
			return t
		}
	}
	return nil
}

// each calls f with every order in which transactions can arrive at a site: those of an
// origin in their order, its own when it had seen what they say. f returns false to end it.
func each(self change.Site, logs [][]change.Transaction, sites []change.Site, f func([]*change.Transaction) bool) {
	var order []*change.Transaction
	had := make([]int, len(sites))
	total := 0
	for _, l := range logs {
		total += len(l)
	}
	allowed := func(i int) bool {
		for j, s := range sites {
			if s != self || had[j] == len(logs[j]) {
				continue
			}
			own := &logs[j][had[j]]
			for o, other := range sites { // what it has seen stands before it, nothing else
				if i == j && o != j && own.Seen[other] != uint64(had[o]) || i != j && o == i && own.Seen[other] <= uint64(had[o]) {
					return false
				}
			}
		}
		return true
	}
	var next func() bool
	next = func() bool {
		if len(order) == total {
			return f(order)
		}
		for i := range logs {
			if had[i] == len(logs[i]) || !allowed(i) {
				continue
			}
			order = append(order, &logs[i][had[i]])
			had[i]++
			more := next()
			had[i]--
			order = order[:len(order)-1]
			if !more {
				return false
			}
		}
		return true
	}
	next()
}
