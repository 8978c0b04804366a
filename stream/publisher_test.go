package stream

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/internal/change"
)

func TestTailOfAnEmptyStreamIsZero(t *testing.T) {
	s := newSite(t, "mumbai")
	tail, err := NewPublisher(s.bus, "shop", "mumbai", PublisherOptions{}).Tail(testContext(t))
	if err != nil || !sameTail(tail, change.Tail{}) {
		t.Fatalf("tail %+v, %v", tail, err)
	}
}

func TestPublishedFramesAreReadBackAfterARestart(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	p := s.publisher(PublisherOptions{})
	var acks []change.Ack
	for first := uint64(1); first <= 1000; first += 10 {
		ack, err := p.Publish(ctx, run("mumbai", first, first+9))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		if err := ack.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.stop()
	s.start()
	tail, err := NewPublisher(s.bus, "shop", "mumbai", PublisherOptions{}).Tail(ctx)
	if err != nil {
		t.Fatal(err)
	}
	last := tx("mumbai", 1000)
	want := change.Tail{Epoch: 1, Seq: 1000, Clock: last.HLC, Seen: last.Seen, Position: last.Position}
	if !sameTail(tail, want) {
		t.Errorf("tail %+v, want %+v", tail, want)
	}
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	if got := seqs(read(t, l, 0, 1000)); !slices.Equal(got, sequence(1, 1000)) {
		t.Errorf("read %d transactions back", len(got))
	}
}

// The tail is where the origin resumes: the last transaction that is complete,
// with the clock as of the last frame.
func TestTail(t *testing.T) {
	later := tx("mumbai", 50).HLC
	three := tx("mumbai", 3)
	tests := []struct {
		name   string
		frames []*change.Frame
		want   change.Tail
	}{
		{"ends with a transaction", []*change.Frame{run("mumbai", 1, 3)},
			change.Tail{Epoch: 1, Seq: 3, Clock: three.HLC, Seen: three.Seen, Position: three.Position}},
		{"ends with a clock", []*change.Frame{run("mumbai", 1, 3), clockOnly("mumbai", later)},
			change.Tail{Epoch: 1, Seq: 3, Clock: later, Seen: three.Seen, Position: three.Position}},
		{"is only a clock", []*change.Frame{clockOnly("mumbai", later)}, change.Tail{Epoch: 1, Clock: later}},
		{"ends within a large transaction",
			[]*change.Frame{run("mumbai", 1, 3), frame(part("mumbai", 4, 0, true)), frame(part("mumbai", 4, 1, true))},
			change.Tail{Epoch: 1, Seq: 3, Clock: tx("mumbai", 4).HLC, Seen: three.Seen, Position: three.Position}},
		{"ends with the begin of a large transaction in the same frame",
			[]*change.Frame{frame(tx("mumbai", 1), tx("mumbai", 2), tx("mumbai", 3), part("mumbai", 4, 0, true))},
			change.Tail{Epoch: 1, Seq: 3, Clock: tx("mumbai", 4).HLC, Seen: three.Seen, Position: three.Position}},
		{"ends with a clock within a large transaction",
			[]*change.Frame{run("mumbai", 1, 3), frame(part("mumbai", 4, 0, true)), clockOnly("mumbai", later)},
			change.Tail{Epoch: 1, Seq: 3, Clock: later, Seen: three.Seen, Position: three.Position}},
	}
	s := newSite(t, "mumbai")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer s.remove(StreamName("shop", "mumbai"))
			publish(t, s.publisher(PublisherOptions{}), test.frames...)
			tail, err := NewPublisher(s.bus, "shop", "mumbai", PublisherOptions{}).Tail(testContext(t))
			if err != nil || !sameTail(tail, test.want) {
				t.Errorf("tail %+v, %v, want %+v", tail, err, test.want)
			}
		})
	}
}

// remove deletes a stream, as an operator's mistake would.
func (s *site) remove(name string) {
	s.t.Helper()
	if err := s.bus.js.DeleteStream(testContext(s.t), name); err != nil {
		s.t.Fatal(err)
	}
	// The server answers before the files are gone, which it has renamed with dots
	// in front; a second removal meanwhile would leave its files for the next stream.
	eventually(s.t, "the stream's files are gone", func() bool {
		found, err := filepath.Glob(filepath.Join(s.dir, "jetstream", "*", "streams", "*"+name))
		return err == nil && len(found) == 0
	})
}

