package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/internal/change"
)

// Link applies one peer's changes.
type Link struct {
	agent  *Agent
	from   change.Site
	source Log
	log    *slog.Logger

	mu      sync.Mutex
	status  LinkStatus
	recheck []recheck
	holds   holds
	late    change.Position // of the last fence that timed out; "" when none did
	lives   int             // counts how often a crash of the database took commits back
	doubt   bool            // it is not known whether the last commit succeeded
	way     giveWay
	kept    []func() // reservations to be given back when it is

	stepping bool // driven by Step on one goroutine
}

func newLink(a *Agent, from change.Site, source Log) *Link {
	return &Link{
		agent: a, from: from, source: source, log: a.log.With("from", string(from)),
		status: LinkStatus{From: from, State: Connecting, Since: time.Now(), Conflicts: map[string]uint64{}},
	}
}

// Status returns a snapshot.
func (l *Link) Status() LinkStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Conflicts = maps.Clone(s.Conflicts)
	return s
}

// Awaited is how many rows parked changes wait for that this peer is to publish again.
func (l *Link) Awaited() int { return l.agent.park.awaitedOf(l.from) }

func (l *Link) set(s State, reason string) {
	l.mu.Lock()
	changed := l.status.State != s || l.status.Reason != reason
	if changed {
		l.status.State, l.status.Reason, l.status.Since = s, reason, time.Now()
	}
	l.mu.Unlock()
	if changed && s != Streaming && s != CatchingUp {
		l.log.Info("link state", "state", string(s), "reason", reason)
	}
}

// fail shows an error as the link's state.
func (l *Link) fail(err error) {
	var schema *SchemaError
	switch {
	case errors.As(err, &schema):
		l.set(Waiting, err.Error())
	case errors.Is(err, change.ErrStandby), errors.Is(err, ErrFenced):
		l.set(Standby, err.Error())
	case errors.Is(err, change.ErrNeedsCopy):
		l.set(NeedsCopy, err.Error())
	case errors.Is(err, change.ErrRefused), errors.Is(err, change.ErrClock), errors.Is(err, ErrRejected):
		l.set(Stopped, err.Error())
	default:
		l.set(Retrying, err.Error())
	}
}

// accepts reports whether changes of a table are applied now: by the rules, and
// not held back.
func (l *Link) accepts(t *change.Table) bool {
	return l.agent.o.Accepts(t, l.from) && !l.held(t.QualifiedName())
}

// acceptsOnly accepts the changes of one table, held back or not.
func (a *Agent) acceptsOnly(from change.Site, table string) func(*change.Table) bool {
	return func(t *change.Table) bool { return t.QualifiedName() == table && a.o.Accepts(t, from) }
}

