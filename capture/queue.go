package capture

import (
	"context"
	"sync"
	"time"

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
	again        change.Position // up to here an earlier session has stamped
	begun        bool            // and a part of the large transaction that comes next
	large        bool            // some but not all parts of a transaction were stamped
	before       uint64          // the clock before it was
	fact         uint64          // greatest clock a fence asked to be stored
	stored       uint64          // greatest clock that is stored
	fencing      int             // fences that wait for a position
	releases     releases        // of the settling goroutine alone
	told         told            // of the publishing goroutine alone
	closed       error

	// Set before use. size is the size of a frame; linger is how long a frame that has
	// room waits for more when transactions come fast: 0 never waits.
	size   int
	linger time.Duration
	// ask is called now and then while a fence waits for a position; may be nil.
	ask func()
	// The last batch: how many transactions, and when it was taken.
	last   int
	lastAt time.Time
}

type item struct {
	tx    change.Transaction
	bytes int
	// clock is the stamper's when the next item was stamped. Parts of a transaction
	// that are not the last carry what it was before the first: should the stream end
	// with them, the transaction is stamped again, and the same.
	clock uint64
}

func newQueue(s *Stamper, stored uint64, compare func(a, b change.Position) int) *queue {
	q := &queue{stamper: s, compare: compare, baseClock: s.Clock(), stored: stored, fact: stored}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// wait blocks until ok, the queue is closed, or ctx ends. Holds q.mu.
func (q *queue) wait(ctx context.Context, ok func() bool) error {
	switch {
	case q.closed != nil:
		return q.closed
	case ok():
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
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
	if q.fencing > 0 {
		q.changed.Broadcast()
	}
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
	before := q.stamper.Clock()
	if e.Part > 0 {
		before = q.before
	}
	tx := q.stamper.Local(e)
	feed(&tx)
	clock := q.stamper.Clock()
	if q.large, q.before = e.More, before; e.More {
		clock = before
	}
	q.pending = append(q.pending, item{tx: tx, bytes: bytes, clock: clock})
	q.pendingBytes += bytes
	if !e.More {
		q.reach(e.Position)
		q.begun = q.begun && q.compare(e.Position, q.again) <= 0
	}
	// Nobody is woken for nothing: the publisher waits for the first, and then for
	// enough.
	if len(q.pending) == 1 || q.pendingBytes >= q.size {
		q.changed.Broadcast()
	}
	return nil
}

// fast is how many transactions must have come while a frame was on its way, or be in
// the frame just before, for the next one to wait for more: at a rate where that costs
// less than it saves.
const fast = 4

// quick reports whether transactions come fast. A log that is read in pieces shows one
// transaction at first: the frame before it tells that more follow.
func (q *queue) quick() bool {
	return len(q.pending) >= fast || q.last >= fast && time.Since(q.lastAt) < 4*q.linger
}

// gather waits, when transactions come fast, until a frame is full or linger is over.
func (q *queue) gather(ctx context.Context) error {
	if q.linger == 0 || !q.quick() || q.pendingBytes >= q.size || q.fact > q.stored {
		return nil
	}
	over := false
	t := time.AfterFunc(q.linger, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		over = true
		q.changed.Broadcast()
	})
	defer t.Stop()
	return q.wait(ctx, func() bool { return over || q.pendingBytes >= q.size || q.fact > q.stored })
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
	if err == nil && q.inflight == 0 {
		err = q.gather(ctx)
	}
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
	q.last, q.lastAt = n, time.Now()
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
// is stamped later is greater, and that this is stored. A large transaction that has
// its stamp already is waited for: what of it is still to be read would be less. So
// is what an earlier session has stamped, a large transaction in part: the bus may have
// lost it, and a peer or the window may have it, so it must be stamped again as it was. It returns the last seq given.
func (q *queue) fence(ctx context.Context, p change.Position, raise uint64) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fencing++
	defer func() { q.fencing-- }()
	if q.ask != nil && q.compare(q.processed, p) < 0 {
		stop := q.keepAsking()
		defer stop()
	}
	if err := q.wait(ctx, func() bool {
		return q.compare(q.processed, p) >= 0 && (raise == 0 || !q.large && !q.begun && q.compare(q.processed, q.again) >= 0)
	}); err != nil {
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

// askInterval is how long a fence waits before the database is asked how far its log
// has been read, and then again: long enough not to ask when all is well.
const askInterval = 20 * time.Millisecond

// keepAsking asks every askInterval until the returned function is called. Both hold
// q.mu.
func (q *queue) keepAsking() (stop func()) {
	stopped := false
	var t *time.Timer
	t = time.AfterFunc(askInterval, func() {
		q.ask()
		q.mu.Lock()
		defer q.mu.Unlock()
		if !stopped {
			t.Reset(askInterval)
		}
	})
	return func() {
		stopped = true
		t.Stop()
	}
}
