package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// errTurn: another link holds a row that is tied to one of ours by a unique key.
var errTurn = fmt.Errorf("%w: another link holds a row that is tied to this one by a unique key", ErrTransient)

// jointly is what a transaction does to rows that it meets by values of unique keys,
// besides its own.
type jointly struct {
	others     []*keyWork       // key order; decision.State is the row to bring about
	left       []conflict.Other // of truncated tables
	again      []conflict.Other // rows with conflicts that read otherwise now
	collisions []conflict.Collision
	withdrawn  []conflict.Collision
	release    []func()
}

// decideJointly decides a transaction as a whole: its keys are tied to others by values
// of unique keys. Those rows are locked too; each may tie in yet more, so that the
// window is asked until it names none that is not locked.
func (t *try) decideJointly(ctx context.Context) error {
	j := &jointly{}
	t.joint = j
	for {
		d := t.decision()
		fresh := j.missing(d.Others)
		if len(fresh) == 0 {
			t.adopt(d)
			return nil
		}
		raise, err := t.lockOthers(ctx, fresh)
		if err != nil {
			return err
		}
		if err := t.l.raiseFence(ctx, t.tx, t.g, raise); err != nil {
			return err
		}
		t.version = t.l.agent.o.Window.Version()
	}
}

// keys are those of the group, and the others that it meets.
func (t *try) keys() []*keyWork {
	if t.joint == nil {
		return t.g.keys
	}
	return slices.Concat(t.g.keys, t.joint.others)
}

func (t *try) decision() conflict.Joint {
	var truncated []*change.Table
	for i := range t.g.first().Rows {
		if r := &t.g.first().Rows[i]; r.Op == change.Truncate && len(r.Table.Unique) > 0 && t.g.accepts(r.Table) && !t.g.wiped.Covers(i, r) {
			truncated = append(truncated, r.Table)
		}
	}
	return t.l.agent.o.Window.DecideJoint(conflict.TxOf(t.g.first()), t.arrivals(), truncated)
}

func (t *try) arrivals() []conflict.Arrival {
	arrivals := make([]conflict.Arrival, len(t.g.keys))
	for i, k := range t.g.keys {
		arrivals[i] = conflict.Arrival{Table: k.table, Key: k.key, Write: k.es[len(k.es)-1], Final: k.final}
	}
	return arrivals
}

// reservesOf lists keys, and the values that their rows get.
func reservesOf(others []conflict.Other) []conflict.Key {
	all := map[conflict.Key]bool{}
	for _, o := range others {
		all[o.Key] = true
		noteValues(all, o.Table, o.State)
	}
	return slices.Collect(maps.Keys(all))
}

// missing lists the others that are not locked yet.
func (j *jointly) missing(others []conflict.Other) []conflict.Other {
	return slices.DeleteFunc(slices.Clone(others), func(o conflict.Other) bool {
		return slices.ContainsFunc(j.others, func(k *keyWork) bool { return k.key == o.Key })
	})
}

// lockOthers reserves, reads and locks rows. What is not there cannot be locked: then
// the clock is raised as for the transaction's own.
func (t *try) lockOthers(ctx context.Context, others []conflict.Other) (raise uint64, err error) {
	if !t.g.exact {
		release, ok := t.l.agent.keys.add(t.g.owner(), reservesOf(others))
		if !ok {
			return 0, errTurn
		}
		t.joint.release = append(t.joint.release, release)
	}
	for _, o := range others {
		now, err := t.tx.Read(ctx, o.Table, [][]change.Value{o.Image})
		if err != nil {
			return 0, err
		}
		k := &keyWork{key: o.Key, table: o.Table, image: o.Image, current: now[0], read: true}
		if now[0] == nil {
			raise = t.g.hlc()
			t.out.unlocked[k] = true
		}
		t.joint.others = append(t.joint.others, k)
	}
	slices.SortFunc(t.joint.others, func(a, b *keyWork) int {
		if a.key.Less(b.key) {
			return -1
		}
		return 1
	})
	return raise, nil
}

// adopt takes a decision over.
func (t *try) adopt(d conflict.Joint) {
	for i, k := range t.g.keys {
		k.decision = d.Decisions[i]
		k.written, k.vacated = false, nil
	}
	j := t.joint
	j.collisions, j.withdrawn, j.again, j.left = d.Collisions, d.Withdrawn, d.Again, d.Left
	j.others = slices.DeleteFunc(j.others, func(k *keyWork) bool {
		at := slices.IndexFunc(d.Others, func(o conflict.Other) bool { return o.Key == k.key })
		if at < 0 {
			return true // after all it stays as it is
		}
		o := d.Others[at]
		k.decision = conflict.Decision{State: o.State, Partial: o.Partial}
		return false
	})
	if !slices.ContainsFunc(j.others, func(k *keyWork) bool {
		return k.decision.Partial || k.decision.State != nil && k.current == nil && lacksValue(k.decision.State)
	}) {
		return
	}
	// A row has to come back of which no log has all: nothing of it is done.
	for _, k := range t.g.keys {
		if !k.decision.Known {
			k.decision.Keep, k.decision.Partial = false, true
		}
	}
	j.others, j.collisions, j.withdrawn, j.again = nil, nil, nil, nil
}

