package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// TableLocker is what a Tx must also do for the exact path: keep every other writer
// away from a table until the transaction ends.
type TableLocker interface {
	LockTable(ctx context.Context, table *change.Table) error
}

// rowwise executes one transaction in its own order, one row change at a time:
// for transactions that truncate or move keys, and to find the row that a database
// refuses. With savepoints a refused row is parked and the rest goes on.
type rowwise struct {
	try
	savepoints bool
	settled    map[conflict.Key]bool // a decision other than "apply" was carried out
	last       map[conflict.Key]int  // of tables with unique keys: the last row change of the key
	counted    map[int]bool          // of tables with unique keys: row changes that are counted
	blocked    map[conflict.Key]bool // parked in this transaction
	partial    map[conflict.Key]bool // of blocked: it waits for nothing but its row
}

func (t *rowwise) run(ctx context.Context) error {
	tx := t.g.first()
	for i := range tx.Rows {
		if r := &tx.Rows[i]; r.Op == change.Truncate && t.g.accepts(r.Table) {
			if l, ok := t.tx.(TableLocker); ok {
				if err := l.LockTable(ctx, r.Table); err != nil {
					return err
				}
			}
		}
	}
	if err := t.lockAndDecide(ctx); err != nil {
		return err
	}
	t.settled, t.blocked, t.partial, t.counted = map[conflict.Key]bool{}, map[conflict.Key]bool{}, map[conflict.Key]bool{}, map[int]bool{}
	healing := map[conflict.Key][]Parked{}
	for _, k := range t.g.keys {
		if t.waits(k) {
			t.blocked[k.key] = true
		} else {
			healing[k.key] = t.heals(k)
		}
	}
	t.findLast(tx)
	if err := t.write(ctx, t.vacate()); err != nil {
		return err
	}
	for i := range tx.Rows {
		r := &tx.Rows[i]
		if !t.g.accepts(r.Table) {
			continue
		}
		if err := t.one(ctx, tx, i, r); err != nil {
			return err
		}
	}
	t.recordCollisions()
	if err := t.write(ctx, t.restored()); err != nil {
		return err
	}
	if err := t.unvacated(ctx); err != nil {
		return err
	}
	for key, parked := range healing {
		if !t.blocked[key] {
			t.out.heal(key, parked)
		}
	}
	if err := t.hook("written"); err != nil {
		return err
	}
	return t.confirm(ctx)
}

// write executes writes that the whole transaction needs.
func (t *rowwise) write(ctx context.Context, writes []Write) error {
	missing, err := t.tx.Write(ctx, writes)
	switch {
	case errors.Is(err, ErrRejected): // an application has made such a row meanwhile
		return fmt.Errorf("%w: %w", errSurprise, err)
	case err == nil && len(missing) > 0:
		return errSurprise
	}
	return err
}

// unvacated brings rows back that were taken away for a moment and whose turn has not
// come, since what would have made them again is parked.
func (t *rowwise) unvacated(ctx context.Context) error {
	for _, k := range t.g.keys {
		if k.vacated == nil || k.current != nil || !t.blocked[k.key] {
			continue
		}
		if err := t.bring(ctx, k, k.vacated); err != nil {
			return err
		}
	}
	return nil
}

