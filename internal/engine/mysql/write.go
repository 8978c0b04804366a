package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// Limits of one statement.
const (
	setRows  = 1000
	setBytes = 1 << 20
	keyRows  = 500 // that a condition names
)

// togetherFrom is how many rows are worth another round trip.
const togetherFrom = 8

// set is the writes that are written alike: one table shape, one action, the same
// columns present.
type set struct {
	shape    *change.Table
	action   apply.Action
	verb     verb
	included []int
	partial  bool // a Put that is an update, and an insert where that finds nothing
	rows     []int

	table *localTable
	plan  *plan
	parts []part // when its rows have been counted
}

// part is some rows of a set, which have been locked.
type part struct {
	rows  []int
	found uint64 // how many there are
}

// image is the one that the values of a row are taken from.
func (s *set) image(r *change.Row) []change.Value {
	if s.verb == verbDelete || s.verb == verbRemove {
		return r.Key()
	}
	return r.New
}

// named is the image whose key names the row that is written.
func (s *set) named(r *change.Row) []change.Value {
	switch s.verb {
	case verbMove:
		return r.Old
	case verbDelete, verbRemove:
		return r.Key()
	}
	return r.New
}

// holds reports whether w belongs to the set.
func (s *set) holds(w *apply.Write) bool {
	if s.action != w.Action || s.verb == verbMove || s.shape != w.Row.Table && s.shape.ID != w.Row.Table.ID {
		return false
	}
	if s.verb == verbDelete || s.verb == verbRemove {
		return true
	}
	if w.Row.MovesKey() && w.Action == apply.Update {
		return false
	}
	n := 0
	for i := range w.Row.New {
		if w.Row.New[i].State == change.Unchanged {
			continue
		}
		if n >= len(s.included) || s.included[n] != i {
			return false
		}
		n++
	}
	return n == len(s.included)
}

// gather divides writes into sets, in the order in which their kind first appears.
func gather(writes []apply.Write) []*set {
	var sets []*set
	for i := range writes {
		w := &writes[i]
		var s *set
		for j := len(sets) - 1; j >= 0 && s == nil; j-- {
			if sets[j].holds(w) {
				s = sets[j]
			}
		}
		if s == nil {
			s = newSet(w)
			s.rows = make([]int, 0, min(len(writes)-i, setRows))
			sets = append(sets, s)
		}
		s.rows = append(s.rows, i)
	}
	return sets
}

func newSet(w *apply.Write) *set {
	r := w.Row
	s := &set{shape: r.Table, action: w.Action, verb: verbs[w.Action]}
	switch {
	case w.Action == apply.Delete || w.Action == apply.Remove:
		s.included = r.Table.Key
		return s
	case w.Action == apply.Update && r.MovesKey():
		s.verb = verbMove // one by one: a key may take the place of another that moved
	}
	for i := range r.New {
		if r.New[i].State != change.Unchanged {
			s.included = append(s.included, i)
		}
	}
	if s.verb == verbPut && len(s.included) < len(r.New) {
		s.verb, s.partial = verbUpdate, true
	}
	return s
}

// prepare finds the local table and the statement. A Put that another unique index than
// the key's could lead to the wrong row is an update, and an insert where that finds
// nothing: then the index refuses.
func (s *set) prepare(ctx context.Context, db *DB, f flavor) (err error) {
	if s.table, err = db.table(ctx, s.shape, s.included); err != nil {
		return err
	}
	if s.verb == verbPut && !s.table.onlyKey(keyNames(s.shape)) {
		s.verb, s.partial = verbUpdate, true
	}
	s.plan = s.table.plan(s.shape, f, s.verb, s.included)
	return nil
}

