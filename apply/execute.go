package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// errSurprise: the database or the window did not look as the set path expected.
// The group is rolled back and goes the settled way.
var errSurprise = fmt.Errorf("%w: rows are not as expected", ErrTransient)

// errApart: the transactions of the group must be settled one by one.
var errApart = errors.New("not as one group")

// errFenceTimeout: capture did not catch up in time; the locks are given back.
var errFenceTimeout = fmt.Errorf("%w: the fence timed out (capture is behind or down)", ErrTransient)

// result is what became of a group; it counts only once the group is committed.
type result struct {
	applied, kept, merged, parked int // row changes
	conflicts                     []Conflict
	parkedChanges                 []Parked
	healed                        map[conflict.Key][]Parked // what was parked before and is superseded
	unlocked                      map[*keyWork]bool         // there was no row that could be locked
	works                         []*keyWork                // of parts, those of unlocked
}

// try is one attempt at one group inside one target transaction.
type try struct {
	l   *Link
	g   *group
	tx  Tx
	out result

	version uint64   // of the window, when the keys were decided
	joint   *jointly // nil: the keys were decided one by one
}

// fast is the optimistic set path: nothing here that the group does not know,
// every row as its operation expects it.
func (t *try) fast(ctx context.Context) error {
	w := t.l.agent.o.Window
	version := w.Version()
	if !t.allKnown(w) {
		return errSurprise
	}
	writes := make([]Write, 0, len(t.g.keys))
	rows := make([]change.Row, len(t.g.keys))
	for i, k := range t.g.keys {
		t.out.applied += k.rows
		if op := k.op(); op == 0 {
			return errSurprise // nothing would be written, so nothing locked
		} else {
			rows[i] = change.Row{Table: k.table, Op: op, Old: nil, New: k.final}
			if op == change.Delete {
				rows[i].Old = k.image
			}
			writes = append(writes, Write{Action: Action(op), Row: &rows[i]})
		}
	}
	takenFirst(writes)
	missing, err := t.tx.Write(ctx, writes)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return errSurprise
	}
	if err := t.hook("written"); err != nil {
		return err
	}
	if err := t.l.raiseFence(ctx, t.tx, t.g, 0); err != nil {
		return err
	}
	if w.Version() != version && !t.allKnown(w) {
		return errSurprise
	}
	return nil
}

func (t *try) hook(point string) error { return t.l.agent.o.Hook(point) }

// allKnown decides every key and reports whether the group knew of everything.
func (t *try) allKnown(w *conflict.Window) bool {
	park := t.l.agent.park
	any := park.any()
	for _, k := range t.g.keys {
		if any && park.blocks(k.table, k.key) {
			return false
		}
		k.decision = w.Decide(k.table, k.key, k.es, k.final)
		if d := &k.decision; !d.Known || len(d.Met) > 0 || d.Apart {
			return false
		}
	}
	return true
}

// raiseFence proves that the window holds every local transaction committed before
// the locks of g were taken.
func (l *Link) raiseFence(ctx context.Context, tx Tx, g *group, raise uint64) error {
	if raise == 0 && l.needsNoFence(g) {
		return nil
	}
	began := time.Now()
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	err = l.askFence(ctx, p, raise, l.agent.o.FenceTimeout)
	l.count(func(s *LinkStatus) { s.FenceSeconds = time.Since(began).Seconds() })
	if err != nil {
		return err
	}
	return l.agent.o.Hook("fenced")
}

func (l *Link) askFence(ctx context.Context, p change.Position, raise uint64, timeout time.Duration) error {
	fctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := l.agent.fence.Fence(fctx, p, raise)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case fctx.Err() != nil:
		l.mu.Lock()
		l.late = p
		l.mu.Unlock()
		return errFenceTimeout
	}
	return fmt.Errorf("%w: fence: %w", ErrTransient, err)
}

// waitUnlocked waits, after a fence that timed out, until capture has caught up to
// where it was asked, before locks are taken again.
func (l *Link) waitUnlocked(ctx context.Context) error {
	l.mu.Lock()
	p := l.late
	l.mu.Unlock()
	if p == "" {
		return nil
	}
	if err := l.askFence(ctx, p, 0, 10*l.agent.o.FenceTimeout); err != nil {
		return err
	}
	l.mu.Lock()
	l.late = ""
	l.mu.Unlock()
	return nil
}

func (l *Link) needsNoFence(g *group) bool {
	for t := range g.tables() {
		if !l.agent.o.OneWay(t, l.from) {
			return false
		}
	}
	return true
}