// run applies until ctx ends.
func (l *Link) run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 20*time.Millisecond, 2*time.Second
	for ctx.Err() == nil {
		began := time.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if errors.Is(err, errAgain) {
			pause.Reset()
			continue
		}
		l.fail(err)
		if time.Since(began) > 5*time.Second {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		var schema *SchemaError
		switch {
		case errors.As(err, &schema):
			wait = l.agent.o.SchemaRetry
		case errors.Is(err, change.ErrStandby), errors.Is(err, ErrFenced), errors.Is(err, change.ErrNeedsCopy),
			errors.Is(err, change.ErrRefused), errors.Is(err, change.ErrClock), errors.Is(err, ErrRejected):
			wait = time.Second
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// session holds the link's lease and applies from the checkpoint on.
func (l *Link) session(ctx context.Context) error {
	release, err := l.agent.target.Acquire(ctx, l.from)
	if err != nil {
		return fmt.Errorf("taking over the link: %w", err)
	}
	defer release()
	c, err := l.point(ctx)
	if err != nil {
		return err
	}
	r, err := l.source.Open(ctx, c.Epoch, c.Seq)
	if err != nil {
		return fmt.Errorf("opening the stream of %s after %d: %w", l.from, c.Seq, err)
	}
	defer r.Close()
	if err := l.tidy(ctx, c); err != nil {
		return err
	}
	l.set(Streaming, "")
	frames := make(chan *change.Frame, 2)
	works := make(chan *work)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.fetch(gctx, r, frames) })
	g.Go(func() error { return l.build(gctx, r, frames, works, c) })
	g.Go(func() error { return l.dispatch(gctx, works, c) })
	return g.Wait()
}

// point is where the link stands: the checkpoint in the database, up to which the
// window has been brought.
func (l *Link) point(ctx context.Context) (Checkpoint, error) {
	points, err := l.checkpoints(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	c := points[l.from]
	c.Origin = l.from
	return c, l.learn(ctx, c)
}

// tidy settles what an interruption may have left open.
func (l *Link) tidy(ctx context.Context, c Checkpoint) error {
	if err := l.loadHolds(ctx); err != nil {
		return err
	}
	return l.settleDirty(ctx, c)
}

// fetch reads frames ahead, a few.
func (l *Link) fetch(ctx context.Context, r FrameReader, frames chan<- *change.Frame) error {
	for {
		f, err := r.Next(ctx)
		if err != nil {
			return fmt.Errorf("reading the stream: %w", err)
		}
		if limit := l.agent.o.MaxDrift; limit > 0 {
			if ahead := time.Until(change.HLCTime(f.Clock)); ahead > limit {
				return fmt.Errorf("%w: site %s is %s ahead of this one's clock (limit max_clock_drift = %s); set its clock right",
					change.ErrClock, l.from, ahead.Round(time.Second), limit)
			}
		}
		if len(f.Rules) > 0 && l.agent.o.NoteRules != nil {
			if err := l.agent.o.NoteRules(ctx, l.from, f.Rules); err != nil {
				return fmt.Errorf("noting the rules of %s: %w", l.from, err)
			}
		}
		select {
		case frames <- f:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// work is transactions on their way to become a group, or one large transaction
// that comes in parts.
type work struct {
	txs   []change.Transaction
	rows  int
	parts chan change.Transaction // of a large transaction; closed after its last part
	seen  change.Seen             // of a large transaction
}

// build gathers what has arrived into works. A work grows while the ones before it
// are executed, up to the limit; it is handed on as soon as somebody takes it.
func (l *Link) build(ctx context.Context, r FrameReader, frames <-chan *change.Frame, works chan<- *work, c Checkpoint) error {
	var queue []*work
	next := c.Seq + 1
	for {
		var in <-chan *change.Frame
		var out chan<- *work
		var head *work
		if len(queue) < 3 {
			in = frames
		}
		if len(queue) > 0 {
			out, head = works, queue[0]
		}
		select {
		case f := <-in:
			limit := l.groupRows()
			for i := range f.Transactions {
				t := &f.Transactions[i]
				if fresh, err := l.follows(t, next); err != nil {
					return err
				} else if !fresh {
					continue
				}
				if t.More || t.Part > 0 {
					return l.stream(ctx, t, queue, f.Transactions[i+1:], frames, works)
				}
				queue = gather(queue, *t, limit)
				next++
			}
			l.noteStored(next-1, len(queue) > 1 || r.Ready())
		case out <- head:
			queue = queue[1:]
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// follows reports whether t is new, when next is the seq to come, and refuses a gap.
func (l *Link) follows(t *change.Transaction, next uint64) (bool, error) {
	if t.Seq > next {
		return false, fmt.Errorf("%w: stream of %s: transaction %d follows %d", change.ErrNeedsCopy, l.from, t.Seq, next-1)
	}
	return t.Seq == next, nil
}

// errAgain ends a session that is begun again from the checkpoint at once, with
// nothing wrong: after a large transaction (they are rare, and a fresh start is
// simple), or when the answer to a commit was lost and it is found to have
// succeeded.
var errAgain = errors.New("starting again from the checkpoint")

// groupRows is how many row changes a group may have. Where keys were written at several
// sites for long, each decision looks at all that is in flight on them: groups grow with
// it, so that what a row costs stays the same however long the sites were apart.
func (l *Link) groupRows() int {
	n := l.agent.o.GroupRows
	return min(max(n, l.agent.o.Window.Listed()/8), 8*n)
}

// gather appends t to the last work, or begins a new one.
func gather(queue []*work, t change.Transaction, limit int) []*work {
	n := len(queue)
	alone := mustBeExact(&t)
	if n > 0 && !alone && queue[n-1].rows+len(t.Rows) <= limit && !mustBeExact(&queue[n-1].txs[0]) {
		queue[n-1].txs = append(queue[n-1].txs, t)
		queue[n-1].rows += len(t.Rows)
		return queue
	}
	return append(queue, &work{txs: []change.Transaction{t}, rows: len(t.Rows)})
}

// stream hands on what is queued and then the parts of a large transaction as they
// come. It returns when the last part has been taken.
func (l *Link) stream(ctx context.Context, first *change.Transaction, queue []*work, rest []change.Transaction, frames <-chan *change.Frame, works chan<- *work) error {
	parts := make(chan change.Transaction)
	for _, w := range append(queue, &work{parts: parts, seen: first.Seen}) {
		select {
		case works <- w:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(parts)
	seq := first.Seq
	pending := append([]change.Transaction{*first}, rest...)
	for {
		for _, t := range pending {
			if t.Seq != seq {
				return fmt.Errorf("%w: stream of %s: transaction %d follows a part of %d", change.ErrNeedsCopy, l.from, t.Seq, seq)
			}
			select {
			case parts <- t:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if !t.More {
				return nil
			}
		}
		select {
		case f := <-frames:
			pending = f.Transactions
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *Link) noteStored(seq uint64, behind bool) {
	l.mu.Lock()
	l.status.Stored = max(l.status.Stored, seq)
	well := l.status.State == Streaming || l.status.State == CatchingUp
	l.mu.Unlock()
	switch {
	case !well: // what is wrong stays shown until something commits
	case behind:
		l.set(CatchingUp, "")
	default:
		l.set(Streaming, "")
	}
}

// learn brings the window up to the checkpoint as the database has it: groups whose
// commit was not heard of, or that another agent of this site applied meanwhile.
func (l *Link) learn(ctx context.Context, c Checkpoint) error {
	l.mu.Lock()
	known := l.status.Applied
	l.mu.Unlock()
	if c.Seq > known.Seq {
		var seen change.Seen
		found := newFindings()
		err := replay(ctx, l.source, c.Epoch, known.Seq, c.Seq, func(t *change.Transaction) {
			found.note(enterAgain(l.agent.o.Window, t, l.accepts))
			seen = t.Seen
		})
		if err != nil {
			return fmt.Errorf("reading what was applied of the stream of %s: %w", l.from, err)
		}
		l.agent.o.Window.Settled(l.from, c.Seq, seen)
		l.expect(found)
	}
	l.mu.Lock()
	l.status.Applied = c
	l.mu.Unlock()
	l.agent.progress.wake()
	l.certain()
	return nil
}

// dispatch executes works: several groups at once where the target allows it and
// their keys are disjoint, with commits in the order of the stream.
func (l *Link) dispatch(ctx context.Context, works <-chan *work, c Checkpoint) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, l.agent.target.Overlap()))
	turn := make(chan struct{}) // closed when everything before has committed
	close(turn)
	previous := c.Seq
	waived := waived{}
	recheck := time.NewTicker(100 * time.Millisecond)
	defer recheck.Stop()
	release := time.NewTicker(l.agent.o.SchemaRetry)
	defer release.Stop()
	for {
		var w *work
		select {
		case w = <-works:
		case <-gctx.Done():
			return g.Wait()
		case <-release.C:
			if len(l.Holds()) == 0 {
				continue
			}
		case <-recheck.C:
			if !l.hasRechecks() {
				continue
			}
			if waitFor(gctx, turn) != nil {
				return g.Wait()
			}
			if err := l.settleRechecks(gctx, l.Status().Applied); err != nil {
				return errors.Join(err, g.Wait())
			}
			continue
		}
		if w == nil {
			if waitFor(gctx, turn) != nil {
				return g.Wait()
			}
			if err := l.releaseHolds(gctx, l.Status().Applied); err != nil {
				return errors.Join(err, g.Wait())
			}
			continue
		}
		if w.parts != nil {
			if err := g.Wait(); err != nil {
				return err
			}
			if err := l.awaitSeen(ctx, w.seen, waived); err != nil {
				return err
			}
			if err := l.large(ctx, w.parts, previous); err != nil {
				return err
			}
			return errAgain
		}
		for txs := w.txs; len(txs) > 0; {
			n := l.inOrder(txs, waived)
			if n == 0 {
				if err := l.awaitSeen(gctx, txs[0].Seen, waived); err != nil {
					return errors.Join(g.Wait(), err)
				}
				continue
			}
			grp := newGroup(txs[:n], l.accepts)
			txs = txs[n:]
			release, err := l.reserve(gctx, grp)
			if err != nil {
				return errors.Join(g.Wait(), err)
			}
			// Until the link has room for it the group holds up nobody who is at work: of two
			// links each could wait for what the next group of the other has reserved.
			l.agent.keys.waitsFor(grp.token, true)
			mine, before := make(chan struct{}), turn
			turn = mine
			from := previous
			previous = grp.last().Seq
			g.Go(func() error {
				defer release()
				if err := l.agent.keys.begins(gctx, grp); err != nil {
					return err
				}
				if err := l.settle(gctx, grp, from, before); err != nil {
					return err
				}
				close(mine)
				return nil
			})
		}
	}
}