// one executes one row change, or parks it.
func (t *rowwise) one(ctx context.Context, tx *change.Transaction, index int, r *change.Row) error {
	if t.g.wiped.Covers(index, r) {
		t.out.applied++
		return nil
	}
	if r.Op == change.Truncate {
		return t.guarded(ctx, tx, index, nil, func() error { return t.truncate(ctx, r) })
	}
	works := []*keyWork{t.g.byKey[t.g.lastKey(r.Key(), r.Table)]}
	if r.MovesKey() {
		works = append(works, t.g.byKey[t.g.lastKey(r.New, r.Table)])
	}
	for _, k := range works {
		if t.blocked[k.key] {
			reason, message := t.behind(k, t.partial[k.key])
			if reason == ReasonPartial {
				t.recordOnce(k)
				t.block(works, t.partial)
			}
			t.parkRow(tx, index, reason, message, true)
			t.block(works, t.blocked)
			return nil
		}
		if p := t.l.agent.o.Policy(k.table); p.Base == conflict.Park && len(k.decision.Met) > 0 {
			t.recordMet(k, parkedByPolicy)
			t.parkRow(tx, index, ReasonPolicy, parkedByPolicy, false)
			t.block(works, t.blocked)
			return nil
		}
		if d := &k.decision; !d.Known && d.Err != nil {
			t.recordMet(k, disputed(d.Err))
			reason, message := undecided(d.Err)
			t.parkRow(tx, index, reason, message, false)
			t.block(works, t.blocked)
			return nil //nolint:nilerr // it is parked with the error
		}
	}
	return t.guarded(ctx, tx, index, works, func() error {
		if len(r.Table.Unique) > 0 {
			return t.net(ctx, index, works)
		}
		if len(works) == 2 {
			return t.move(ctx, r, works[0], works[1])
		}
		return t.plain(ctx, r, works[0])
	})
}

func (t *rowwise) block(works []*keyWork, as map[conflict.Key]bool) {
	for _, k := range works {
		as[k.key] = true
	}
}

// errPartial: a row must be written whole but not all of it was logged.
var errPartial = errors.New("partial image")

// guarded runs f inside a savepoint when asked, and parks the row change when the
// database refuses it, or when it cannot be made whole.
func (t *rowwise) guarded(ctx context.Context, tx *change.Transaction, index int, works []*keyWork, f func() error) error {
	before := t.out
	t.out.kept, t.out.merged = 0, 0
	defer func() { t.out.kept, t.out.merged = t.out.kept+before.kept, t.out.merged+before.merged }()
	if t.savepoints {
		if err := t.tx.Savepoint(ctx); err != nil {
			return err
		}
	}
	believed := make([]keyWork, len(works))
	settled := make([]bool, len(works))
	for i, k := range works {
		believed[i], settled[i] = *k, t.settled[k.key]
	}
	err := f()
	if err == nil {
		t.countOne(len(works))
		t.counted[index] = true
		return nil
	}
	partial := errors.Is(err, errPartial)
	var schema *SchemaError
	switch {
	case errors.As(err, &schema), !partial && !errors.Is(err, ErrRejected):
		return err
	case !t.savepoints && partial:
		return fmt.Errorf("%w: %w", ErrRejected, err) // half of it may be written: again, with savepoints
	case !t.savepoints:
		return err
	}
	if err := t.tx.RollbackTo(ctx); err != nil {
		return err
	}
	for i, k := range works { // the rows are as they were
		k.current, k.written = believed[i].current, believed[i].written
	}
	if partial {
		t.undo(before)
		for i, k := range works { // the rules have decided: it only has to wait
			if t.settled[k.key] = true; !settled[i] {
				t.recordMet(k, "")
			}
		}
		t.block(works, t.partial)
		if len(works) > 0 && len(works[0].table.Unique) > 0 {
			t.parkNet(tx, index, works, ReasonPartial, t.l.partial())
			return nil
		}
		t.parkRow(tx, index, ReasonPartial, t.l.partial(), false)
		t.block(works, t.blocked)
		return nil
	}
	for _, k := range works {
		now, rerr := t.tx.Read(ctx, k.table, [][]change.Value{k.image})
		if rerr != nil {
			return rerr
		}
		if (now[0] == nil) != (k.current == nil) {
			return errSurprise // someone else's row came or went: decide again
		}
	}
	if now, ferr := t.takenMeanwhile(ctx, works); now || ferr != nil {
		return errors.Join(ferr, errSurprise)
	}
	if o, seq, lacks := t.l.lacks(tx.Seen, nil); lacks && len(works) > 0 && len(works[0].table.Unique) > 0 {
		// What gave the value up may be in there.
		if t.l.stepping {
			return fmt.Errorf("%w: transaction %d of %s comes first", ErrBusy, seq, o)
		}
		return fmt.Errorf("%w: %s had applied transaction %d of %s, which is not here yet: %w", ErrTransient, t.l.from, seq, o, err)
	}
	if t.l.agent.o.Stop {
		return err
	}
	t.undo(before)
	if len(works) > 0 && len(works[0].table.Unique) > 0 {
		t.parkNet(tx, index, works, ReasonRejected, err.Error())
		return nil
	}
	t.parkRow(tx, index, ReasonRejected, err.Error(), false)
	t.block(works, t.blocked)
	return nil
}

