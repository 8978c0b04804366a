package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

// raw stores a message as it is given, past all checks, as damage would.
func (s *site) raw(payload []byte, edit func(*label)) {
	s.t.Helper()
	ctx := testContext(s.t)
	e, err := openPayload(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := s.bus.js.Stream(ctx, StreamName("shop", s.name))
	if err != nil {
		s.t.Fatal(err)
	}
	l := labelOf(e, payload)
	if edit != nil {
		edit(&l)
	}
	m := &nats.Msg{Subject: stream.CachedInfo().Config.Subjects[0], Header: l.header(), Data: payload}
	if _, err := s.bus.js.PublishMsg(ctx, m); err != nil {
		s.t.Fatal(err)
	}
}

func TestReaderStopsAtABrokenChain(t *testing.T) {
	three, _ := mustEncode(t, S2, run("mumbai", 3, 3), progress{last: 2, tail: change.Tail{Epoch: 1, Seq: 2}}, hash{1})
	five, _ := mustEncode(t, S2, run("mumbai", 5, 5), progress{last: 4, tail: change.Tail{Epoch: 1, Seq: 4}}, hash{})
	foreign, _ := mustEncode(t, S2, run("delhi", 3, 3), progress{last: 2, tail: change.Tail{Epoch: 1, Seq: 2}}, hash{})
	tests := []struct {
		name    string
		payload []byte
		edit    func(*label)
		class   error
		want    string
	}{
		{"a frame after another one", three, nil, change.ErrNeedsCopy, "chain is broken"},
		{"a frame that was left out", five, func(l *label) { l.splice = true }, change.ErrNeedsCopy, "from transaction 2 to 5"},
		{"a damaged frame", three, func(l *label) { l.hash[0]++ }, errFormat, "hash"},
		{"another site's frame", foreign, nil, change.ErrRefused, "delhi"},
		{"headers that lie", three, func(l *label) { l.complete = 77 }, errFormat, "differ"},
	}
	s := newSite(t, "mumbai")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer s.remove(StreamName("shop", "mumbai"))
			publish(t, s.publisher(PublisherOptions{}), run("mumbai", 1, 2))
			r, err := NewLog(s.bus, "shop", "mumbai", "mumbai").Open(testContext(t), 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			s.raw(test.payload, test.edit)
			if f, err := r.Next(testContext(t)); err != nil || len(f.Transactions) != 2 {
				t.Fatalf("the good frame: %+v, %v", f, err)
			}
			if _, err := r.Next(testContext(t)); !errors.Is(err, test.class) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %v that says %q", err, test.class, test.want)
			}
			if !r.Ready() {
				t.Error("Next would not wait, but Ready says so")
			}
		})
	}
}

func TestReaderFindsOutAPurge(t *testing.T) {
	s := newSite(t, "mumbai")
	p := s.publisher(PublisherOptions{})
	publish(t, p, run("mumbai", 1, 1), run("mumbai", 2, 2), run("mumbai", 3, 3))
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	stream, err := s.bus.js.Stream(testContext(t), l.store.name)
	if err != nil {
		t.Fatal(err)
	}
	at3, err := l.Open(testContext(t), 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer at3.Close()
	if err := stream.Purge(testContext(t)); err != nil {
		t.Fatal(err)
	}
	publish(t, p, run("mumbai", 4, 4), run("mumbai", 5, 5))
	// Who had everything goes on; who had not is told so.
	if f, err := at3.Next(testContext(t)); err != nil || f.Transactions[0].Seq != 4 {
		t.Fatalf("%+v, %v", f, err)
	}
	if _, err := l.Open(testContext(t), 1, 2); !errors.Is(err, change.ErrNeedsCopy) {
		t.Errorf("opening after 2: %v, want needs_copy", err)
	}
	if got := seqs(read(t, l, 3, 5)); !slices.Equal(got, sequence(4, 5)) {
		t.Errorf("after 3: %v", got)
	}
}

// An origin that restarts within a large transaction sends it anew from part 0.
func TestAbandonedPartsAreFollowedByThatTransactionAnew(t *testing.T) {
	s := newSite(t, "mumbai")
	publish(t, s.publisher(PublisherOptions{}), run("mumbai", 1, 2),
		frame(part("mumbai", 3, 0, true)), frame(part("mumbai", 3, 1, true)), frame(part("mumbai", 3, 2, true)))
	p := s.publisher(PublisherOptions{}) // the restart
	publish(t, p, frame(part("mumbai", 3, 0, true)), clockOnly("mumbai", 1<<60), frame(part("mumbai", 3, 1, false), tx("mumbai", 4)))
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	describe := func(txs []change.Transaction) (all []string) {
		for _, x := range txs {
			all = append(all, fmt.Sprintf("%d/%d", x.Seq, x.Part))
		}
		return all
	}
	if got, want := describe(read(t, l, 0, 4)), []string{"1/0", "2/0", "3/0", "3/1", "3/2", "3/0", "3/1", "4/0"}; !slices.Equal(got, want) {
		t.Errorf("from the start: %v, want %v", got, want)
	}
	if got, want := describe(read(t, l, 2, 4)), []string{"3/0", "3/1", "3/2", "3/0", "3/1", "4/0"}; !slices.Equal(got, want) {
		t.Errorf("after 2: %v, want %v", got, want)
	}
	if got, want := describe(read(t, l, 3, 4)), []string{"4/0"}; !slices.Equal(got, want) {
		t.Errorf("after 3: %v, want %v", got, want)
	}
}

func TestReaderWaitsForWhatComes(t *testing.T) {
	s := newSite(t, "mumbai")
	p := s.publisher(PublisherOptions{})
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	r, err := l.Open(testContext(t), 0, 0) // the stream is empty
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Ready() {
		t.Error("an empty stream is ready")
	}
	publish(t, p, run("mumbai", 1, 1))
	eventually(t, "the frame is ready", r.Ready)
	if f, err := r.Next(testContext(t)); err != nil || f.Transactions[0].Seq != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	began := time.Now()
	publish(t, p, run("mumbai", 2, 2))
	if f, err := r.Next(testContext(t)); err != nil || f.Transactions[0].Seq != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	t.Logf("published and read in %s", time.Since(began))
}

func TestALogThatIsNotThere(t *testing.T) {
	s := newSite(t, "mumbai")
	l := NewLog(s.bus, "shop", "mumbai", "pune")
	if tail, err := l.Tail(testContext(t)); err != nil || !sameTail(tail, change.Tail{}) {
		t.Errorf("tail %+v, %v", tail, err)
	}
	if _, err := l.Open(testContext(t), 1, 0); !errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, change.ErrNeedsCopy) {
		t.Errorf("opening: %v", err)
	}
	if err := l.Trim(testContext(t), 5); err != nil {
		t.Error(err)
	}
	if status, err := l.Status(testContext(t)); err != nil || status.Exists {
		t.Errorf("status %+v, %v", status, err)
	}
}

