package capture

import (
	"context"
	"sync"

	"github.com/concord-db/concord/internal/change"
)

// queue holds stamped transactions on their way from the reader to the publisher,
// and the facts that fences ask for. Its mutex guards the stamper too: a raise, a
// stamp and an answer to a fence happen one after the other.
type queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	stamper *Stamper
	compare func(a, b change.Position) int

	pending      []item
	pendingBytes int
	inflight     int
	baseClock    uint64 // clock of an empty queue: frames that carry only a fact
	processed    change.Position
	fact         uint64 // greatest clock a fence asked to be stored
	stored       uint64 // greatest clock that is stored
	closed       error
}

type item struct {
	tx    change.Transaction
	bytes int
	clock uint64 // the stamper's clock when the next item was stamped
}

func newQueue(s *Stamper, stored uint64, compare func(a, b change.Position) int) *queue {
	q := &queue{stamper: s, compare: compare, baseClock: s.Clock(), stored: stored, fact: stored}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// wait blocks until ok, the queue is closed, or ctx ends. Holds q.mu.
func (q *queue) wait(ctx context.Context, ok func() bool) error {
	if ok() && q.closed == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})
	defer stop()
	for {
		switch {
		case q.closed != nil:
			return q.closed
		case ok():
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		q.changed.Wait()
	}
}

// close makes every waiter return err.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = err
	}
	q.changed.Broadcast()
}

// mark stamps a replicated transaction.
func (q *queue) mark(m change.Mark, p change.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stamper.Mark(m)
	q.noteClock()
	q.reach(p)
}

// progress notes that everything up to p has been read.
func (q *queue) progress(p change.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reach(p)
}

func (q *queue) reach(p change.Position) {
	if q.compare(q.processed, p) < 0 {
		q.processed = p
	}
	q.changed.Broadcast()
}

// noteClock makes the last item (or the empty queue) carry the clock as it is now.
func (q *queue) noteClock() {
	if n := len(q.pending); n > 0 {
		q.pending[n-1].clock = q.stamper.Clock()
	} else {
		q.baseClock = q.stamper.Clock()
	}
}

// local stamps and queues a local transaction and hands it to feed before anyone
// can be told that its position was reached. It waits while the queue is full or a
// fact is not stored yet.
func (q *queue) local(ctx context.Context, e *Event, bytes, limit int, feed func(*change.Transaction)) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.wait(ctx, func() bool {
		return q.stored >= q.fact && (q.pendingBytes == 0 || q.pendingBytes+bytes <= limit)
	})
	if err != nil {
		return err
	}
	tx := q.stamper.Local(e)
	feed(&tx)
	q.pending = append(q.pending, item{tx: tx, bytes: bytes, clock: q.stamper.Clock()})
	q.pendingBytes += bytes
	if !e.More {
		q.reach(e.Position)
	}
	q.changed.Broadcast()
	return nil
}

// take returns the next batch to be published and its clock: at once when nothing
// is in flight, else when it has grown to size. A batch may be empty: a fact only.
func (q *queue) take(ctx context.Context, size, maxInflight int) (txs []change.Transaction, clock uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.wait(ctx, func() bool {
		if q.inflight >= maxInflight {
			return false
		}
		if len(q.pending) > 0 && (q.inflight == 0 || q.pendingBytes >= size) {
			return true
		}
		return q.inflight == 0 && q.fact > q.stored
	})
	if err != nil {
		return nil, 0, err
	}
	n, bytes := 0, 0
	clock = max(q.baseClock, q.stored)
	for n < len(q.pending) && (n == 0 || bytes+q.pending[n].bytes <= size) {
		bytes += q.pending[n].bytes
		txs = append(txs, q.pending[n].tx)
		clock = q.pending[n].clock
		n++
		if txs[n-1].More || txs[n-1].Part > 0 {
			break // a part of a large transaction travels alone
		}
		if n < len(q.pending) && q.pending[n].tx.More && q.pending[n].tx.Part == 0 {
			break
		}
	}
	clear(q.pending[:n])
	q.pending = q.pending[n:]
	q.pendingBytes -= bytes
	if len(q.pending) == 0 {
		q.baseClock = clock
	}
	q.inflight++
	q.changed.Broadcast()
	return txs, clock, nil
}

// done notes that a batch with this clock is stored.
func (q *queue) done(clock uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inflight--
	q.stored = max(q.stored, clock)
	q.changed.Broadcast()
}

// fence waits until p has been reached; with raise it also makes sure that whatever
// is stamped later is greater, and that this is stored. It returns the last seq
// given.
func (q *queue) fence(ctx context.Context, p change.Position, raise uint64) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.wait(ctx, func() bool { return q.compare(q.processed, p) >= 0 }); err != nil {
		return 0, err
	}
	if raise > q.stored {
		q.stamper.Raise(raise)
		q.noteClock()
		q.fact = max(q.fact, raise)
		q.changed.Broadcast()
		if err := q.wait(ctx, func() bool { return q.stored >= raise }); err != nil {
			return 0, err
		}
	}
	return q.stamper.Seq(), nil
}
