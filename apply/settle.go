package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/concord-db/concord/internal/change"
)

// way is how a group is executed; each is slower and surer than the one before.
type way int

const (
	fastWay    way = iota // optimistic sets
	settledWay            // lock, read, fence, decide, sets
	orderedWay            // one transaction in its own order
	rowWay                // the same with savepoints: parks what is refused
)

// settle brings a group into the database and returns when it is committed. before
// is closed when everything before it has committed. This is the one place that
// decides what an error means.
func (l *Link) settle(ctx context.Context, g *group, previous uint64, before <-chan struct{}) error {
	if g.passing && len(g.txs) > 1 {
		return l.singly(ctx, g, previous, before)
	}
	w := fastWay
	if g.exact {
		w = orderedWay
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 5*time.Millisecond, time.Second
	surprises := 0
	turn := false
	for {
		err := l.attempt(ctx, g, previous, before, w, turn)
		if err == nil {
			return nil
		}
		turn = turn || errors.Is(err, errTurn)
		l.agent.keys.waitsFor(g.token, turn)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var schema *SchemaError
		switch {
		case errors.Is(err, errSurprise):
			if surprises++; w == fastWay {
				w = settledWay
				continue // at once: nothing is wrong
			}
			if surprises < 20 {
				continue
			}
			l.set(Retrying, "rows of this group keep changing under it")
		case errors.Is(err, errApart):
			return l.singly(ctx, g, previous, before)
		case errors.Is(err, errGivesWay):
			continue
		case errors.Is(err, ErrFenced):
			return err
		case errors.As(err, &schema):
			if l.hold(schema, g.first().Seq) {
				g = l.refold(g)
				continue
			}
			l.set(Waiting, err.Error())
			if err := l.agent.o.Pause(ctx, l.agent.o.SchemaRetry); err != nil {
				return err
			}
			continue
		case errors.Is(err, ErrTransient):
			l.set(Retrying, err.Error())
			if committed, cerr := l.committed(ctx, g); cerr == nil && committed {
				return errAgain
			}
		case errors.Is(err, ErrRejected):
			switch {
			case w == fastWay:
				w = settledWay
				continue
			case len(g.txs) > 1:
				return l.singly(ctx, g, previous, before)
			case w < rowWay:
				w = rowWay
				continue
			}
			return err // on_error = "stop"
		default:
			return err
		}
		l.count(func(s *LinkStatus) { s.Retries++ })
		if err := l.agent.o.Pause(ctx, pause.NextBackOff()); err != nil {
			return err
		}
	}
}

// refold leaves out the tables that are held back now.
func (l *Link) refold(g *group) *group {
	f := newGroup(g.txs, l.accepts)
	f.exact, f.token = g.exact, g.token // what was reserved stays reserved
	return f
}

// committed tells whether a group whose commit was cut off is in the database.
func (l *Link) committed(ctx context.Context, g *group) (bool, error) {
	points, err := l.checkpoints(ctx)
	if err != nil {
		return false, err
	}
	return points[l.from].Seq >= g.last().Seq, nil
}

// singly settles a group's transactions one by one, to find the one that is
// refused.
func (l *Link) singly(ctx context.Context, g *group, previous uint64, before <-chan struct{}) error {
	for i := range g.txs {
		one := newGroup(g.txs[i:i+1], l.accepts)
		one.token = g.token
		if err := l.settle(ctx, one, previous, before); err != nil {
			return err
		}
		previous = one.last().Seq
	}
	return nil
}

// attempt executes a group once, one way.
// turn: it needs keys that others hold, and first waits for its turn to add them.
func (l *Link) attempt(ctx context.Context, g *group, previous uint64, before <-chan struct{}, w way, turn bool) error {
	if w != fastWay {
		// Off the fast way locks are held longer: not while others are waited for.
		if err := waitFor(ctx, before); err != nil {
			return err
		}
		l.count(func(s *LinkStatus) { s.Exact++ })
		if g.takesValues() {
			defer l.way.urge()()
		}
	} else if l.way.urged() {
		if err := waitFor(ctx, before); err != nil {
			return err
		}
	}
	if err := l.waitUnlocked(ctx); err != nil {
		return err
	}
	if !l.stepping {
		if err := l.agent.park.reload(ctx, l.agent.target, g.keys); err != nil {
			return err
		}
	}
	turnOver := func() {}
	if turn {
		done, err := l.turn(ctx, g.token)
		if err != nil {
			return err
		}
		turnOver = done
		defer done()
	}
	tx, err := l.agent.target.Begin(ctx, g.checkpoint(previous))
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := l.agent.o.Hook("begun"); err != nil {
		return err
	}
	t := try{l: l, g: g, tx: tx}
	err = l.execute(ctx, &t, w)
	defer func() { t.joint.end(l) }()
	if err != nil {
		return err
	}
	if len(t.out.conflicts)+len(t.out.parkedChanges) > 0 {
		if l.agent.o.Stop && len(t.out.parkedChanges) > 0 && !l.onlyPartial(t.out.parkedChanges) {
			return fmt.Errorf("%w: %s", change.ErrRefused, t.out.parkedChanges[0].Message)
		}
		if err := tx.Record(ctx, distinct(t.out.conflicts), t.out.parkedChanges); err != nil {
			return err
		}
	}
	if err := t.out.unpark(ctx, tx); err != nil {
		return err
	}
	saved, err := l.saveHolds(ctx, tx)
	if err != nil {
		return err
	}
	if err := l.myTurn(ctx, before); err != nil {
		return err
	}
	if err := l.agent.o.Hook("commit"); err != nil {
		return err
	}
	unwatch := l.watch(g.keys, t.out.unlocked)
	if err := l.commit(ctx, tx); err != nil {
		unwatch()
		return err
	}
	saved()
	l.committedGroup(&t)
	turnOver()
	if err := l.agent.o.Hook("committed"); err != nil {
		return err
	}
	return l.recheckNow(ctx, g.checkpoint(0), g.token)
}

func (l *Link) execute(ctx context.Context, t *try, w way) error {
	switch w {
	case fastWay:
		return t.fast(ctx)
	case settledWay:
		return t.settled(ctx)
	}
	r := &rowwise{try: *t, savepoints: w == rowWay}
	err := r.run(ctx)
	t.out, t.joint = r.out, r.joint
	return err
}

// myTurn waits until the groups before have committed, holding this one's locks no
// longer than a fence may.
func (l *Link) myTurn(ctx context.Context, before <-chan struct{}) error {
	select {
	case <-before:
		return nil
	default:
	}
	timer := time.NewTimer(l.agent.o.FenceTimeout)
	defer timer.Stop()
	select {
	case <-before:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.way.asked():
		return errGivesWay
	case <-timer.C:
	}
	return fmt.Errorf("%w: the group before has not committed in time", ErrTransient)
}

// committedGroup notes what a committed group means for the window and the status.
// What was decided together with other rows stays in the window.
func (l *Link) committedGroup(t *try) {
	w, g, out, joint := l.agent.o.Window, t.g, &t.out, t.joint != nil
	if g.exact {
		g.enterTruncates(w)
	}
	for _, k := range g.keys {
		if locked := !out.unlocked[k] && !joint; w.KeepsApplied(l.from, locked) {
			w.Applied(k.table, k.key, k.es, locked)
		}
	}
	for _, k := range g.keys {
		if deferrable(k.table) {
			if out.unlocked == nil {
				out.unlocked = map[*keyWork]bool{}
			}
			out.unlocked[k] = true // no lock on its values: looked at again
		}
	}
	l.awaitRecheck(t.keys(), out.unlocked, g.last().Seq)
	l.agent.park.settled(out.healed)
	l.agent.park.add(out.parkedChanges)
	w.Settled(l.from, g.last().Seq, g.last().Seen)
	l.noteCommitted(g.checkpoint(0), g.heartbeat(), g.last().CommitTime, len(g.txs), out)
}

func (l *Link) noteCommitted(c Checkpoint, beat, commit time.Time, txs int, out *result) {
	l.count(func(s *LinkStatus) {
		s.Applied = c
		s.Stored = max(s.Stored, c.Seq)
		s.CommitTime = commit
		s.Groups++
		s.Transactions += uint64(txs)
		s.addRows(out)
		if !beat.IsZero() {
			s.LastBeat, s.LastBeatApplied = beat, time.Now()
		}
		if s.State == Retrying || s.State == Waiting {
			s.State, s.Reason, s.Since = Streaming, "", time.Now()
		}
	})
	l.agent.progress.wake()
}

func (s *LinkStatus) addRows(out *result) {
	s.AppliedRows += uint64(out.applied)
	s.KeptLocal += uint64(out.kept)
	s.Merged += uint64(out.merged)
	s.Parked += uint64(out.parked)
	s.Received = s.AppliedRows + s.KeptLocal + s.Merged + s.Parked
	for _, parked := range out.healed {
		s.Healed += uint64(len(parked))
	}
	for i := range out.conflicts {
		if out.conflicts[i].Again || out.conflicts[i].Withdrawn {
			continue
		}
		s.Conflicts[out.conflicts[i].Table.QualifiedName()+"\x00"+out.conflicts[i].Kind]++
	}
}

func (l *Link) countRows(out *result) { l.count(func(s *LinkStatus) { s.addRows(out) }) }

func (l *Link) count(f func(*LinkStatus)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.status)
}

func waitFor(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
