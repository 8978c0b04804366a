package stream

import (
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// progress is where a stream stands after a frame.
type progress struct {
	tail change.Tail
	// last is the last seq begun: tail.Seq, or the one after it when some but not
	// all of its parts are stored.
	last uint64
	// part is the next part of seq last, when it is incomplete.
	part int
}

// incomplete reports whether a large transaction is under way.
func (p progress) incomplete() bool { return p.last > p.tail.Seq }

// advance returns where the stream stands after f, or an error when f does not
// follow: a seq left out or repeated, a part out of order, an older epoch. A newer
// epoch begins anew.
func (p progress) advance(f *change.Frame) (progress, error) {
	if f.Epoch == 0 || f.Epoch < p.tail.Epoch {
		return p, fmt.Errorf("the frame is of epoch %d but the stream is at epoch %d", f.Epoch, p.tail.Epoch)
	}
	anchored := f.Epoch == p.tail.Epoch
	if !anchored {
		p = progress{} // what the epochs before it stood at means nothing in this one
	}
	p.tail.Epoch, p.tail.Clock = f.Epoch, f.Clock
	for i := range f.Transactions {
		t := &f.Transactions[i]
		if t.Origin != f.Origin || t.Epoch != f.Epoch {
			return p, fmt.Errorf("transaction %d is of %s, epoch %d, in a frame of %s, epoch %d",
				t.Seq, t.Origin, t.Epoch, f.Origin, f.Epoch)
		}
		if !anchored {
			// The first transaction of an epoch may have any seq, except none.
			if t.Seq == 0 {
				return p, fmt.Errorf("a transaction without seq")
			}
			p.tail.Seq, p.last = t.Seq-1, t.Seq-1
			anchored = true
		}
		if err := p.step(t); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *progress) step(t *change.Transaction) error {
	if t.Seq != p.tail.Seq+1 {
		return fmt.Errorf("transaction %d does not follow transaction %d", t.Seq, p.tail.Seq)
	}
	// Part 0 begins anew: what is stored of this seq is void.
	if t.Part != 0 && (!p.incomplete() || t.Part != p.part) {
		return fmt.Errorf("part %d of transaction %d is out of order", t.Part, t.Seq)
	}
	p.last, p.part = t.Seq, t.Part+1
	if !t.More {
		p.tail.Seq, p.tail.Seen, p.tail.Position, p.part = t.Seq, t.Seen, t.Position, 0
	}
	return nil
}
