package stream

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/internal/change"
)

// pair is two sites, mumbai being the origin and pune the one that copies.
type pair struct {
	t            *testing.T
	mumbai, pune *site
	relay        *Relay
	copy         *Log
	wait         func() error // for the relay to end
	stop         func() error
}

func newPair(t *testing.T, o RelayOptions) *pair {
	p := &pair{t: t, mumbai: newSite(t, "mumbai"), pune: newSite(t, "pune")}
	p.start(o)
	t.Cleanup(func() { _ = p.stop() })
	return p
}

// start runs a new relay.
func (p *pair) start(o RelayOptions) {
	addr := p.mumbai.addr
	p.relay = NewRelay(p.pune.bus, "shop", "pune", "mumbai", func(ctx context.Context) (*Bus, error) {
		return Connect(ctx, Dial{URL: addr, Name: "relay"})
	}, o)
	p.copy = NewLog(p.pune.bus, "shop", "pune", "mumbai")
	ctx, cancel := context.WithCancel(context.Background())
	relay, group := p.relay, new(errgroup.Group)
	group.Go(func() error { return relay.Run(ctx) })
	p.wait = group.Wait
	p.stop = func() error {
		cancel()
		return group.Wait()
	}
}

// arrives waits until the copy ends with transaction seq.
func (p *pair) arrives(seq uint64) {
	p.t.Helper()
	p.state(RelayStreaming, func(s RelayStatus) bool { return s.StoredSeq == seq })
	tail, err := p.copy.Tail(testContext(p.t))
	if err != nil || tail.Seq != seq {
		p.t.Fatalf("the copy ends with %d, %v, want %d", tail.Seq, err, seq)
	}
}

// state waits for the relay to be in a state.
func (p *pair) state(want RelayState, more ...func(RelayStatus) bool) RelayStatus {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s := p.relay.Status()
		ok := s.State == want
		for _, m := range more {
			ok = ok && m(s)
		}
		if ok {
			return s
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waited in vain for %s: %+v", want, s)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// whole checks that the copy holds transactions 1 to last, each once for its
// readers.
func (p *pair) whole(last uint64) {
	p.t.Helper()
	if got := seqs(read(p.t, p.copy, 0, last)); !slices.Equal(got, sequence(1, last)) {
		p.t.Errorf("the copy reads %v", got)
	}
}

func TestRelayCopiesFramesAsTheyAre(t *testing.T) {
	p := newPair(t, RelayOptions{})
	ctx := testContext(t)
	publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 3), clockOnly("mumbai", 1<<60), frame(part("mumbai", 4, 0, true)),
		frame(part("mumbai", 4, 1, false)), run("mumbai", 5, 9))
	p.arrives(9)
	theirs, err := p.mumbai.bus.js.Stream(ctx, StreamName("shop", "mumbai"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := p.pune.bus.js.Stream(ctx, CopyName("shop", "pune", "mumbai"))
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 5; n++ {
		a, err := theirs.GetMsg(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ours.GetMsg(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Data, b.Data) {
			t.Errorf("message %d differs", n)
		}
	}
	if s := p.relay.Status(); s.OriginSeq != 9 || s.LastMessage.IsZero() || s.Reason != "" {
		t.Errorf("status %+v", s)
	}
}

func TestRelayResumesAfterRestartsOfBothSides(t *testing.T) {
	p := newPair(t, RelayOptions{})
	publisher := p.mumbai.publisher(PublisherOptions{})
	publish(t, publisher, run("mumbai", 1, 5))
	p.arrives(5)

	p.mumbai.stop()
	down := p.state(RelayUnreachable)
	if down.Reason == "" || time.Since(down.Since) > patience {
		t.Errorf("status %+v", down)
	}
	p.mumbai.start()
	publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 6, 8))
	p.arrives(8)

	_ = p.stop()
	publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 9, 20))
	p.pune.stop()
	p.pune.start()
	p.start(RelayOptions{})
	p.arrives(20)
	p.whole(20)
}

func TestRelayWaitsForAPeerThatIsNotThereYet(t *testing.T) {
	p := newPair(t, RelayOptions{})
	if s := p.state(RelayUnreachable); !strings.Contains(s.Reason, "stream not found") {
		t.Errorf("reason %q", s.Reason)
	}
	publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 2))
	p.arrives(2)
}

