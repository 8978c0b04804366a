package apply

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// settleDirty makes rows the fold of their writes where that could be open: when a
// session begins, for every key in the window with writes that did not know each
// other. Capture must have read the log first: a local write that an interrupted
// group met may still be on its way into the window. It is a replicated transaction
// that does not move the checkpoint.
func (l *Link) settleDirty(ctx context.Context, c Checkpoint) error {
	works := l.pendingRechecks()
	if l.agent.o.Window.HoldsLists() {
		if err := l.catchUp(ctx, c); err != nil {
			return err
		}
		l.agent.o.Window.Dirty(func(t *change.Table, k conflict.Key, image []change.Value) {
			works = append(works, &keyWork{key: k, table: t, image: image})
		})
	}
	return l.settleKeys(ctx, c, works)
}

// catchUp returns when capture has read the log up to now.
func (l *Link) catchUp(ctx context.Context, c Checkpoint) error {
	c.Previous = c.Seq
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	return l.askFence(ctx, p, 0, 10*l.agent.o.FenceTimeout)
}

// A key that was left without a row could not be locked. An application may have
// inserted it before the commit, unknown to what was applied; the fence saw to it that
// this insert is versioned later. What follows is decided once capture has read the
// mark of the commit, since from there on every local write has seen what was applied:
//
//   - under last_write_wins the row is right; the conflict is recorded, in passing;
//   - else the row may have to change. That happens before anything else of the link,
//     so that a restart still finds both writes in the window and does it then.

// recheck is such a key.
type recheck struct {
	work *keyWork
	seq  uint64 // of the transaction that was applied last
	now  bool   // not in passing
	// found: the window was rebuilt with it; what it met may have been recorded.
	found bool
}

// awaitRecheck notes the keys of what was committed up to seq that must be looked at again.
func (l *Link) awaitRecheck(works []*keyWork, unlocked map[*keyWork]bool, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range works {
		if !unlocked[k] {
			continue
		}
		again := &keyWork{key: k.key, table: k.table, image: k.image, es: k.es, final: k.final, decision: k.decision}
		l.recheck = append(l.recheck, recheck{work: again, seq: seq, now: !l.agent.o.Window.VersionsOnly(k.table)})
	}
}

// watch has the window keep what of those keys the local writes met, before the commit;
// until they have been looked at again, or the commit has failed.
func (l *Link) watch(works []*keyWork, unlocked map[*keyWork]bool) (unwatch func()) {
	var watched []*keyWork
	for _, k := range works {
		if unlocked[k] && len(k.es) > 0 {
			l.agent.o.Window.Watch(k.key, k.es)
			watched = append(watched, k)
		}
	}
	return func() {
		for _, k := range watched {
			l.agent.o.Window.Unwatch(k.key, k.es)
		}
	}
}

// recheckNow looks again at those keys whose row may have to change. The group that
// wrote them still holds their reservations. It does not give up while ctx lasts.
func (l *Link) recheckNow(ctx context.Context, c Checkpoint, holder *token) error {
	pause := time.Millisecond
	turn := false
	for {
		err := l.tryRecheckNow(ctx, c, holder, turn)
		turn = err != nil && (turn || errors.Is(err, errTurn))
		l.agent.keys.waitsFor(holder, turn)
		if err == nil || ctx.Err() != nil || !errors.Is(err, ErrTransient) {
			return err
		}
		l.set(Retrying, err.Error())
		pause = min(2*pause, time.Second)
		if err := l.agent.o.Pause(ctx, pause); err != nil {
			return err
		}
	}
}

// pendingRechecks are the keys whose row may have to change.
func (l *Link) pendingRechecks() []*keyWork {
	l.mu.Lock()
	defer l.mu.Unlock()
	var works []*keyWork
	for _, r := range l.recheck {
		if r.now {
			works = append(works, r.work)
		}
	}
	return works
}

func (l *Link) tryRecheckNow(ctx context.Context, c Checkpoint, holder *token, turn bool) error {
	if turn {
		done, err := l.turn(ctx, holder)
		if err != nil {
			return err
		}
		defer done()
	}
	for _, k := range l.pendingRechecks() {
		if err := l.settleKeyAgain(ctx, c, k); err != nil {
			return err
		}
		l.dropRechecks(k)
	}
	return nil
}