// settled is the exact path for a group that can be written set by set: lock and
// read every row, fence, decide with everything known, write what was decided.
func (t *try) settled(ctx context.Context) error {
	if err := t.lockAndDecide(ctx); err != nil {
		return err
	}
	writes := t.vacate()
	if len(writes) > 0 { // on their own: some of the rows are made again
		missing, err := t.tx.Write(ctx, writes)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return errSurprise
		}
		writes = nil
	}
	for _, k := range t.g.keys {
		writes = t.plan(k, writes)
	}
	t.recordCollisions()
	writes = append(writes, t.restored()...)
	takenFirst(writes)
	missing, err := t.tx.Write(ctx, writes)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return errSurprise
	}
	if err := t.hook("written"); err != nil {
		return err
	}
	return t.confirm(ctx)
}

// confirm looks again at the keys that had no row to be locked when they were
// decided. Those that have one now are locked by it; the others must still have none.
// A second fence then shows whether an application came and went in between.
func (t *try) confirm(ctx context.Context) error {
	if t.joint != nil {
		return t.confirmJointly(ctx)
	}
	if len(t.out.unlocked) == 0 {
		return nil
	}
	if err := t.unlockedStill(ctx); err != nil {
		return err
	}
	if err := t.l.raiseFence(ctx, t.tx, t.g, t.g.hlc()); err != nil {
		return err
	}
	w := t.l.agent.o.Window
	changed := w.Version() != t.version
	for _, k := range t.g.keys {
		if !t.out.unlocked[k] {
			continue
		}
		if changed && !sameDecision(k.decision, w.Decide(k.table, k.key, k.es, k.final)) {
			return errSurprise
		}
		if k.written {
			delete(t.out.unlocked, k)
		}
	}
	return nil
}

// unlockedStill reads the keys again that had no row: each has the one that was written,
// or none.
func (t *try) unlockedStill(ctx context.Context) error {
	works := slices.DeleteFunc(slices.Clone(t.keys()), func(k *keyWork) bool { return !t.out.unlocked[k] })
	return t.read(ctx, works, func(k *keyWork, now []change.Value) error {
		if (now != nil) != k.written {
			return errSurprise
		}
		return nil
	})
}

