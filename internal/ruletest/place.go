package ruletest

import (
	"errors"
	"maps"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// place is a site: a row in a database, and the window that decides what comes from the
// others.
type place struct {
	rule    *Rule
	name    change.Site
	compact bool // the window is shortened as soon as it may be
	window  *conflict.Window
	row     []change.Value
	key     conflict.Key
	had     change.Seen // what has been applied
	clock   uint64
	log     []change.Transaction
	err     error // why the rule could not decide
}

func (r *Rule) place(p conflict.Policy, name change.Site, peers []change.Site, start []change.Value) *place {
	key := r.row(make([]int, len(r.Columns)), nil)
	k, _ := conflict.KeyOf(r.Table, key, nil)
	return &place{
		rule: r, name: name, key: k, row: start, had: change.Seen{},
		window: conflict.NewWindow(conflict.WindowOptions{
			Self: name, Peers: slices.DeleteFunc(slices.Clone(peers), func(s change.Site) bool { return s == name }),
			Policy: func(*change.Table) conflict.Policy { return p },
			Rules:  r.rules,
		}),
	}
}

// commit is what an application writes: nil is a delete. Nothing happens when it
// changes nothing.
func (p *place) commit(now uint64, image []change.Value) {
	if slices.Equal(image, p.row) {
		return
	}
	p.clock = max(p.clock+1, now)
	row := change.Row{Table: p.rule.Table, Op: change.Update, Old: p.row, New: image}
	switch {
	case p.row == nil:
		row.Op = change.Insert
	case image == nil:
		row.Op = change.Delete
	}
	p.local(change.Transaction{Origin: p.name, Seq: uint64(len(p.log)) + 1, HLC: p.clock, Seen: maps.Clone(p.had), Rows: []change.Row{row}})
}

// local is what the log says of a commit.
func (p *place) local(t change.Transaction) {
	p.log = append(p.log, t)
	p.row = t.Rows[0].New
	p.window.AddLocal(&t)
	if p.compact {
		p.window.Compact()
	}
}

// write is what a transaction wrote.
func write(t *change.Transaction) *conflict.Write {
	r := &t.Rows[0]
	return &conflict.Write{Tx: conflict.TxOf(t), Op: r.Op, Image: r.New, Old: conflict.OldOf(r), Table: r.Table}
}

// errPartial: a row cannot be made whole from what was logged; it is parked.
var errPartial = errors.New("partial image")

// receive applies a transaction of another site as the agents do.
func (p *place) receive(t *change.Transaction) {
	w := write(t)
	d := p.window.Decide(p.rule.Table, p.key, []*conflict.Write{w}, w.Image)
	switch {
	case d.Err != nil:
		p.err = d.Err
	case d.Partial:
		p.err = errPartial
	case !d.Keep:
		p.row, p.err = d.State, nil
	}
	p.window.Applied(p.rule.Table, p.key, []*conflict.Write{w}, p.row != nil && d.Known)
	p.had[t.Origin] = t.Seq
	p.clock = max(p.clock, t.HLC)
	if p.compact {
		p.window.SelfSaw(t.Origin, t.Seq)
		p.window.Settled(t.Origin, t.Seq, t.Seen)
		p.window.Compact()
	}
}