// settleRechecks records, in passing, what the others have met meanwhile.
func (l *Link) settleRechecks(ctx context.Context, c Checkpoint) error {
	var todo, found []*keyWork
	w := l.agent.o.Window
	l.mu.Lock()
	l.forgetRechecks(func(r recheck) bool {
		if r.now || !w.SelfHasSeen(l.from, r.seq) {
			return false
		}
		d := w.Decide(r.work.table, r.work.key, r.work.es, r.work.final)
		switch {
		case !l.metLocal(&r.work.decision, &d):
			return true
		case r.found:
			found = append(found, r.work)
		default:
			todo = append(todo, r.work)
		}
		return false // until it is recorded
	})
	l.mu.Unlock()
	lacking, err := l.unrecorded(ctx, found)
	if err != nil {
		return err
	}
	if todo = append(todo, lacking...); len(todo) == 0 {
		return nil
	}
	release, err := l.reserve(ctx, &group{keys: todo, link: l.from})
	if err != nil {
		return err
	}
	defer release()
	c.Previous = c.Seq
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	var met []Conflict
	for _, k := range todo {
		now, err := tx.Read(ctx, k.table, [][]change.Value{k.image})
		if err != nil {
			return err
		}
		k.current = now[0]
		since, _ := l.metSince(k)
		met = append(met, since...)
	}
	if err := tx.Record(ctx, distinct(met), nil); err != nil {
		return err
	}
	l.dropRechecks(todo...) // should the answer be lost it is not recorded twice
	if err := l.agent.commit(ctx, tx); err != nil {
		return err
	}
	l.countRows(&result{conflicts: met})
	return nil
}

// metSince returns the conflicts of a key that its decision did not know of, and the
// decision that does.
func (l *Link) metSince(k *keyWork) ([]Conflict, conflict.Decision) {
	if len(k.es) == 0 {
		return nil, k.decision
	}
	w := l.agent.o.Window
	now := *k
	now.decision = w.Decide(k.table, k.key, k.es, k.final)
	if now.decision.Joint {
		if states, _ := w.States(k.table, k.key); len(states) > 0 {
			now.decision.Pairs = states[0].Pairs
		}
	}
	if !l.metLocal(&k.decision, &now.decision) {
		return nil, k.decision
	}
	t := try{l: l}
	t.recordMet(&now, "")
	return t.out.conflicts, now.decision
}

func (l *Link) dropRechecks(works ...*keyWork) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetRechecks(func(r recheck) bool { return slices.Contains(works, r.work) })
}

// forgetRechecks drops those that gone says so of. Holds l.mu.
func (l *Link) forgetRechecks(gone func(recheck) bool) {
	l.recheck = slices.DeleteFunc(l.recheck, func(r recheck) bool {
		if !gone(r) {
			return false
		}
		if len(r.work.es) > 0 {
			l.agent.o.Window.Unwatch(r.work.key, r.work.es)
		}
		return true
	})
}

// metLocal reports whether now holds a conflict with a local write that before did
// not. (One with another peer's write is recorded by that peer's link.)
func (l *Link) metLocal(before, now *conflict.Decision) bool {
	return slices.ContainsFunc(now.Pairs, func(p conflict.Pair) bool {
		return (p.Older.Tx.Origin == l.agent.o.Site || p.Newer.Tx.Origin == l.agent.o.Site) &&
			!slices.ContainsFunc(before.Pairs, func(b conflict.Pair) bool { return b.Same(&p) })
	})
}

func sameMet(a, b []conflict.Meeting) bool {
	return slices.EqualFunc(a, b, func(a, b conflict.Meeting) bool {
		return a.Arrived.Tx.Version() == b.Arrived.Tx.Version() && a.Here.Tx.Version() == b.Here.Tx.Version()
	})
}

func (l *Link) hasRechecks() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.recheck) > 0
}

func (l *Link) settleKeys(ctx context.Context, c Checkpoint, works []*keyWork) error {
	for _, k := range works {
		g := &group{keys: []*keyWork{k}, byKey: map[conflict.Key]*keyWork{k.key: k}, link: l.from}
		release, err := l.reserve(ctx, g)
		if err != nil {
			return err
		}
		err = l.settleInTurn(ctx, c, k, g.token)
		release()
		if err != nil {
			return err
		}
		l.dropRechecks(k)
	}
	return nil
}

