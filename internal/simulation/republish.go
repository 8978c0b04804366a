package simulation

import (
	"context"
	"fmt"
	"slices"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// Republish implements apply.RowTarget: a local transaction whose log has the row whole.
func (t *target) Republish(_ context.Context, table *change.Table, key []change.Value, parked []apply.Parked) (bool, error) {
	return t.atRow("republish", table, key, func(s *session, id rowID, now []change.Value) bool {
		if now == nil {
			return false
		}
		shape := t.db.shapes[id.table]
		s.rows = append(s.rows, change.Row{Table: shape, Op: change.Update, New: slices.Clone(now)})
		if shape.Full {
			s.rows[0].Old = now
		}
		if t.lean != nil && t.lean() {
			s.rows[0].New[1], s.rows[0].New[2] = change.Value{}, change.Value{}
		}
		s.install(record{local: true, rows: s.rows, at: t.clock()})
		t.db.unpark(parked)
		t.db.flushed = len(t.db.log)
		t.db.wake()
		return true
	})
}

// UnparkVacant implements apply.RowTarget.
func (t *target) UnparkVacant(_ context.Context, table *change.Table, key []change.Value, parked []apply.Parked) (bool, error) {
	return t.atRow("unpark vacant", table, key, func(s *session, _ rowID, now []change.Value) bool {
		if now != nil {
			return false
		}
		t.db.flushed = len(t.db.log)
		t.db.unpark(parked)
		t.db.wake()
		return true
	})
}

// atRow runs f with the row locked, in a session of its own.
func (t *target) atRow(point string, table *change.Table, key []change.Value, f func(*session, rowID, []change.Value) bool) (bool, error) {
	if err := t.around(point); err != nil {
		return false, err
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	s := t.db.session()
	defer s.end()
	id := keyOf(table, key)
	if err := s.lock(id); err != nil {
		return false, transient(err)
	}
	return f(s, id, s.get(id)), nil
}

// Unpark implements apply.RowTx.
func (x *targetTx) Unpark(_ context.Context, parked []apply.Parked) error {
	leave, err := x.enter("unpark")
	if err != nil {
		return err
	}
	defer leave()
	x.unparked = append(x.unparked, parked...)
	return nil
}

// parkedName names a parked change, as the primary key of a table of them does.
type parkedName struct {
	origin change.Site
	epoch  uint32
	seq    uint64
	index  int
}

func nameOf(p *apply.Parked) parkedName { return parkedName{p.Origin, p.Epoch, p.Seq, p.Index} }

// park adds parked changes. Holds db.mu.
func (db *Database) park(parked []apply.Parked) {
	names := map[parkedName]bool{}
	for i := range db.parked {
		names[nameOf(&db.parked[i])] = true
	}
	for i := range parked {
		if name := nameOf(&parked[i]); names[name] {
			db.broken = append(db.broken, fmt.Sprintf("two parked changes have one name: %v", name))
		} else {
			names[name] = true
		}
	}
	db.parked = slices.Concat(db.parked, parked)
}

// unpark removes parked changes. Holds db.mu.
func (db *Database) unpark(parked []apply.Parked) {
	gone := map[parkedName]bool{}
	for i := range parked {
		gone[nameOf(&parked[i])] = true
	}
	if len(gone) > 0 {
		db.parked = slices.DeleteFunc(slices.Clone(db.parked), func(p apply.Parked) bool { return gone[nameOf(&p)] })
	}
}

// askStep lets a site ask for the rows that it waits for. It reports how many it does.
func (s *site) askStep() (waiting int, err error) {
	if s.agents.at[s.name] {
		return 0, nil
	}
	s.agents.at[s.name] = true
	a := s.agents
	defer func() { a.at[s.name] = false }()
	s.depth++
	defer func() { s.depth-- }()
	if s.depth == 1 {
		s.pauses, s.busy, s.budget = 0, 0, 20
	}
	return a.apply.AskRows(a.ctx())
}

// askRows carries requests to another site. Requests and replies may be lost.
func (s *site) askRows(_ context.Context, of change.Site, requests []change.RowRequest) ([]change.RowReply, error) {
	w := s.w
	to := w.site(of)
	if w.mutation == RowsUnasked || !w.calm && w.partition.cuts(s.name, of) || w.chance(5) {
		return nil, fmt.Errorf("%w: %s does not hear", apply.ErrTransient, of)
	}
	var replies []change.RowReply
	err := apply.ErrTransient
	w.survive(to, func() error {
		replies, err = to.agents.apply.GiveRows(to.agents.ctx(), requests)
		return err
	})
	w.trace(s, "asks %s for %d rows above %v: %v %v", of, len(requests), requests[0].Above, replies, err)
	if err == nil && w.chance(5) {
		return nil, fmt.Errorf("%w: the reply of %s is lost", apply.ErrTransient, of)
	}
	return replies, err
}