// Wherever a reader begins, it gets what follows and nothing else, and a trim
// takes nothing that it keeps.
func TestReadingFromAnySeq(t *testing.T) {
	s := newSite(t, "mumbai")
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	rapid.Check(t, func(rt *rapid.T) {
		defer s.remove(l.store.name)
		p := s.publisher(PublisherOptions{})
		last := uint64(0)
		for range rapid.IntRange(1, 8).Draw(rt, "frames") {
			switch rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0:
				publish(t, p, clockOnly("mumbai", 1<<50+last))
			case 1:
				publish(t, p, frame(part("mumbai", last+1, 0, true)))
				if rapid.Bool().Draw(rt, "abandoned") {
					if _, err := p.Tail(testContext(t)); err != nil {
						rt.Fatal(err)
					}
					publish(t, p, frame(part("mumbai", last+1, 0, true)))
				}
				publish(t, p, frame(part("mumbai", last+1, 1, false), tx("mumbai", last+2)))
				last += 2
			default:
				n := rapid.Uint64Range(1, 6).Draw(rt, "transactions")
				publish(t, p, run("mumbai", last+1, last+n))
				last += n
			}
		}
		trimmed := rapid.Uint64Range(0, last+1).Draw(rt, "trimmed")
		if err := l.Trim(testContext(t), trimmed); err != nil {
			rt.Fatal(err)
		}
		after := rapid.Uint64Range(trimmed, last+1).Draw(rt, "after")
		if after < last {
			got := seqs(read(t, l, after, last))
			if !slices.Equal(slices.Compact(got), sequence(after+1, last)) {
				rt.Fatalf("after %d of %d, trimmed to %d: %v", after, last, trimmed, got)
			}
		}
	})
}

func BenchmarkReplay(b *testing.B) {
	s := NewServer("mumbai", "", b.TempDir(), ServerOptions{})
	ctx := b.Context()
	if err := s.Start(ctx); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	bus, err := s.Connect(ctx, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer bus.Close()
	p := NewPublisher(bus, "shop", "mumbai", PublisherOptions{})
	if _, err := p.Tail(ctx); err != nil {
		b.Fatal(err)
	}
	rows, seq := 0, uint64(0)
	const frames = 200
	var ack change.Ack
	began := time.Now()
	for range frames {
		f, n := benchmarkFrame()
		for i := range f.Transactions {
			seq++
			f.Transactions[i].Seq = seq
		}
		if ack, err = p.Publish(ctx, f); err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	if err := ack.Wait(ctx); err != nil {
		b.Fatal(err)
	}
	b.Logf("published %d frames, %d rows: %.0f rows/s", frames, rows, float64(rows)/time.Since(began).Seconds())
	l := NewLog(bus, "shop", "mumbai", "mumbai")
	for b.Loop() {
		r, err := l.Open(ctx, 1, 0)
		if err != nil {
			b.Fatal(err)
		}
		for at := uint64(0); at < seq; {
			f, err := r.Next(ctx)
			if err != nil {
				b.Fatal(err)
			}
			at = f.Transactions[len(f.Transactions)-1].Seq
		}
		r.Close()
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