// snapshot remembers a stopped site's disk; restore brings it back, as a power
// failure does that loses what was not yet written.
func (s *site) snapshot() {
	s.t.Helper()
	if err := os.CopyFS(s.dir+".old", os.DirFS(s.dir)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) restore() {
	s.t.Helper()
	for _, err := range []error{os.RemoveAll(s.dir), os.Rename(s.dir+".old", s.dir)} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// loseTail makes mumbai publish 1 to 5 and then what more says, lets it be copied,
// and then lose all after 5.
func (p *pair) loseTail(copied uint64, more ...*change.Frame) {
	p.t.Helper()
	publish(p.t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 3), run("mumbai", 4, 5))
	p.arrives(5)
	p.mumbai.stop()
	p.mumbai.snapshot()
	p.mumbai.start()
	publish(p.t, p.mumbai.publisher(PublisherOptions{}), more...)
	p.arrives(copied)
	p.mumbai.stop()
	p.mumbai.restore()
	p.mumbai.start()
}

func TestALostTailThatIsPublishedAgainIsRecognised(t *testing.T) {
	large := func(seq uint64, parts int) []*change.Frame {
		var all []*change.Frame
		for n := range parts {
			all = append(all, frame(part("mumbai", seq, n, n < parts-1)))
		}
		return all
	}
	tests := []struct {
		name   string
		before []*change.Frame
		copied uint64
		again  []*change.Frame
		last   uint64
	}{
		{"framed alike", []*change.Frame{run("mumbai", 6, 10)}, 10,
			[]*change.Frame{run("mumbai", 6, 10), run("mumbai", 11, 12)}, 12},
		{"framed smaller", []*change.Frame{run("mumbai", 6, 10)}, 10,
			[]*change.Frame{run("mumbai", 6, 7), run("mumbai", 8, 8), run("mumbai", 9, 10), run("mumbai", 11, 12)}, 12},
		{"framed larger", []*change.Frame{run("mumbai", 6, 6), run("mumbai", 7, 10)}, 10,
			[]*change.Frame{run("mumbai", 6, 15)}, 15},
		{"with a clock between", []*change.Frame{run("mumbai", 6, 10), clockOnly("mumbai", 1<<60)}, 10,
			[]*change.Frame{run("mumbai", 6, 8), clockOnly("mumbai", 1<<59), run("mumbai", 9, 12)}, 12},
		{"within a large transaction", append([]*change.Frame{run("mumbai", 6, 7)}, large(8, 4)[:2]...), 7,
			append([]*change.Frame{run("mumbai", 6, 7)}, large(8, 3)...), 8},
		{"with a large transaction", append(large(6, 3), run("mumbai", 7, 8)), 8,
			append(large(6, 3), run("mumbai", 7, 9)), 9},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t, RelayOptions{})
			p.loseTail(test.copied, test.before...)
			p.state(RelayRewound)
			publisher := p.mumbai.publisher(PublisherOptions{})
			publish(t, publisher, test.again...)
			p.arrives(test.last)
			all := read(t, p.copy, 0, test.last)
			var complete []uint64
			for _, x := range all {
				if !x.More {
					complete = append(complete, x.Seq)
				}
			}
			if !slices.Equal(complete, sequence(1, test.last)) {
				t.Errorf("the copy reads %v", complete)
			}
			// And from the middle of what was spliced.
			if got := read(t, p.copy, 6, test.last); got[len(got)-1].Seq != test.last || got[0].Seq != 7 {
				t.Errorf("the copy reads %v after 6", seqs(got))
			}
			publish(t, publisher, run("mumbai", test.last+1, test.last+5))
			p.arrives(test.last + 5)
		})
	}
}

func TestALostTailThatComesBackDifferentNeedsACopy(t *testing.T) {
	other := run("mumbai", 6, 12)
	other.Transactions[4].Position = "9/FFFF"
	for name, again := range map[string]*change.Frame{
		"another transaction": other,
		"its last one":        func() *change.Frame { f := run("mumbai", 6, 10); f.Transactions[4].Position = "9/FFFF"; return f }(),
		"another version":     func() *change.Frame { f := run("mumbai", 6, 12); f.Transactions[0].HLC++; return f }(),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, RelayOptions{})
			p.loseTail(10, run("mumbai", 6, 10))
			publish(t, p.mumbai.publisher(PublisherOptions{}), again)
			if s := p.state(RelayNeedsCopy); !strings.Contains(s.Reason, "is not the one that was copied") || s.StoredSeq != 10 {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestAReplacedStreamIsFoundOut(t *testing.T) {
	name := StreamName("shop", "mumbai")
	t.Run("purged beyond the copy", func(t *testing.T) {
		p := newPair(t, RelayOptions{})
		publisher := p.mumbai.publisher(PublisherOptions{})
		publish(t, publisher, run("mumbai", 1, 3))
		p.arrives(3)
		_ = p.stop()
		publish(t, publisher, run("mumbai", 4, 4), run("mumbai", 5, 5), run("mumbai", 6, 6))
		stream, err := p.mumbai.bus.js.Stream(testContext(t), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(testContext(t), jetstream.WithPurgeSequence(3)); err != nil {
			t.Fatal(err)
		}
		p.start(RelayOptions{})
		if s := p.state(RelayNeedsCopy); !strings.Contains(s.Reason, "purged") {
			t.Errorf("reason %q", s.Reason)
		}
	})
	t.Run("trimmed up to the copy", func(t *testing.T) {
		p := newPair(t, RelayOptions{})
		publisher := p.mumbai.publisher(PublisherOptions{})
		publish(t, publisher, run("mumbai", 1, 3))
		p.arrives(3)
		_ = p.stop()
		publish(t, publisher, run("mumbai", 4, 4), run("mumbai", 5, 5))
		if err := NewLog(p.mumbai.bus, "shop", "mumbai", "mumbai").Trim(testContext(t), 4); err != nil {
			t.Fatal(err)
		}
		p.start(RelayOptions{})
		p.arrives(5)
		p.whole(5)
	})
	t.Run("made anew with other transactions", func(t *testing.T) {
		p := newPair(t, RelayOptions{})
		publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 3), run("mumbai", 4, 4))
		p.arrives(4)
		p.mumbai.remove(name)
		other := run("mumbai", 1, 9)
		for i := range other.Transactions {
			other.Transactions[i].Position += "0"
		}
		publish(t, p.mumbai.publisher(PublisherOptions{}), other)
		if s := p.state(RelayNeedsCopy); !strings.Contains(s.Reason, "is not the one that was copied") {
			t.Errorf("reason %q", s.Reason)
		}
	})
	t.Run("made anew, longer than before", func(t *testing.T) {
		p := newPair(t, RelayOptions{})
		publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 3), run("mumbai", 4, 4))
		p.arrives(4)
		_ = p.stop()
		p.mumbai.remove(name)
		publisher := p.mumbai.publisher(PublisherOptions{})
		for seq := uint64(1); seq < 9; seq++ {
			f := run("mumbai", seq, seq)
			f.Transactions[0].Position += "0"
			publish(t, publisher, f)
		}
		p.start(RelayOptions{})
		p.state(RelayNeedsCopy)
	})
	t.Run("made anew with the same transactions", func(t *testing.T) {
		p := newPair(t, RelayOptions{})
		publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 3), run("mumbai", 4, 4))
		p.arrives(4)
		p.mumbai.remove(name)
		publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 9))
		p.arrives(9)
		p.whole(9)
	})
	t.Run("made anew, behind a copy trimmed to its last frame", func(t *testing.T) {
		p := newPair(t, RelayOptions{})
		publish(t, p.mumbai.publisher(PublisherOptions{}), run("mumbai", 1, 3), run("mumbai", 4, 4))
		p.arrives(4)
		if err := p.copy.Trim(testContext(t), 100); err != nil {
			t.Fatal(err)
		}
		p.mumbai.remove(name)
		other := run("mumbai", 1, 9)
		for i := range other.Transactions {
			other.Transactions[i].Position += "0"
		}
		publish(t, p.mumbai.publisher(PublisherOptions{}), other)
		p.state(RelayNeedsCopy)
	})
}

