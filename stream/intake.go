package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-db/concord/internal/change"
)

// intake checks what comes from the origin against what the copy holds, and
// stores it as it is.
type intake struct {
	relay *Relay
	at    label // of the copy's last message
	empty bool  // the copy is

	// previous is the hash of the message before the next one in the origin's
	// stream, when it is known; taken is set once a message of this session was
	// looked at.
	previous *hash
	taken    bool

	// overlap is set while the origin publishes again what the copy holds.
	overlap *overlap
}

// plan finds the message of the origin's stream to go on with.
func (r *Relay) plan(ctx context.Context, origin, local jetstream.Stream, at copied) (*intake, uint64, error) {
	info, err := streamInfo(ctx, origin)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the state of site %s: %w", r.store.origin, err)
	}
	first, last := info.State.FirstSeq, info.State.LastSeq
	if info.State.Msgs == 0 {
		first = last + 1
	}
	in := &intake{relay: r, at: at.label, empty: at.label.epoch == 0}
	if in.empty {
		return in, first, nil
	}
	sequence := at.label.originSequence
	switch {
	case sequence+1 == first:
		// The origin has trimmed what we have and nothing else; its next frame shows
		// whether it follows.
		in.previous = &at.label.hash
		return in, first, nil
	case sequence < first:
		return nil, 0, fmt.Errorf("%w: site %s keeps its stream from message %d on, and %d is the next to copy: what is between was trimmed or purged",
			change.ErrNeedsCopy, r.store.origin, first, sequence+1)
	case sequence <= last:
		l, err := getLabel(ctx, origin, sequence)
		if err != nil {
			return nil, 0, err
		}
		if l.hash == at.label.hash {
			in.previous = &l.hash
			return in, sequence + 1, nil
		}
	}
	// What we have last is not there: the origin lost its end, or its stream was
	// made anew. What it has from the last common message on must be what we have.
	common, err := r.common(ctx, origin, local, at.sequence, first, last)
	if err != nil {
		return nil, 0, err
	}
	in.overlap = &overlap{log: &Log{r.store}, known: at.label.complete, tail: at.tail, epoch: at.label.epoch}
	if common.originSequence < first {
		return in, first, nil
	}
	in.previous = &common.hash
	return in, common.originSequence + 1, nil
}

// common returns the label of a message of the copy that is in the origin's stream
// too, the last such one it finds; one that the origin has trimmed, or the zero
// label, when it finds none. As each message names the hash of the one before it,
// those before a common one are common too, so a binary search will do; a copy
// that was spliced before may make it find an earlier one, which costs only time.
func (r *Relay) common(ctx context.Context, origin, local jetstream.Stream, end, first, last uint64) (label, error) {
	info, err := streamInfo(ctx, local)
	if err != nil {
		return label{}, fmt.Errorf("reading the state of the copy: %w", err)
	}
	var found label
	low, high := info.State.FirstSeq, end // the last one is known not to be
	for low < high {
		middle := low + (high-low)/2
		mine, err := getLabel(ctx, local, middle)
		if err != nil {
			return label{}, err
		}
		same := mine.originSequence < first
		if !same && mine.originSequence <= last {
			theirs, err := getLabel(ctx, origin, mine.originSequence)
			if err != nil {
				return label{}, err
			}
			same = theirs.hash == mine.hash
		}
		if same {
			found, low = mine, middle+1
		} else {
			high = middle
		}
	}
	return found, nil
}

// take checks and stores one message, number sequence of the origin's stream.
func (in *intake) take(ctx context.Context, m jetstream.Msg, sequence uint64) error {
	s := in.relay.store
	e, l, err := checkMessage(m.Headers(), m.Data(), s.cluster, s.origin)
	if err != nil {
		return err
	}
	if in.previous != nil && previousOf(e) != *in.previous {
		if in.taken {
			return errRewound // look again where the origin stands
		}
		return fmt.Errorf("%w: the chain is broken: the frame of seq %d to %d does not follow the one before it: the stream was replaced or restored",
			change.ErrNeedsCopy, l.first, l.last)
	}
	in.previous, in.taken = &l.hash, true
	l.originSequence, l.splice = sequence, false
	if in.overlap != nil {
		news, err := in.again(ctx, l, m.Data())
		if err != nil || !news {
			return err
		}
		l.splice = true
	} else if err := in.follows(l); err != nil {
		return err
	}
	if _, err := in.relay.appender.append(ctx, l, m.Data()); err != nil {
		return fmt.Errorf("storing the copy: %w", err)
	}
	in.at, in.empty = l, false
	return nil
}