// read reads and locks the rows of works, table by table.
func (t *try) read(ctx context.Context, works []*keyWork, each func(k *keyWork, now []change.Value) error) error {
	byTable := map[*change.Table][]*keyWork{}
	var order []*change.Table
	for _, k := range works {
		if byTable[k.table] == nil {
			order = append(order, k.table)
		}
		byTable[k.table] = append(byTable[k.table], k)
	}
	for _, table := range order {
		works := byTable[table]
		images := make([][]change.Value, len(works))
		for i, k := range works {
			images[i] = k.image
		}
		rows, err := t.tx.Read(ctx, table, images)
		if err != nil {
			return err
		}
		for i, k := range works {
			if err := each(k, rows[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func sameDecision(a, b conflict.Decision) bool {
	return a.Known == b.Known && (a.Err == nil) == (b.Err == nil) && a.Keep == b.Keep && a.Partial == b.Partial && sameMet(a.Met, b.Met) && conflict.SamePairs(a.Pairs, b.Pairs) &&
		(a.State == nil) == (b.State == nil) && slices.Equal(a.State, b.State)
}

// lockAndDecide reads and locks all rows of the group, fences, and decides. A row
// that is missing cannot be locked: then whatever commits on its key later must be
// versioned later, which the fence arranges.
func (t *try) lockAndDecide(ctx context.Context) error {
	raise := uint64(0)
	t.out.unlocked = map[*keyWork]bool{}
	err := t.read(ctx, t.g.keys, func(k *keyWork, now []change.Value) error {
		k.current, k.vacated, k.read = now, nil, true
		if now == nil {
			raise = t.g.hlc()
			t.out.unlocked[k] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.hook("locked"); err != nil {
		return err
	}
	if t.g.exact {
		raise = t.g.hlc()
	}
	if err := t.l.raiseFence(ctx, t.tx, t.g, raise); err != nil {
		return err
	}
	t.version = t.l.agent.o.Window.Version()
	joint := t.g.truncatesValues()
	for _, k := range t.g.keys {
		k.decision = t.l.agent.o.Window.Decide(k.table, k.key, k.es, k.final)
		if (k.decision.Apart || k.decision.Joint) && len(t.g.txs) > 1 {
			return errApart
		}
		joint = joint || k.decision.Joint
		k.written = false
	}
	if joint {
		return t.decideJointly(ctx)
	}
	return nil
}

// plan turns the decision on a key into a write, a record, or a parked change.
func (t *try) plan(k *keyWork, writes []Write) []Write {
	d := &k.decision
	policy := t.l.agent.o.Policy(k.table)
	switch {
	case t.waits(k):
		reason, message := t.behind(k, false)
		if reason == ReasonPartial {
			t.recordMet(k, "") // it is settled by the rules, only not yet
		}
		t.parkKey(k, reason, message, true)
		return writes
	case policy.Base == conflict.Park && len(d.Met) > 0:
		t.recordMet(k, parkedByPolicy)
		t.parkKey(k, ReasonPolicy, parkedByPolicy, false)
		return writes
	case !d.Known && d.Err != nil:
		t.recordMet(k, disputed(d.Err))
		reason, message := undecided(d.Err)
		t.parkKey(k, reason, message, false)
		return writes
	case d.Keep:
		t.out.kept += k.rows
		t.recordMet(k, "")
		if image := lackedOnly(k, t.g.lacked); image != nil {
			writes = append(writes, Write{Action: Update, Row: &change.Row{Table: k.table, Op: change.Update, New: image}})
		}
		return writes
	case d.State != nil && k.current == nil && lacksValue(conflict.Overlay(k.vacated, d.State)),
		!d.Known && d.Partial:
		t.recordMet(k, "")
		t.parkKey(k, ReasonPartial, t.l.partial(), false)
		return writes
	}
	t.out.heal(k.key, t.heals(k))
	state := d.State
	t.recordMet(k, "")
	if d.Known || sameImage(state, k.final) {
		t.out.applied += k.rows
	} else if sameImage(state, k.current) {
		t.out.kept += k.rows
	} else {
		t.out.merged += k.rows
	}
	if w, ok := writeFor(k, state); ok {
		writes = append(writes, w)
	}
	return writes
}

const parkedByPolicy = "policy park: two sites wrote this row without knowing of each other"

// undecided says why a change is parked that no rule has decided, and what to do.
func undecided(err error) (reason, message string) {
	if errors.Is(err, ErrRulesDiffer) {
		return ReasonRules, err.Error()
	}
	return ReasonPolicy, err.Error() + "; write the row as it should be at one site, then discard what is parked at each"
}

// writeFor brings the row of k, which is known and locked if there is one, to
// state. It expects what it saw: a row that came into being meanwhile makes it fail
// and the group is tried again.
func writeFor(k *keyWork, state []change.Value) (Write, bool) {
	row := &change.Row{Table: k.table, New: state}
	switch {
	case state == nil && k.current == nil:
		return Write{}, false
	case state == nil:
		row.Op, row.Old = change.Delete, k.image
		return Write{Action: Delete, Row: row}, true
	case k.current == nil:
		row.New = conflict.Overlay(k.vacated, state)
		row.Op, k.written = change.Insert, true
		return Write{Action: Insert, Row: row}, true
	default:
		row.Op = change.Update
		return Write{Action: Update, Row: row}, true
	}
}

// sameImage compares the values both carry; two missing rows are the same.
func sameImage(a, b []change.Value) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].State != change.Unchanged && b[i].State != change.Unchanged && a[i] != b[i] {
			return false
		}
	}
	return true
}

func lacksValue(image []change.Value) bool {
	for i := range image {
		if image[i].State == change.Unchanged {
			return true
		}
	}
	return false
}

func orElse(image, other []change.Value) []change.Value {
	if image == nil {
		return other
	}
	return image
}

// parkKey sets all row changes of a key aside.
func (t *try) parkKey(k *keyWork, reason, message string, behind bool) {
	for i := range t.g.txs {
		tx := &t.g.txs[i]
		for j := range tx.Rows {
			r := &tx.Rows[j]
			if r.Op == change.Truncate || !t.g.touches(r, k.key) {
				continue
			}
			t.parkRow(tx, j, reason, message, behind)
			behind = true
		}
	}
}

func (t *try) parkRow(tx *change.Transaction, index int, reason, message string, behind bool) {
	t.out.parked++
	t.out.parkedChanges = append(t.out.parkedChanges, Parked{
		Origin: tx.Origin, Epoch: tx.Epoch, Seq: tx.Seq, HLC: tx.HLC, Seen: tx.Seen,
		Index: tx.Before + index, Row: tx.Rows[index], Reason: reason, Message: message, Behind: behind, Time: time.Now(),
	})
}

// touches reports whether a row change is about key.
func (g *group) touches(r *change.Row, key conflict.Key) bool {
	if g.lastKey(r.Key(), r.Table) == key {
		return true
	}
	return r.MovesKey() && g.lastKey(r.New, r.Table) == key
}