func TestFramesThatDoNotFollowAreRefused(t *testing.T) {
	s := newSite(t, "mumbai")
	p := s.publisher(PublisherOptions{})
	publish(t, p, run("mumbai", 1, 3))
	old := run("mumbai", 4, 4)
	old.Epoch, old.Transactions[0].Epoch = 0, 0
	foreign := run("pune", 4, 4)
	for name, f := range map[string]*change.Frame{
		"a gap": run("mumbai", 5, 5), "a repetition": run("mumbai", 3, 4), "no epoch": old, "another site's": foreign,
		"a later part": frame(part("mumbai", 4, 1, false)),
	} {
		if _, err := p.Publish(testContext(t), f); err == nil {
			t.Errorf("%s was published", name)
		}
	}
	publish(t, p, run("mumbai", 4, 4)) // nothing was sent, so nothing is broken
}

func TestTheSecondPublisherFencesTheFirst(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	first := s.publisher(PublisherOptions{})
	publish(t, first, run("mumbai", 1, 1))
	second := s.publisher(PublisherOptions{}) // has only looked: it disturbs nobody
	publish(t, first, run("mumbai", 2, 2))
	if _, err := second.Publish(ctx, run("mumbai", 2, 2)); err == nil {
		t.Fatal("a publisher that did not know the stream's end has published")
	}
	if _, err := second.Tail(ctx); err != nil {
		t.Fatal(err)
	}
	publish(t, second, run("mumbai", 3, 3))
	var acks []change.Ack
	for seq := uint64(3); seq < 7; seq++ {
		ack, err := first.Publish(ctx, run("mumbai", seq, seq))
		if err != nil {
			if !errors.Is(err, change.ErrStandby) {
				t.Fatal(err)
			}
			break
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		if err := ack.Wait(ctx); !errors.Is(err, change.ErrStandby) {
			t.Errorf("got %v, want standby", err)
		}
	}
	if _, err := first.Publish(ctx, run("mumbai", 7, 7)); !errors.Is(err, change.ErrStandby) {
		t.Errorf("publishing goes on after the fence: %v", err)
	}
	publish(t, second, run("mumbai", 4, 4))
	if got := seqs(read(t, NewLog(s.bus, "shop", "mumbai", "mumbai"), 0, 4)); !slices.Equal(got, sequence(1, 4)) {
		t.Errorf("stored %v", got)
	}
}

func TestAFullStreamStopsAndGoesOnAfterTrim(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	p := s.publisher(PublisherOptions{MaxBytes: 64 << 10, Compression: Uncompressed})
	var full error
	stored := uint64(0)
	for seq := uint64(1); full == nil; seq++ {
		ack, err := p.Publish(ctx, run("mumbai", seq, seq))
		if err == nil {
			err = ack.Wait(ctx)
		}
		if full = err; err == nil {
			stored = seq
		}
	}
	if !errors.Is(full, change.ErrStreamFull) {
		t.Fatalf("got %v, want stream_full", full)
	}
	if _, err := p.Publish(ctx, run("mumbai", stored+2, stored+2)); !errors.Is(err, change.ErrStreamFull) {
		t.Fatalf("publishing goes on behind the hole: %v", err)
	}
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	if err := l.Trim(ctx, stored/2); err != nil {
		t.Fatal(err)
	}
	tail, err := p.Tail(ctx)
	if err != nil || tail.Seq != stored {
		t.Fatalf("tail %d, %v, want %d", tail.Seq, err, stored)
	}
	publish(t, p, run("mumbai", stored+1, stored+3))
	if got := seqs(read(t, l, stored/2-1, stored+3)); !slices.Equal(got, sequence(stored/2, stored+3)) {
		t.Errorf("kept %v", got)
	}
	if _, err := l.Open(ctx, 1, stored/2-2); !errors.Is(err, change.ErrNeedsCopy) {
		t.Errorf("opening before what was kept: %v", err)
	}
}

func TestTrimKeepsTheLastFrame(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	publish(t, s.publisher(PublisherOptions{}), run("mumbai", 1, 5), run("mumbai", 6, 9))
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	if err := l.Trim(ctx, 1000); err != nil {
		t.Fatal(err)
	}
	status, err := l.Status(ctx)
	if err != nil || status.Messages != 1 || status.FirstSeq != 6 || status.LastSeq != 9 || status.Epoch != 1 {
		t.Errorf("status %+v, %v", status, err)
	}
}

// Killing the bus with frames in flight leaves a prefix of them. The publisher
// finds its end and continues; every transaction is there once.
func TestKillInMidPipeline(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	p := s.publisher(PublisherOptions{})
	var acks []change.Ack
	for seq := uint64(1); seq <= 50; seq++ {
		ack, err := p.Publish(ctx, run("mumbai", seq, seq))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	s.stop()
	acked := uint64(0)
	failed := false
	for i, ack := range acks {
		err := ack.Wait(ctx)
		if err == nil && failed {
			t.Fatal("an acknowledgement behind a failed one")
		}
		if failed = failed || err != nil; !failed {
			acked = uint64(i + 1)
		}
	}
	s.start()
	q := NewPublisher(s.bus, "shop", "mumbai", PublisherOptions{})
	tail, err := q.Tail(ctx)
	if err != nil || tail.Seq < acked {
		t.Fatalf("stored up to %d, %v, but %d was acknowledged", tail.Seq, err, acked)
	}
	t.Logf("acknowledged %d, stored %d", acked, tail.Seq)
	publish(t, q, run("mumbai", tail.Seq+1, 60))
	if got := seqs(read(t, NewLog(s.bus, "shop", "mumbai", "mumbai"), 0, 60)); !slices.Equal(got, sequence(1, 60)) {
		t.Errorf("stored %v", got)
	}
}

// A publisher survives the loss of its connection: after the error it reads the
// end and continues, and is not taken for a stranger.
func TestPublisherContinuesAfterADisconnect(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	p := s.publisher(PublisherOptions{})
	publish(t, p, run("mumbai", 1, 1))
	next := uint64(2)
	for range 5 {
		for range 20 {
			if _, err := p.Publish(ctx, run("mumbai", next, next)); err != nil {
				break
			}
			next++
		}
		if err := s.bus.nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the tail is read after the disconnect", func() bool {
			tail, err := p.Tail(ctx)
			if errors.Is(err, change.ErrStandby) {
				t.Fatal(err)
			}
			next = tail.Seq + 1
			return err == nil
		})
	}
	for {
		ack, err := p.Publish(ctx, run("mumbai", next, next))
		if err == nil {
			err = ack.Wait(ctx)
		}
		if err == nil {
			break
		}
		if errors.Is(err, change.ErrStandby) {
			t.Fatal(err)
		}
		tail, err := p.Tail(ctx)
		if err != nil {
			t.Fatal(err)
		}
		next = tail.Seq + 1
	}
	if got := seqs(read(t, NewLog(s.bus, "shop", "mumbai", "mumbai"), 0, next)); !slices.Equal(got, sequence(1, next)) {
		t.Errorf("stored %v", got)
	}
}

