package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// ErrBusy says that another link holds a key that a step needs.
var ErrBusy = errors.New("busy")

// Resume does what begins a session of the link: it reads the checkpoint, brings
// the window up to it and settles what an interruption left open. With Step it
// drives a link on the caller's goroutine, for simulations that must replay
// exactly; neither may be used beside Run. It reports ErrBusy as Step does.
func (l *Link) Resume(ctx context.Context) (Checkpoint, error) {
	l.stepping = true
	c, err := l.point(ctx)
	if err != nil {
		return c, err
	}
	return c, l.tidy(ctx, c)
}

// Step settles transactions of the link's origin, in order: those at or before the
// checkpoint are passed over; a large one must come with all its parts. Nothing
// waits for another link: ErrBusy when it would have to. After any other error the
// link must Resume.
func (l *Link) Step(ctx context.Context, txs []change.Transaction) error {
	c := l.Status().Applied
	if err := l.settleRechecks(ctx, c); err != nil {
		return err
	}
	if err := l.releaseHolds(ctx, c); err != nil {
		return err
	}
	previous, next := c.Seq, c.Seq+1
	limit := l.groupRows()
	var queue []*work
	for i := 0; i < len(txs); i++ {
		t := &txs[i]
		fresh, err := l.follows(t, next)
		if err != nil {
			return err
		}
		if !fresh {
			continue
		}
		next++
		if !t.More && t.Part == 0 {
			queue = gather(queue, *t, limit)
			continue
		}
		n := parts(txs[i:])
		if n == 0 {
			return fmt.Errorf("the large transaction %d is not whole", t.Seq)
		}
		if err := l.steps(ctx, append(queue, partsOf(txs[i:i+n])), previous); err != nil {
			return err
		}
		queue, previous = nil, t.Seq
		i += n - 1
	}
	return l.steps(ctx, queue, previous)
}

// InOrder returns how many of the first of txs may be stepped now without an effect
// standing before its cause. Step itself takes them in any order.
func (l *Link) InOrder(txs []change.Transaction) int { return l.inOrder(txs, nil) }

// parts counts the parts at the front of txs up to the last of the same
// transaction; 0: it is not there.
func parts(txs []change.Transaction) int {
	for i := range txs {
		switch {
		case txs[i].Seq != txs[0].Seq:
			return 0
		case !txs[i].More:
			return i + 1
		}
	}
	return 0
}

func partsOf(txs []change.Transaction) *work {
	c := make(chan change.Transaction, len(txs))
	for _, t := range txs {
		c <- t
	}
	close(c)
	return &work{parts: c}
}

// steps executes works. As in dispatch each follows the one before it, not what the
// status says: a crash of the database that takes one back fences the next.
func (l *Link) steps(ctx context.Context, queue []*work, previous uint64) error {
	for _, w := range queue {
		err := l.step(ctx, w, previous)
		if errors.Is(err, errAgain) {
			return fmt.Errorf("%w: %w", ErrTransient, err)
		}
		if err != nil {
			return err
		}
		if n := len(w.txs); n > 0 {
			previous = w.txs[n-1].Seq
		}
	}
	return nil
}

func (l *Link) step(ctx context.Context, w *work, previous uint64) error {
	g := &group{exact: true}
	if w.parts == nil {
		g = newGroup(w.txs, l.accepts)
	}
	release, err := l.reserve(ctx, g)
	if err != nil {
		return err
	}
	defer release()
	if w.parts != nil {
		return l.largeAlone(ctx, w.parts, previous)
	}
	return l.settle(ctx, g, previous, passed())
}

// passed is a turn that has come.
func passed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