// Write implements apply.Tx.
func (tx *targetTx) Write(ctx context.Context, writes []apply.Write) (missing []int, err error) {
	if err := tx.check(); err != nil {
		return nil, err
	}
	if len(writes) == 0 {
		return nil, nil
	}
	sets := gather(writes)
	found, err := tx.write(ctx, writes, sets)
	if err != nil {
		return nil, err
	}
	var inserts []*set
	for _, s := range sets {
		if s.verb != verbUpdate && s.verb != verbMove && s.verb != verbDelete {
			continue
		}
		var none []int
		for _, i := range s.rows {
			if !found[i] {
				none = append(none, i)
			}
		}
		switch {
		case len(none) == 0:
		case s.partial:
			inserts = append(inserts, &set{shape: s.shape, action: s.action, verb: verbInsert, included: s.included, rows: none})
		default:
			missing = append(missing, none...)
		}
	}
	if len(inserts) > 0 {
		if _, err := tx.write(ctx, writes, inserts); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// write executes sets in one round trip and reports which writes found a row, of
// those that tell.
func (tx *targetTx) write(ctx context.Context, writes []apply.Write, sets []*set) (found []bool, err error) {
	for _, s := range sets {
		if err := s.prepare(ctx, tx.db, tx.lane.conn.flavor); err != nil {
			return nil, err
		}
	}
	if err := tx.count(ctx, writes, sets); err != nil {
		return nil, tx.about(ctx, sets, err)
	}
	found = make([]bool, len(writes))
	b := tx.start(ctx)
	for _, s := range sets {
		if err = b.addSet(writes, s, found); err != nil {
			break
		}
	}
	rerr := tx.run(ctx, b, "writing")
	if rerr == nil {
		rerr = err
	}
	if rerr == nil {
		return found, nil
	}
	return nil, tx.about(ctx, sets, rerr)
}

// about looks at an error of a set of sets.
func (tx *targetTx) about(ctx context.Context, sets []*set, err error) error {
	var at *rowError
	for _, s := range sets {
		if errors.As(err, &at) && at.shape == s.shape {
			return tx.failed(ctx, s.shape, s.included, s.table, err)
		}
	}
	return err
}

// together reports whether the rows of a set can be written by a statement for many of
// them when it is known that all are there. An update of all columns is then an insert
// that finds its rows.
func (s *set) together() bool {
	if len(s.rows) < togetherFrom {
		return false
	}
	switch s.verb {
	case verbDelete:
		return true
	case verbUpdate:
		return s.table.onlyKey(keyNames(s.shape)) && s.table.covers(s.shape, s.included)
	}
	return false
}

// count locks and counts the rows of the sets that can be written together.
func (tx *targetTx) count(ctx context.Context, writes []apply.Write, sets []*set) error {
	if tx.lane.patient || !slices.ContainsFunc(sets, (*set).together) {
		return nil
	}
	b := tx.start(ctx)
	var err error
	for _, s := range sets {
		if err != nil {
			break
		}
		if !s.together() {
			continue
		}
		for rows := range slices.Chunk(s.rows, keyRows) {
			s.parts = append(s.parts, part{rows: rows})
		}
		for i := range s.parts {
			p := &s.parts[i]
			q := query{about: "table " + s.shape.QualifiedName(), shape: s.shape, row: func(values []*string) (err error) {
				p.found, err = strconv.ParseUint(*values[0], 10, 64)
				return err
			}}
			if err = b.addLock(q, writes, s, p.rows); err != nil {
				break
			}
		}
	}
	if rerr := tx.run(ctx, b, "writing"); rerr != nil {
		return rerr
	}
	return err
}

// addLock adds the statement that locks rows, or fails at once.
func (b *batch) addLock(q query, writes []apply.Write, s *set, rows []int) error {
	return b.build(q, func(text []byte) ([]byte, error) {
		text, err := s.plan.appendAny(append(text, s.plan.lock...), len(rows), func(i int) []change.Value { return s.named(writes[rows[i]].Row) })
		return append(append(text, " FOR UPDATE"...), b.l.nowait()...), err
	})
}

// addSet adds the statements of a set to a batch. What was added when it fails is
// whole, and may be run.
func (b *batch) addSet(writes []apply.Write, s *set, found []bool) error {
	q := query{about: "table " + s.shape.QualifiedName(), shape: s.shape}
	for _, p := range s.parts {
		if err := b.addPart(q, writes, s, p, found); err != nil {
			return err
		}
	}
	if s.parts != nil {
		return nil
	}
	if s.verb != verbInsert && b.l.nowait() != "" {
		for rows := range slices.Chunk(s.rows, keyRows) {
			if err := b.addLock(q, writes, s, rows); err != nil {
				return err
			}
		}
	}
	switch s.verb {
	case verbInsert, verbPut:
		return b.addInserts(q, writes, s, s.rows)
	case verbRemove:
		for rows := range slices.Chunk(s.rows, keyRows) {
			if err := b.addDelete(q, writes, s, rows); err != nil {
				return err
			}
		}
		return nil
	}
	return b.addOneByOne(q, writes, s, s.rows, found)
}

// addPart adds the statements of rows that were counted: one for all when all are there.
func (b *batch) addPart(q query, writes []apply.Write, s *set, p part, found []bool) error {
	if p.found != uint64(len(p.rows)) {
		return b.addOneByOne(q, writes, s, p.rows, found)
	}
	for _, i := range p.rows {
		found[i] = true
	}
	if s.verb == verbDelete {
		return b.addDelete(q, writes, s, p.rows)
	}
	put := *s
	put.verb = verbPut
	put.plan = s.table.plan(s.shape, s.plan.flavor, verbPut, s.included)
	return b.addInserts(q, writes, &put, p.rows)
}

// addDelete adds a statement that deletes rows.
func (b *batch) addDelete(q query, writes []apply.Write, s *set, rows []int) error {
	return b.build(q, func(text []byte) ([]byte, error) {
		return s.plan.appendAny(append(text, s.plan.all...), len(rows), func(i int) []change.Value { return s.named(writes[rows[i]].Row) })
	})
}

// addOneByOne adds a statement for each row, which tells whether it found it.
func (b *batch) addOneByOne(q query, writes []apply.Write, s *set, rows []int, found []bool) error {
	for _, i := range rows {
		q := q
		q.done = func(n uint64) error {
			found[i] = n > 0
			return nil
		}
		if err := b.build(q, func(text []byte) ([]byte, error) {
			return s.plan.appendRow(text, s.named(writes[i].Row), s.image(writes[i].Row))
		}); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) addInserts(q query, writes []apply.Write, s *set, rows []int) error {
	most := min(setBytes, b.l.packet/2)
	for rest := rows; len(rest) > 0; {
		n := 0
		if err := b.build(q, func(text []byte) (_ []byte, err error) {
			from := len(text)
			text = append(text, s.plan.head...)
			for n < len(rest) && n < setRows {
				before := len(text)
				if n > 0 {
					text = append(text, ", "...)
				}
				if text, err = s.plan.appendRow(text, nil, writes[rest[n]].Row.New); err != nil {
					return nil, err
				}
				if n > 0 && len(text)-from > most { // this one goes with the next
					text = text[:before]
					break
				}
				n++
			}
			return append(text, s.plan.tail...), nil
		}); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// build adds the statement that f appends. When f fails nothing is added, and the error
// is the row's.
func (b *batch) build(q query, f func([]byte) ([]byte, error)) error {
	before, last, n := len(b.text), b.last, len(b.queries)
	b.open(q)
	text, err := f(b.text)
	if err != nil {
		b.text, b.last, b.queries = b.text[:before], last, b.queries[:n]
		return &targetError{class: apply.ErrRejected, doing: "writing " + q.about, cause: &rowError{q.shape, fmt.Errorf("encoding: %w", err)}}
	}
	b.text = text
	b.close()
	return nil
}
