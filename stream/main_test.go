package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

var (
	_ capture.Publisher = (*Publisher)(nil)
	_ apply.Log         = (*Log)(nil)
	_ apply.FrameReader = (*Reader)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until ok says yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited %s in vain: %s", patience, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// site is one site's bus: a server on a directory, with a connection to it.
type site struct {
	t    *testing.T
	name change.Site
	dir  string
	addr string
	srv  *Server
	bus  *Bus
}

// newSite starts a server in a directory of its own.
func newSite(t *testing.T, name change.Site) *site {
	s := &site{t: t, name: name, dir: t.TempDir(), addr: "127.0.0.1:0"}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// start serves again on the same directory and address as before.
func (s *site) start() {
	s.t.Helper()
	s.srv = NewServer(string(s.name), s.addr, s.dir, ServerOptions{})
	if err := s.srv.Start(testContext(s.t)); err != nil {
		s.t.Fatal(err)
	}
	s.addr = s.srv.Addr()
	s.bus = s.connect()
}

func (s *site) stop() {
	if s.bus != nil {
		s.bus.Close()
		s.bus = nil
	}
	s.srv.Close()
}

func (s *site) connect() *Bus {
	s.t.Helper()
	b, err := s.srv.Connect(testContext(s.t), "test")
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// publisher returns a publisher with its end read.
func (s *site) publisher(o PublisherOptions) *Publisher {
	s.t.Helper()
	p := NewPublisher(s.bus, "shop", s.name, o)
	var err error
	eventually(s.t, "the end of the stream is read", func() bool {
		// The server may still be removing a stream of this name: it says so and
		// wants to be asked again.
		_, err = p.Tail(testContext(s.t))
		return err == nil || errors.Is(err, change.ErrRefused) || errors.Is(err, change.ErrNeedsCopy)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// publish stores frames and waits for them.
func publish(t *testing.T, p *Publisher, frames ...*change.Frame) {
	t.Helper()
	ctx := testContext(t)
	for _, f := range frames {
		ack, err := p.Publish(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		if err := ack.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// read opens a log and collects transactions until it has seq last. Parts count
// as transactions.
func read(t *testing.T, l *Log, after, last uint64) []change.Transaction {
	t.Helper()
	all, err := readOn(t, l, after, last)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readOn reads until it has last, or an error ends it.
func readOn(t *testing.T, l *Log, after, last uint64) (all []change.Transaction, err error) {
	t.Helper()
	ctx := testContext(t)
	r, err := l.Open(ctx, 1, after)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for after < last {
		f, err := r.Next(ctx)
		if err != nil {
			return all, err
		}
		for _, x := range f.Transactions {
			all = append(all, x)
			if !x.More {
				after = x.Seq
			}
		}
	}
	return all, nil
}

// readAgain reads on from where an interruption ended it, as apply does: a stream of
// several servers may be without a leader for a moment.
func readAgain(t *testing.T, l *Log, after, last uint64) []change.Transaction {
	t.Helper()
	var all []change.Transaction
	eventually(t, "everything is read", func() bool {
		from := after
		if n := len(all); n > 0 {
			from = all[n-1].Seq
		}
		more, err := readOn(t, l, from, last)
		if errors.Is(err, change.ErrNeedsCopy) {
			t.Fatal(err)
		}
		all = append(all, more...)
		return err == nil
	})
	return all
}

// seqs lists the seq of each transaction.
func seqs(txs []change.Transaction) []uint64 {
	var all []uint64
	for _, x := range txs {
		all = append(all, x.Seq)
	}
	return all
}

func sequence(first, last uint64) []uint64 {
	var all []uint64
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}
