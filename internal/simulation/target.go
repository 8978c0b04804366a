package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// target is the apply half of a Database.
type target struct {
	db      *Database
	overlap int
	// around is called before every call that reaches the database: the world goes on
	// there, and may fail the call.
	around func(point string) error
	// answer may lose the answer to a commit: before it (nothing happened) or after.
	answer func() (before, after error)
	// split breaks the rule that the checkpoint is of the same transaction: it is
	// called between the two and may fail.
	split func() error
	// forget drops the conflicts of a transaction, back moves a checkpoint back;
	// mutations. nil: never.
	forget, back func() bool
	clock        func() time.Time
	lean         func() bool // a row published again is not whole; a mutation. nil: never
}

func (t *target) Acquire(context.Context, change.Site) (func(), error) {
	return func() {}, t.around("acquire")
}

func (t *target) Checkpoints(context.Context) (map[change.Site]apply.Checkpoint, error) {
	if err := t.around("checkpoints"); err != nil {
		return nil, err
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	return maps.Clone(t.db.points), nil
}

func (t *target) Overlap() int { return t.overlap }

func (t *target) Parked(context.Context) ([]apply.Parked, error) {
	if err := t.around("parked"); err != nil {
		return nil, err
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	return append([]apply.Parked(nil), t.db.parked...), nil
}

func (t *target) Begin(_ context.Context, c apply.Checkpoint) (apply.Tx, error) {
	if err := t.around("begin"); err != nil {
		return nil, err
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	return &targetTx{target: t, c: c, s: t.db.session()}, nil
}

// Recorded implements apply.Recorder.
func (t *target) Recorded(_ context.Context, conflicts []apply.Conflict) ([]bool, error) {
	if err := t.around("recorded"); err != nil {
		return nil, err
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	there := map[meeting]bool{}
	for i := range t.db.conflicts {
		there[meetingOf(&t.db.conflicts[i])] = true
	}
	out := make([]bool, len(conflicts))
	for i := range conflicts {
		out[i] = there[meetingOf(&conflicts[i])]
	}
	return out, nil
}

// targetTx is a transaction of apply. A row that another session has locked makes it
// give way.
type targetTx struct {
	target    *target
	c         apply.Checkpoint
	s         *session
	conflicts []apply.Conflict
	parked    []apply.Parked
	unparked  []apply.Parked
	holds     []func(map[heldTable]apply.Hold)
	effects   []string
	marked    int // effects at the savepoint
}

// enter lets the world go on and then takes the database's lock.
func (x *targetTx) enter(point string) (leave func(), err error) {
	if err := x.target.around(point); err != nil {
		return nil, err
	}
	x.s.db.mu.Lock()
	if err := x.s.alive(); err != nil {
		x.s.db.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", apply.ErrTransient, err)
	}
	return x.s.db.mu.Unlock, nil
}

func transient(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", apply.ErrTransient, err)
}

func (x *targetTx) Write(_ context.Context, writes []apply.Write) (missing []int, err error) {
	leave, err := x.enter("write")
	if err != nil {
		return nil, err
	}
	defer leave()
	for i := range writes {
		if err := x.exists(writes[i].Row.Table); err != nil {
			return nil, err
		}
		found, err := x.write(&writes[i])
		if err != nil {
			return nil, err
		}
		if !found {
			missing = append(missing, i)
		}
	}
	return missing, nil
}

func keyOf(t *change.Table, image []change.Value) rowID {
	return rowID{t.QualifiedName(), image[t.Key[0]].Text}
}

// merge returns the row under with the values that image carries.
func merge(under, image []change.Value) []change.Value {
	out := append([]change.Value(nil), image...)
	for i := range out {
		if out[i].State == change.Unchanged {
			out[i] = change.NullValue() // the column's default
			if under != nil {
				out[i] = under[i]
			}
		}
	}
	return out
}

func (x *targetTx) write(w *apply.Write) (found bool, err error) {
	id := keyOf(w.Row.Table, w.Row.Key())
	action := w.Action
	now := x.s.get(id)
	switch action {
	case apply.Put:
		action = apply.Insert
		if now != nil {
			action = apply.Update
		}
	case apply.Remove:
		if now == nil {
			return true, nil
		}
		action = apply.Delete
	}
	if action == apply.Insert {
		id = keyOf(w.Row.Table, w.Row.New)
		now = x.s.get(id)
	} else if now == nil {
		return false, nil
	}
	if err := x.s.lock(id); err != nil {
		return false, transient(err)
	}
	switch action {
	case apply.Insert:
		if now != nil {
			return false, fmt.Errorf("%w: unique violation: %v", apply.ErrRejected, id)
		}
		if err := x.values(w.Row.Table, id, nil, merge(nil, w.Row.New)); err != nil {
			return false, err
		}
		x.s.put(id, merge(nil, w.Row.New))
	case apply.Delete:
		if err := x.values(w.Row.Table, id, now, nil); err != nil {
			return false, err
		}
		x.s.put(id, nil)
		return true, nil
	default:
		to := keyOf(w.Row.Table, w.Row.New)
		if to != id {
			if err := x.s.lock(to); err != nil {
				return false, transient(err)
			}
			if x.s.get(to) != nil {
				return false, fmt.Errorf("%w: unique violation: %v", apply.ErrRejected, to)
			}
		}
		if err := x.values(w.Row.Table, id, now, merge(now, w.Row.New)); err != nil {
			return false, err
		}
		if to != id {
			x.s.put(id, nil)
		}
		x.s.put(to, merge(now, w.Row.New))
	}
	if id.table == ledgerTable {
		x.effects = append(x.effects, id.key)
	}
	return true, nil
}

// values is lockValues as apply meets it.
func (x *targetTx) values(t *change.Table, id rowID, now, to []change.Value) error {
	err := x.s.lockValues(t, id, now, to)
	if errors.Is(err, errTaken) {
		return fmt.Errorf("%w: %w: %v %s", apply.ErrRejected, err, id, imageText(to))
	}
	return transient(err)
}

func (x *targetTx) Read(_ context.Context, table *change.Table, keys [][]change.Value) ([][]change.Value, error) {
	leave, err := x.enter("read")
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := x.exists(table); err != nil {
		return nil, err
	}
	out := make([][]change.Value, len(keys))
	for i, k := range keys {
		id := keyOf(table, k)
		if out[i] = x.s.get(id); out[i] == nil {
			continue // nothing there that could be locked
		}
		if err := x.s.lock(id); err != nil {
			return nil, transient(err)
		}
	}
	return out, nil
}

func (x *targetTx) LockTable(_ context.Context, table *change.Table) error {
	leave, err := x.enter("lock table")
	if err != nil {
		return err
	}
	defer leave()
	if err := x.exists(table); err != nil {
		return err
	}
	return transient(x.s.lockTable(table.QualifiedName()))
}

func (x *targetTx) Truncate(_ context.Context, table *change.Table, keep func([]change.Value) bool) error {
	leave, err := x.enter("truncate")
	if err != nil {
		return err
	}
	defer leave()
	if err := x.exists(table); err != nil {
		return err
	}
	if err := x.s.lockTable(table.QualifiedName()); err != nil {
		return transient(err)
	}
	for _, k := range x.s.seen(table.QualifiedName()) {
		id := rowID{table.QualifiedName(), k}
		image := make([]change.Value, len(table.Columns))
		image[table.Key[0]] = change.TextValue(k)
		if keep == nil || !keep(image) {
			x.s.put(id, nil)
		}
	}
	return nil
}

func (x *targetTx) LogPosition(context.Context) (change.Position, error) {
	leave, err := x.enter("position")
	if err != nil {
		return "", err
	}
	defer leave()
	x.s.db.flushed = len(x.s.db.log)
	x.s.db.wake()
	return positionOf(x.s.db.flushed), nil
}

func (x *targetTx) Savepoint(context.Context) error {
	leave, err := x.enter("savepoint")
	if err != nil {
		return err
	}
	defer leave()
	x.s.savepoint()
	x.marked = len(x.effects)
	return nil
}

func (x *targetTx) RollbackTo(context.Context) error {
	leave, err := x.enter("rollback to")
	if err != nil {
		return err
	}
	defer leave()
	x.effects = x.effects[:x.marked]
	return x.s.rollbackTo()
}

func (x *targetTx) Record(_ context.Context, conflicts []apply.Conflict, parked []apply.Parked) error {
	leave, err := x.enter("record")
	if err != nil {
		return err
	}
	defer leave()
	if x.target.forget == nil || !x.target.forget() {
		x.conflicts = append(x.conflicts, conflicts...)
	}
	x.parked = append(x.parked, parked...)
	return nil
}

func (x *targetTx) Commit(ctx context.Context) error {
	before, after := error(nil), error(nil)
	if x.target.answer != nil {
		if before, after = x.target.answer(); before != nil {
			x.Rollback(ctx)
			return before
		}
	}
	leave, err := x.enter("commit")
	if err != nil {
		return err
	}
	defer leave()
	db := x.s.db
	point := db.points[x.c.Origin]
	if point.Seq != x.c.Previous {
		return fmt.Errorf("%w: the checkpoint of %s is at %d, not at %d", apply.ErrFenced, x.c.Origin, point.Seq, x.c.Previous)
	}
	x.s.install(record{
		mark:  change.Mark{Origin: x.c.Origin, Epoch: x.c.Epoch, Seq: x.c.Seq, HLC: x.c.HLC},
		point: point, effects: x.effects,
	})
	x.commitHolds()
	db.conflicts = apply.Recorded(db.conflicts, x.conflicts)
	db.unpark(x.unparked)
	db.park(x.parked)
	for _, e := range x.effects {
		db.effects[e]++
	}
	x.s.end()
	db.wake()
	if x.target.split != nil {
		if err := x.target.split(); err != nil {
			return err
		}
	}
	moved := x.c
	moved.Previous = 0
	if x.target.back != nil && x.target.back() && point.Seq > 0 {
		moved.Seq = point.Seq - 1
	}
	if moved.Seq < point.Seq || moved.HLC < point.HLC {
		db.broken = append(db.broken, fmt.Sprintf("the checkpoint of %s went from %d to %d", x.c.Origin, point.Seq, moved.Seq))
	}
	db.points[x.c.Origin] = moved
	return after
}

func (x *targetTx) Rollback(context.Context) {
	x.s.db.mu.Lock()
	defer x.s.db.mu.Unlock()
	x.s.end()
}
