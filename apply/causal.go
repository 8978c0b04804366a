package apply

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Causal order: what an origin had applied of the other sites before it wrote is
// applied here before that write. So a reader sees, with three sites and more too,
// only states that existed at some site, plus what was written here: a child never
// comes before its parent, nor one half of an account's story before the other.
//
// It is no condition of convergence. A site may be cut off from one whose writes reach
// it through a third, or that one may be gone for good: then nothing is gained by
// waiting, and after Options.CausalWait the link goes on without, until the missing
// link moves again. The fold makes the same rows in the end.

// progress wakes whoever waits for some link's checkpoint to move.
type progress struct {
	mu    sync.Mutex
	moved chan struct{} // closed and replaced at every commit; nil: nobody waits
}

func (p *progress) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	return p.moved
}

func (p *progress) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// waived is an origin that a link no longer waits for while it stands where it stood.
type waived map[change.Site]uint64

// lacks names an origin of which seen has more than is applied here; ok is false when
// there is none.
func (l *Link) lacks(seen change.Seen, waived waived) (origin change.Site, seq uint64, ok bool) {
	for o, n := range seen {
		other := l.agent.links[o]
		if other == nil || o == l.from || n == 0 {
			continue
		}
		at := other.appliedSeq()
		if given, is := waived[o]; is && given == at {
			continue
		}
		if at < n {
			return o, n, true
		}
	}
	return "", 0, false
}

func (l *Link) appliedSeq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.Applied.Seq
}

// inOrder returns how many of the first transactions may be applied now.
func (l *Link) inOrder(txs []change.Transaction, waived waived) int {
	if len(l.agent.links) == 1 {
		return len(txs)
	}
	for i := range txs {
		if i > 0 && sameSeen(txs[i].Seen, txs[i-1].Seen) {
			continue
		}
		if _, _, lacks := l.lacks(txs[i].Seen, waived); lacks {
			return i
		}
	}
	return len(txs)
}

func sameSeen(a, b change.Seen) bool {
	if len(a) != len(b) {
		return false
	}
	for o, n := range a {
		if b[o] != n {
			return false
		}
	}
	return true
}

// awaitSeen returns when what seen tells of is applied here, or has been waited for
// long enough: that is noted in waived.
func (l *Link) awaitSeen(ctx context.Context, seen change.Seen, waived waived) error {
	began := time.Now()
	timer := time.NewTimer(l.agent.o.CausalWait)
	defer timer.Stop()
	shown := time.NewTimer(time.Second)
	defer shown.Stop()
	for {
		moved := l.agent.progress.wait()
		origin, seq, lacks := l.lacks(seen, waived)
		if !lacks {
			return nil
		}
		select {
		case <-moved:
		case <-shown.C:
			l.set(Waiting, fmt.Sprintf("%s had applied transaction %d of %s, which is not here yet", l.from, seq, origin))
		case <-timer.C:
			waived[origin] = l.agent.links[origin].appliedSeq()
			l.log.Warn("not waiting any longer for causal order", "origin", string(origin), "seq", seq, "waited", time.Since(began).Round(time.Millisecond).String())
			timer.Reset(l.agent.o.CausalWait)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
