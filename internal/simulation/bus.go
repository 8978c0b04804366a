package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/concord-db/concord/internal/change"
)

// frames is a stream, or a copy of one: what is stored, and how much of it survives
// a crash.
type frames struct {
	mu      sync.Mutex
	stored  []*change.Frame
	synced  int
	life    int
	changed chan struct{}
	// next is, for a copy, the index in the origin's stream to copy next.
	next int
	// repeat: frames that are had already are stored again.
	repeat bool
	// patient: readers wait for further frames instead of failing.
	patient bool
}

func newFrames() *frames { return &frames{changed: make(chan struct{})} }

func (f *frames) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// crash loses up to lost frames of what is not synced.
func (f *frames) crash(lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored = f.stored[:max(f.synced, len(f.stored)-lost)]
	f.life++
	f.next = 0
	f.wake()
}

func (f *frames) sync() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced = len(f.stored)
}

// tail tells where the stream stands. Holds f.mu.
func (f *frames) tail() (t change.Tail, part int) {
	for i := len(f.stored) - 1; i >= 0; i-- {
		fr := f.stored[i]
		if i == len(f.stored)-1 {
			t.Epoch, t.Clock = fr.Epoch, fr.Clock
			if n := len(fr.Transactions); n > 0 && fr.Transactions[n-1].More {
				part = fr.Transactions[n-1].Part + 1
			}
		}
		for j := len(fr.Transactions) - 1; j >= 0; j-- {
			if x := &fr.Transactions[j]; !x.More {
				t.Seq, t.Seen, t.Position = x.Seq, x.Seen, x.Position
				return t, part
			}
		}
	}
	return t, part
}

// copyFrom relays up to n frames of the origin's stream, in order. It returns how
// many were stored.
func (f *frames) copyFrom(origin *frames, n int) int {
	origin.mu.Lock()
	all := origin.stored
	origin.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = min(f.next, len(all))
	stored := 0
	for ; n > 0 && f.next < len(all); n-- {
		fr := all[f.next]
		f.next++
		if !f.accepts(fr) {
			if f.gap(fr) { // the origin lost its end and stored it anew
				f.next = 0
				break
			}
			continue
		}
		f.stored = append(f.stored, fr)
		stored++
	}
	if stored > 0 {
		f.wake()
	}
	return stored
}

// accepts refuses what does not continue what is stored.
func (f *frames) accepts(fr *change.Frame) bool {
	n := len(fr.Transactions)
	if n == 0 {
		return true
	}
	x := &fr.Transactions[0]
	tail, part := f.tail()
	if x.More || x.Part > 0 {
		return x.Seq == tail.Seq+1 && (x.Part == 0 || x.Part == part)
	}
	return x.Seq <= tail.Seq+1 && (f.repeat || fr.Transactions[n-1].Seq > tail.Seq)
}

// gap reports whether something is missing between what is stored and fr.
func (f *frames) gap(fr *change.Frame) bool {
	tail, part := f.tail()
	x := &fr.Transactions[0]
	return x.Seq > tail.Seq+1 || x.Seq == tail.Seq+1 && x.Part > part
}

// Open implements apply.Log.
func (f *frames) Open(_ context.Context, _ uint32, after uint64) (change.FrameReader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &frameReader{f: f, life: f.life, seq: after, patient: f.patient}, nil
}

// Tail implements apply.Log.
func (f *frames) Tail(context.Context) (change.Tail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, _ := f.tail()
	return t, nil
}

// frameReader yields what is new of each frame, as a stream's reader does.
type frameReader struct {
	f       *frames
	life    int
	at      int
	seq     uint64 // last complete transaction returned or passed over
	patient bool   // wait for frames instead of failing
}

// errNothing: no further frame is stored.
var errNothing = errors.New("no further frame")

func (r *frameReader) Next(ctx context.Context) (*change.Frame, error) {
	for {
		r.f.mu.Lock()
		if r.life != r.f.life {
			r.f.mu.Unlock()
			return nil, errGone
		}
		for r.at < len(r.f.stored) {
			fr, err := r.fresh(r.f.stored[r.at])
			r.at++
			if fr != nil || err != nil {
				r.f.mu.Unlock()
				return fr, err
			}
		}
		changed := r.f.changed
		r.f.mu.Unlock()
		if !r.patient {
			return nil, errNothing
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// fresh drops what was had before; nil: everything.
func (r *frameReader) fresh(fr *change.Frame) (*change.Frame, error) {
	txs := fr.Transactions
	for len(txs) > 0 && txs[0].Seq <= r.seq {
		txs = txs[1:]
	}
	if len(txs) == 0 {
		return nil, nil
	}
	for i := range txs {
		if txs[i].Seq != r.seq+1 {
			return nil, fmt.Errorf("%w: transaction %d follows %d", change.ErrNeedsCopy, txs[i].Seq, r.seq)
		}
		if !txs[i].More {
			r.seq = txs[i].Seq
		}
	}
	out := *fr
	out.Transactions = append([]change.Transaction(nil), txs...)
	return &out, nil
}

func (r *frameReader) Ready() bool {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	return r.at < len(r.f.stored)
}

func (r *frameReader) Close() {}

// publisher appends to a site's own stream.
type publisher struct {
	f    *frames
	note func(*change.Frame) // sees every frame published
	// fail may lose a frame or the answer to it.
	fail func() (before, after error)
	// early acknowledges frames that are not stored yet: a mutation.
	early bool
	late  []*change.Frame
}

func (p *publisher) Tail(ctx context.Context) (change.Tail, error) {
	p.store()
	return p.f.Tail(ctx)
}

// store stores what was acknowledged early.
func (p *publisher) store() {
	if len(p.late) == 0 {
		return
	}
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	p.f.stored = append(p.f.stored, p.late...)
	p.f.synced = len(p.f.stored)
	p.late = nil
}

func (p *publisher) Publish(_ context.Context, f *change.Frame) (change.Ack, error) {
	before, after := error(nil), error(nil)
	if p.fail != nil {
		before, after = p.fail()
	}
	if before != nil {
		return nil, before
	}
	if p.note != nil {
		p.note(f)
	}
	if p.early {
		p.late = append(p.late, f)
		return &ack{f: p.f, index: -1}, after
	}
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	p.f.stored = append(p.f.stored, f)
	p.f.wake()
	return &ack{f: p.f, index: len(p.f.stored) - 1, life: p.f.life}, after
}

type ack struct {
	f     *frames
	index int
	life  int
}

// Wait syncs the stream up to the frame.
func (a *ack) Wait(context.Context) error {
	if a.index < 0 {
		return nil
	}
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	if a.life != a.f.life {
		return errGone
	}
	a.f.synced = max(a.f.synced, a.index+1)
	return nil
}