func TestAnEmptiedStreamIsNotContinued(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	publish(t, s.publisher(PublisherOptions{}), run("mumbai", 1, 3))
	stream, err := s.bus.js.Stream(ctx, StreamName("shop", "mumbai"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := NewPublisher(s.bus, "shop", "mumbai", PublisherOptions{}).Tail(ctx); !errors.Is(err, change.ErrNeedsCopy) {
		t.Errorf("got %v, want needs_copy", err)
	}
}

func TestANewEpochBeginsAnew(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	p := s.publisher(PublisherOptions{})
	second := func(f *change.Frame) *change.Frame {
		f.Epoch = 2
		for i := range f.Transactions {
			f.Transactions[i].Epoch = 2
		}
		return f
	}
	publish(t, p, run("mumbai", 1, 5), second(clockOnly("mumbai", 1<<60)), second(run("mumbai", 1, 2)), second(run("mumbai", 3, 3)))
	if tail, err := p.Tail(ctx); err != nil || tail.Epoch != 2 || tail.Seq != 3 {
		t.Fatalf("tail %+v, %v", tail, err)
	}
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	if _, err := l.Open(ctx, 1, 5); !errors.Is(err, change.ErrNeedsCopy) {
		t.Errorf("epoch 1 goes on: %v", err)
	}
	r, err := l.Open(ctx, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.Next(ctx)
	if err != nil || len(f.Transactions) != 1 || f.Transactions[0].Seq != 2 || f.Epoch != 2 {
		t.Errorf("epoch 2 after 1 begins with %+v, %v", f, err)
	}
}

func TestOneHugeRowPassesAndALargerOneIsNamed(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	p := s.publisher(PublisherOptions{Compression: Uncompressed})
	huge := func(seq uint64, n int) *change.Frame {
		f := run("mumbai", seq, seq)
		f.Transactions[0].Rows[0].New[2] = change.TextValue(strings.Repeat("x", n))
		return f
	}
	publish(t, p, huge(1, 5<<20), huge(2, 7<<20))
	if _, err := p.Publish(ctx, huge(3, 9<<20)); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "public.orders") {
		t.Errorf("got %v, want a refusal that names public.orders", err)
	}
	got := read(t, NewLog(s.bus, "shop", "mumbai", "mumbai"), 0, 2)
	if n := len(got[0].Rows[0].New[2].Text); n != 5<<20 {
		t.Errorf("read %d bytes", n)
	}
	if tail, err := p.Tail(ctx); err != nil || tail.Seq != 2 {
		t.Errorf("tail %+v, %v", tail, err)
	}
}

// Streams that would lose what they acknowledged are refused by the reason.
func TestUnfitStreamsAreRefused(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	base := store{bus: s.bus, name: StreamName("shop", "mumbai"), subject: framesSubject("shop", "mumbai"), cluster: "shop", origin: "mumbai"}
	tests := []struct {
		want string
		edit func(*jetstream.StreamConfig)
	}{
		{"discards old", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"forgets messages", func(c *jetstream.StreamConfig) { c.MaxAge = 1 << 40 }},
		{"keeps only", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }},
		{"in memory", func(c *jetstream.StreamConfig) { c.Storage, c.MaxBytes = jetstream.MemoryStorage, 1<<20 }},
		{"asynchronously", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }},
		{"belongs to", func(c *jetstream.StreamConfig) { c.Metadata = nil }},
		{"subjects", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "other") }},
		{"retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			c := base.config(base.subject + ".x")
			test.edit(&c)
			if _, err := s.bus.js.CreateStream(ctx, c); err != nil {
				t.Fatal(err)
			}
			defer s.remove(base.name)
			_, err := NewPublisher(s.bus, "shop", "mumbai", PublisherOptions{}).Tail(ctx)
			if !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a refusal that says %q", err, test.want)
			}
		})
	}
}