// vacate are the writes that come first: they take away the others that lose their row,
// and every row that gives up a value that another one takes. Such a row is made again,
// whole, when its turn comes: an update could come too early or, where values go round in
// a circle, never in time.
func (t *try) vacate() []Write {
	takers := map[conflict.Claim][]*keyWork{}
	all := t.g.keys
	if t.joint != nil {
		all = slices.Concat(t.joint.others, all)
	} else if !slices.ContainsFunc(all, func(k *keyWork) bool { return len(k.table.Unique) > 0 }) {
		return nil
	}
	for _, k := range all {
		for _, c := range conflict.Claims(k.table, t.target(k)) {
			takers[c.Claim] = append(takers[c.Claim], k)
		}
	}
	var writes []Write
	for _, k := range all {
		if d := &k.decision; k.current == nil || t.waits(k) || !d.Known && (d.Err != nil || d.Partial) {
			continue
		}
		gone := t.joint != nil && k.decision.State == nil && slices.Contains(t.joint.others, k)
		for _, c := range conflict.Claims(k.table, k.current) {
			gone = gone || slices.ContainsFunc(takers[c.Claim], func(o *keyWork) bool { return o != k })
		}
		if !gone {
			continue
		}
		w, _ := writeFor(k, nil)
		writes = append(writes, w)
		k.vacated, k.current = k.current, nil
	}
	return writes
}

// target is what becomes of a row, as far as it is decided.
func (t *try) target(k *keyWork) []change.Value {
	d := &k.decision
	if d.Keep || !d.Known && (d.Err != nil || d.Partial) {
		return k.current
	}
	if d.State == nil {
		return nil
	}
	return conflict.Overlay(k.current, d.State)
}

// restored are the writes that bring about the others that stay or come back.
func (t *try) restored() []Write {
	if t.joint == nil {
		return nil
	}
	var writes []Write
	for _, k := range t.joint.others {
		if k.decision.State == nil || k.current != nil && sameImage(k.decision.State, k.current) {
			continue
		}
		if w, ok := writeFor(k, k.decision.State); ok {
			writes = append(writes, w)
		}
	}
	return writes
}

// takenFirst orders the writes of tables with unique keys so that a value is given up
// before it is taken, as far as the kind of write tells.
func takenFirst(writes []Write) {
	if !slices.ContainsFunc(writes, func(w Write) bool { return len(w.Row.Table.Unique) > 0 }) {
		return
	}
	order := func(w Write) int {
		switch w.Action {
		case Delete, Remove:
			return 0
		case Update:
			return 1
		case Insert, Put:
		}
		return 2
	}
	slices.SortStableFunc(writes, func(a, b Write) int { return order(a) - order(b) })
}

// confirmJointly is confirm for a transaction that was decided as a whole.
func (t *try) confirmJointly(ctx context.Context) error {
	if len(t.out.unlocked) == 0 {
		return nil
	}
	if err := t.unlockedStill(ctx); err != nil {
		return err
	}
	if err := t.l.raiseFence(ctx, t.tx, t.g, t.g.hlc()); err != nil {
		return err
	}
	if t.l.agent.o.Window.Version() != t.version && !t.sameJoint(t.decision()) {
		return errSurprise
	}
	for _, k := range t.keys() {
		if k.written {
			delete(t.out.unlocked, k)
		}
	}
	return nil
}

// sameJoint reports whether d is what was carried out.
func (t *try) sameJoint(d conflict.Joint) bool {
	if len(t.joint.missing(d.Others)) > 0 || len(d.Others) != len(t.joint.others) || len(d.Left) != len(t.joint.left) {
		return false
	}
	for i, k := range t.g.keys {
		if !sameDecision(k.decision, d.Decisions[i]) {
			return false
		}
	}
	for _, o := range d.Others {
		at := slices.IndexFunc(t.joint.others, func(k *keyWork) bool { return k.key == o.Key })
		if !sameImage(t.joint.others[at].decision.State, o.State) {
			return false
		}
	}
	return true
}

// takenMeanwhile reports whether an application has taken a value of a unique key since
// the decision: the database refuses what would be decided otherwise now.
func (t *try) takenMeanwhile(ctx context.Context, works []*keyWork) (bool, error) {
	if !slices.ContainsFunc(works, func(k *keyWork) bool { return len(k.table.Unique) > 0 }) {
		return false, nil
	}
	if err := t.l.raiseFence(ctx, t.tx, t.g, 0); err != nil {
		return false, err
	}
	w := t.l.agent.o.Window
	if w.Version() == t.version {
		return false, nil
	}
	if t.joint != nil {
		return len(t.joint.missing(t.decision().Others)) > 0, nil
	}
	return slices.ContainsFunc(works, func(k *keyWork) bool { return w.Decide(k.table, k.key, k.es, k.final).Joint }), nil
}

// end gives back what was reserved besides the group's own keys.
func (j *jointly) end(l *Link) {
	if j == nil {
		return
	}
	for _, release := range j.release {
		l.release(release)
	}
}

// owner is the link a group belongs to, as its origin.
func (g *group) owner() change.Site {
	if len(g.txs) == 0 {
		return g.link
	}
	return g.last().Origin
}