// countOne counts one row change, of so many keys, by what became of them.
func (t *rowwise) countOne(keys int) {
	switch kept, merged := t.out.kept, t.out.merged; {
	case kept+merged == 0:
		t.out.applied++
	case kept == keys:
		t.out.kept, t.out.merged = 1, 0
	default:
		t.out.kept, t.out.merged = 0, 1
	}
}

// undo takes back what the row change under way recorded.
func (t *rowwise) undo(before result) {
	t.out = before
	t.out.kept, t.out.merged = 0, 0
}

// plain executes an insert, update or delete that keeps its key.
func (t *rowwise) plain(ctx context.Context, r *change.Row, k *keyWork) error {
	if !k.decision.Known {
		return t.carryOut(ctx, k)
	}
	t.recordOnce(k)
	return t.bring(ctx, k, conflict.Overlay(nil, r.New))
}

// carryOut brings the row to what was decided, once.
func (t *rowwise) carryOut(ctx context.Context, k *keyWork) error {
	d := &k.decision
	if t.settled[k.key] {
		if d.Keep {
			t.out.kept++
		} else {
			t.out.merged++
		}
		return nil
	}
	if !d.Keep && d.Partial {
		return errPartial
	}
	t.settled[k.key] = true
	if d.Keep {
		t.recordMet(k, "")
		t.out.kept++
		return nil
	}
	t.recordMet(k, "")
	if !sameImage(d.State, k.final) {
		t.out.merged++
	}
	return t.bring(ctx, k, d.State)
}

func (t *rowwise) recordOnce(k *keyWork) {
	if !t.settled[k.key] {
		t.settled[k.key] = true
		t.recordMet(k, "")
	}
}

// bring writes state over the row as it is believed to be, and remembers it.
func (t *rowwise) bring(ctx context.Context, k *keyWork, state []change.Value) error {
	if state != nil && k.current == nil && lacksValue(conflict.Overlay(k.vacated, state)) {
		return errPartial
	}
	w, ok := writeFor(k, state)
	if !ok {
		return nil
	}
	missing, err := t.tx.Write(ctx, []Write{w})
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return errSurprise
	}
	k.current = conflict.Overlay(orElse(k.current, k.vacated), state)
	if state == nil {
		k.current, k.written = nil, false
	}
	return nil
}

// move executes an update that changes the key: a delete of the old key and an
// insert of the new one, as one UPDATE where nothing stands against it.
func (t *rowwise) move(ctx context.Context, r *change.Row, from, to *keyWork) error {
	if from.decision.Known && to.decision.Known && from.current != nil && to.current == nil {
		t.recordOnce(from)
		t.recordOnce(to)
		missing, err := t.tx.Write(ctx, []Write{{Action: Update, Row: r}})
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return errSurprise
		}
		to.current, from.current = conflict.Overlay(from.current, r.New), nil
		to.written, from.written = true, false
		return nil
	}
	image := conflict.Overlay(from.current, r.New)
	if from.decision.Known {
		t.recordOnce(from)
		if err := t.bring(ctx, from, nil); err != nil {
			return err
		}
	} else if err := t.carryOut(ctx, from); err != nil {
		return err
	}
	if to.decision.Known {
		t.recordOnce(to)
		return t.bring(ctx, to, image)
	}
	if d := &to.decision; !d.Keep && d.Partial {
		d.State = conflict.Overlay(image, d.State)
		d.Partial = lacksValue(d.State)
	}
	return t.carryOut(ctx, to)
}