// follows checks that a frame leaves no seq out. A new epoch in an unbroken chain
// is stored like anything else: it is for those who read it to stop there.
func (in *intake) follows(l label) error {
	switch {
	case in.empty || l.epoch > in.at.epoch:
		return nil
	case l.epoch < in.at.epoch:
		return fmt.Errorf("%w: a frame of epoch %d after epoch %d", change.ErrNeedsCopy, l.epoch, in.at.epoch)
	case l.first > in.at.last+1 || l.first <= l.last && l.first > in.at.complete+1:
		return fmt.Errorf("%w: transactions %d to %d are left out", change.ErrNeedsCopy, in.at.complete+1, l.first-1)
	}
	return nil
}

// again looks at a frame that the origin has published again and reports whether
// it is the first one with something new.
func (in *intake) again(ctx context.Context, l label, payload []byte) (bool, error) {
	if l.epoch != in.overlap.epoch {
		return false, fmt.Errorf("%w: site %s began epoch %d: its stream was replaced", change.ErrNeedsCopy, in.relay.store.origin, l.epoch)
	}
	if l.first > in.overlap.known+1 {
		return false, fmt.Errorf("%w: transactions %d to %d are left out", change.ErrNeedsCopy, in.overlap.known+1, l.first-1)
	}
	if err := in.overlap.compare(ctx, payload); err != nil {
		return false, err
	}
	if l.last <= in.overlap.known {
		return false, nil
	}
	in.close()
	in.relay.state(RelayStreaming, nil)
	return true, nil
}

// close gives up the comparison, if there is one.
func (in *intake) close() {
	if in.overlap != nil {
		in.overlap.close()
		in.overlap = nil
	}
}

// overlap compares the transactions that an origin publishes again after it lost
// the end of its stream with those in the copy. They may be framed differently,
// but must be the same: by seq, version and position.
type overlap struct {
	log   *Log
	epoch uint32
	known uint64 // last complete transaction of the copy
	tail  change.Tail

	theirs decoder
	ours   change.FrameReader
	begin  uint64 // first seq that ours can show
	frame  []change.Transaction
}

// compare looks at each transaction that both have. Of a large one only the last
// part is looked at.
func (o *overlap) compare(ctx context.Context, payload []byte) error {
	m, err := o.theirs.decode(payload)
	if err != nil {
		return err
	}
	for i := range m.frame.Transactions {
		t := &m.frame.Transactions[i]
		if t.More || t.Seq > o.known {
			continue
		}
		if t.Seq == o.known && t.Position != o.tail.Position {
			return fmt.Errorf("%w: transaction %d (%s at %s) is not the one that was copied (at %s): the origin's log was replaced or restored",
				change.ErrNeedsCopy, t.Seq, t.Version(), t.Position, o.tail.Position)
		}
		if err := o.open(ctx, t.Seq); err != nil {
			return err
		}
		if t.Seq < o.begin {
			continue
		}
		mine, err := o.find(ctx, t.Seq)
		if err != nil {
			return err
		}
		if mine.HLC != t.HLC || mine.Position != t.Position {
			return fmt.Errorf("%w: transaction %d (%s at %s) is not the one that was copied (%s at %s): the origin's log was replaced or restored",
				change.ErrNeedsCopy, t.Seq, t.Version(), t.Position, mine.Version(), mine.Position)
		}
	}
	return nil
}

// open reads the copy from seq on, or from where it begins.
func (o *overlap) open(ctx context.Context, seq uint64) error {
	if o.ours != nil {
		return nil
	}
	o.begin = seq
	r, err := o.log.Open(ctx, o.epoch, seq-1)
	if errors.Is(err, change.ErrNeedsCopy) { // it begins later
		var s LogStatus
		if s, err = o.log.Status(ctx); err != nil {
			return err
		}
		o.begin = s.FirstSeq + 1 // the first may lack its first parts
		r, err = o.log.Open(ctx, o.epoch, s.FirstSeq)
	}
	if err != nil {
		return fmt.Errorf("reading the copy: %w", err)
	}
	o.ours = r
	return nil
}

// find returns the copy's transaction seq. They are asked for in order.
func (o *overlap) find(ctx context.Context, seq uint64) (*change.Transaction, error) {
	for {
		for i := range o.frame {
			if t := &o.frame[i]; t.Seq == seq && !t.More {
				o.frame = o.frame[i:]
				return t, nil
			}
		}
		f, err := o.ours.Next(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the copy: %w", err)
		}
		o.frame = f.Transactions
	}
}

func (o *overlap) close() {
	if o.ours != nil {
		o.ours.Close()
	}
}