// One wrong Nats-Expected-Last-Msg-Id bricks a replicated stream, and message ids
// are not what makes publishing exact: neither may ever be sent.
func TestNoMessageCarriesAnID(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	publish(t, s.publisher(PublisherOptions{}), run("mumbai", 1, 1), clockOnly("mumbai", 1<<60), run("mumbai", 2, 2))
	stream, err := s.bus.js.Stream(ctx, StreamName("shop", "mumbai"))
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 3; n++ {
		m, err := stream.GetMsg(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{nats.ExpectedLastMsgIdHdr, nats.MsgIdHdr, nats.ExpectedLastSubjSeqHdr} {
			if v := m.Header.Get(key); v != "" {
				t.Errorf("message %d carries %s: %s", n, key, v)
			}
		}
		if m.Header.Get(nats.ExpectedLastSeqHdr) == "" {
			t.Errorf("message %d was stored without naming what it follows", n)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := newSite(t, "mumbai")
	p := s.publisher(PublisherOptions{})
	ack, err := p.Publish(testContext(t), run("mumbai", 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if err := ack.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := ack.Wait(testContext(t)); err != nil {
		t.Error(err)
	}
}

// Two agents that both believe to be the one, each with a deep pipeline, take the
// stream from each other again and again. Whatever is stored is one chain.
func TestPublishersThatTakeTurnsByForceNeverInterleave(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	var group errgroup.Group
	for range 2 {
		bus := s.connect()
		defer bus.Close()
		p := NewPublisher(bus, "shop", "mumbai", PublisherOptions{})
		group.Go(func() error {
			for range 15 {
				tail, err := p.Tail(ctx)
				if err != nil {
					return err
				}
				var last change.Ack
				for seq := tail.Seq + 1; seq < tail.Seq+30; seq++ {
					ack, err := p.Publish(ctx, run("mumbai", seq, seq))
					if err != nil {
						break
					}
					last = ack
				}
				if last != nil {
					_ = last.Wait(ctx) // fenced or not: the stream decides
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	tail, err := l.Tail(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d transactions stored", tail.Seq)
	if got := seqs(read(t, l, 0, tail.Seq)); !slices.Equal(got, sequence(1, tail.Seq)) {
		t.Errorf("stored %v", got)
	}
}