// settleInTurn is settleKeyAgain, which waits for its turn to add keys when it must.
func (l *Link) settleInTurn(ctx context.Context, c Checkpoint, k *keyWork, holder *token) error {
	err := l.settleKeyAgain(ctx, c, k)
	for errors.Is(err, errTurn) {
		l.agent.keys.waitsFor(holder, true)
		if err := l.agent.o.Pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
		done, terr := l.turn(ctx, holder)
		if terr != nil {
			return terr
		}
		err = l.settleKeyAgain(ctx, c, k)
		done()
	}
	return err
}

// settleKeyAgain is settleKey, tried again while applications make and remove the row
// under it.
func (l *Link) settleKeyAgain(ctx context.Context, c Checkpoint, k *keyWork) error {
	for tries := 0; ; tries++ {
		err := l.settleKey(ctx, c, k)
		if tries == 20 || !errors.Is(err, errSurprise) && !errors.Is(err, ErrRejected) {
			return err
		}
	}
}

func (l *Link) settleKey(ctx context.Context, c Checkpoint, k *keyWork) error {
	if len(k.table.Unique) > 0 {
		return l.settleTied(ctx, c, k)
	}
	if l.agent.park.blocks(k.table, k.key) {
		return nil
	}
	if _, ok := l.agent.o.Window.State(k.table, k.key); !ok {
		if err := l.recordSince(ctx, c, k); err != nil {
			return err
		}
		if _, ok := l.agent.o.Window.State(k.table, k.key); ok {
			return errSurprise // who wrote the row meanwhile has come with the fence
		}
		return nil
	}
	c.Previous = c.Seq
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	current, err := tx.Read(ctx, k.table, [][]change.Value{k.image})
	if err != nil {
		return err
	}
	k.current = current[0]
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	if err := l.askFence(ctx, p, 0, l.agent.o.FenceTimeout); err != nil {
		return err
	}
	state, ok := l.agent.o.Window.State(k.table, k.key)
	if !ok {
		return nil
	}
	met, decision := l.metSince(k)
	w, differs := writeFor(k, state)
	if differs = differs && !sameImage(state, k.current); differs {
		missing, err := tx.Write(ctx, []Write{w})
		if err == nil && len(missing) > 0 {
			err = errSurprise
		}
		if err == nil && k.current == nil {
			err = l.stillMakes(ctx, tx, k, state)
		}
		if err != nil {
			return err
		}
	}
	if !differs && len(met) == 0 {
		return nil
	}
	if err := tx.Record(ctx, distinct(met), nil); err != nil {
		return err
	}
	k.decision = decision
	if err := l.agent.commit(ctx, tx); err != nil {
		return err
	}
	l.countRows(&result{conflicts: met})
	return nil
}

// recordSince records what a key has met since it was decided, where nothing tells what
// its row must be.
func (l *Link) recordSince(ctx context.Context, c Checkpoint, k *keyWork) error {
	if len(k.es) == 0 {
		return nil
	}
	c.Previous = c.Seq
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	if err := l.askFence(ctx, p, 0, l.agent.o.FenceTimeout); err != nil {
		return err
	}
	met, decision := l.metSince(k)
	if len(met) == 0 {
		return nil
	}
	if err := tx.Record(ctx, distinct(met), nil); err != nil {
		return err
	}
	k.decision = decision
	if err := l.agent.commit(ctx, tx); err != nil {
		return err
	}
	l.countRows(&result{conflicts: met})
	return nil
}

// stillMakes looks again at a key whose row was just made: its key is locked only now,
// and an application may have made and removed the row since it was read.
func (l *Link) stillMakes(ctx context.Context, tx Tx, k *keyWork, state []change.Value) error {
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	if err := l.askFence(ctx, p, 0, l.agent.o.FenceTimeout); err != nil {
		return err
	}
	if now, ok := l.agent.o.Window.State(k.table, k.key); !ok || !sameImage(now, state) {
		return errSurprise
	}
	return nil
}
