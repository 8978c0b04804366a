package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// Limits of one statement: its arrays are built in memory, here and at the server.
const (
	setRows  = 10_000
	setBytes = 16 << 20
)

// set is the writes that one statement can do: one table shape, one action, the same
// columns present.
type set struct {
	shape    *change.Table
	action   apply.Action
	verb     verb
	included []int
	partial  bool // a Put that lacks values: an update, and an insert where that finds nothing
	rows     []int

	table     *localTable
	statement *statement
}

// image is the one that the parameters of a set are taken from.
func (s *set) image(r *change.Row, old bool) []change.Value {
	switch {
	case old:
		return r.Old
	case s.verb == verbDelete || s.verb == verbRemove:
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
		if !s.statement.returns {
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
		if s.table, err = tx.db.local(ctx, s.shape, s.included); err != nil {
			return nil, err
		}
		s.statement = s.table.statement(s.shape, s.verb, s.included)
	}
	found = make([]bool, len(writes))
	b := tx.start(ctx, true)
	for _, s := range sets {
		if err = tx.addSet(b, writes, s, found); err != nil {
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
	var at *rowError
	for _, s := range sets {
		if errors.As(rerr, &at) && at.shape == s.shape {
			return nil, tx.failed(ctx, s.shape, s.included, s.table, rerr)
		}
	}
	return nil, rerr
}

// rowError says which table an error is about.
type rowError struct {
	shape *change.Table
	cause error
}

func (e *rowError) Error() string { return e.cause.Error() }
func (e *rowError) Unwrap() error { return e.cause }

// addSet adds the statements of a set to a batch: one, unless it is very large.
func (tx *targetTx) addSet(b *batch, writes []apply.Write, s *set, found []bool) error {
	for rest := s.rows; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && n < setRows && (n == 0 || size < setBytes) {
			for _, v := range writes[rest[n]].Row.New {
				size += len(v.Text)
			}
			n++
		}
		rows := rest[:n]
		rest = rest[n:]
		params, err := tx.lane.encode(s.statement, len(rows), func(i int, old bool) []change.Value {
			return s.image(writes[rows[i]].Row, old)
		})
		if err != nil {
			return &targetError{class: apply.ErrRejected, doing: "writing table " + s.shape.QualifiedName(), cause: &rowError{s.shape, err}}
		}
		q := query{sql: s.statement.sql, params: params, formats: s.statement.formats, results: s.statement.results,
			about: "table " + s.shape.QualifiedName(), shape: s.shape}
		if s.statement.returns {
			q.row = func(values [][]byte) error {
				i, err := ordinal(values, len(rows))
				if err == nil {
					found[rows[i]] = true
				}
				return err
			}
		}
		b.add(q)
	}
	return nil
}

// ordinal reads the first column of a result, the place of a row in its arrays.
func ordinal(values [][]byte, rows int) (int, error) {
	if len(values) == 0 || len(values[0]) != 8 {
		return 0, errors.New("a result without its ordinal")
	}
	n := binary.BigEndian.Uint64(values[0])
	if n < 1 || n > uint64(rows) {
		return 0, fmt.Errorf("ordinal %d of %d rows", n, rows)
	}
	return int(n - 1), nil
}

// encode builds the parameters of a statement for rows images. They are valid until
// the next call.
func (l *lane) encode(s *statement, rows int, image func(i int, old bool) []change.Value) ([][]byte, error) {
	buf := l.buf[:0]
	ends := make([]int, len(s.params))
	var err error
	for p, param := range s.params {
		buf = arrayHeader(buf, param.transfer, rows)
		for i := range rows {
			if buf, err = arrayElement(buf, param.transfer, param.kind, image(i, param.old)[param.column]); err != nil {
				return nil, fmt.Errorf("parameter %d: %w", p+1, err)
			}
		}
		ends[p] = len(buf)
	}
	params := make([][]byte, len(ends))
	at := 0
	for p, end := range ends {
		params[p] = buf[at:end:end]
		at = end
	}
	if cap(buf) <= setBytes {
		l.buf = buf
	} else {
		l.buf = nil // not to be kept for ever
	}
	return params, nil
}

// failed looks at an error of a statement on table t. When the table has changed
// since it was read, the error is what the table now lacks, or transient.
func (tx *targetTx) failed(ctx context.Context, shape *change.Table, included []int, t *localTable, err error) error {
	if err == nil || !staleSchema(err) && !errors.Is(err, errValue) {
		return err
	}
	cause := err
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		cause = pe
	}
	altered := &targetError{class: apply.ErrTransient, doing: "table " + shape.QualifiedName() + " was altered", cause: cause}
	now, rerr := tx.db.reload(ctx, shape.Schema, shape.Name)
	if rerr != nil {
		return rerr
	}
	if schema := misfit(now, shape, included); schema != nil {
		return schema
	}
	if pe != nil && pe.Code == "0A000" && pe.Routine == "RevalidateCachedQuery" {
		tx.lane.stale = true // the type of a prepared statement's result changed
		return altered
	}
	if now != t {
		return altered
	}
	return err
}