func TestAFullCopyStopsTheRelayUntilItIsTrimmed(t *testing.T) {
	p := newPair(t, RelayOptions{MaxBytes: 64 << 10})
	publisher := p.mumbai.publisher(PublisherOptions{Compression: Uncompressed})
	for seq := uint64(1); seq <= 250; seq++ {
		if _, err := publisher.Publish(testContext(t), run("mumbai", seq, seq)); err != nil {
			t.Fatal(err)
		}
	}
	full := p.state(RelayFull, func(s RelayStatus) bool { return s.PendingMessages > 0 && s.OriginSeq == 250 })
	if full.StoredSeq == 0 || full.PendingBytes == 0 || full.Reason == "" {
		t.Errorf("status %+v", full)
	}
	for seq := full.StoredSeq; seq < 250; {
		if err := p.copy.Trim(testContext(t), seq); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the relay goes on", func() bool { return p.relay.Status().StoredSeq > seq })
		seq = p.relay.Status().StoredSeq
	}
	p.arrives(250)
}

func TestASecondRelayOfASiteTakesOver(t *testing.T) {
	p := newPair(t, RelayOptions{})
	publisher := p.mumbai.publisher(PublisherOptions{})
	publish(t, publisher, run("mumbai", 1, 1))
	p.arrives(1)
	fenced := make(chan error, 1)
	stopFirst := p.stop
	go func(wait func() error) { fenced <- wait() }(p.wait)
	defer func() { _ = stopFirst() }()
	p.start(RelayOptions{})
	seq := uint64(1)
	var err error
	eventually(t, "one of two relays gives way", func() bool {
		seq++
		publish(t, publisher, run("mumbai", seq, seq))
		select {
		case err = <-fenced:
			return true
		default:
			return false
		}
	})
	if !errors.Is(err, change.ErrStandby) {
		t.Errorf("the first relay ended with %v, want standby", err)
	}
	p.arrives(seq)
	p.whole(seq)
}

func TestANewEpochIsCopiedAndStopsItsReaders(t *testing.T) {
	p := newPair(t, RelayOptions{})
	publisher := p.mumbai.publisher(PublisherOptions{})
	second := run("mumbai", 1, 2)
	second.Epoch = 2
	for i := range second.Transactions {
		second.Transactions[i].Epoch = 2
	}
	publish(t, publisher, run("mumbai", 1, 3))
	p.arrives(3)
	r, err := p.copy.Open(testContext(t), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	publish(t, publisher, second)
	p.arrives(2)
	if f, err := r.Next(testContext(t)); err != nil || len(f.Transactions) != 3 {
		t.Fatalf("%+v, %v", f, err)
	}
	if _, err := r.Next(testContext(t)); !errors.Is(err, change.ErrNeedsCopy) || !strings.Contains(err.Error(), "epoch 2") {
		t.Errorf("got %v, want needs_copy for epoch 2", err)
	}
}
