package enginetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// sequence is a log with a known content: item 1, 2, 3 …, one transaction each.
type sequence struct {
	*bench
	events []capture.Event
}

func newSequence(t *testing.T, f Fixture, n int, o SiteOptions) *sequence {
	t.Helper()
	o.Schema = []string{"CREATE TABLE item (id int PRIMARY KEY)"}
	s := &sequence{bench: newBench(t, f, o)}
	for i := range n {
		s.app.run(fmt.Sprintf("INSERT INTO item VALUES (%d)", i+1))
	}
	return s
}

// read reads until item last has come and checks that first to last come once each,
// in order.
func (s *sequence) read(l *log, first, last int) {
	s.t.Helper()
	for want := first; want <= last; want++ {
		ev := l.nextChange()
		if len(ev.Rows) != 1 || ev.Rows[0].New[0].Text != fmt.Sprint(want) {
			s.t.Fatalf("after reopening read %q, want item %d", lines(ev.Rows), want)
		}
		s.events = append(s.events[:want-1], ev)
	}
}

// position of item n's transaction, 1 for the first.
func (s *sequence) position(n int) change.Position { return s.events[n-1].Position }

func (s *sequence) kill() {
	s.t.Helper()
	db, err := s.Kill(s.ctx)
	if err != nil {
		s.t.Fatalf("killing the agents: %v", err)
	}
	s.db = db
}

// testResumeAfterKill kills the agent at every stage between reading and releasing.
// Resuming after the last published position gives everything after it, once.
func testResumeAfterKill(t *testing.T, f Fixture) {
	s := newSequence(t, f, 12, SiteOptions{})
	l := s.open("")
	s.read(l, 1, 5) // read, nothing published
	s.kill()
	l = s.open("")
	s.read(l, 1, 8) // published up to 6, nothing released
	s.kill()
	l = s.open(s.position(6))
	s.read(l, 7, 10)
	l.Release(s.position(7)) // published up to 9, released up to 7
	s.kill()
	l = s.open(s.position(9))
	s.read(l, 10, 12)
	l.Release(s.position(12))
	l.close() // in order, this time
	l = s.open(s.position(12))
	s.app.run("INSERT INTO item VALUES (13)")
	s.read(l, 13, 13)
}

// testResumeAfterCrash is the same when it is the server that is killed: what it had
// been told of releases may be forgotten, what it has committed may not.
func testResumeAfterCrash(t *testing.T, f Fixture) {
	s := newSequence(t, f, 10, SiteOptions{Own: true})
	l := s.open("")
	s.read(l, 1, 8)
	l.Release(s.position(3))
	db, err := s.Crash(s.ctx)
	if err != nil {
		t.Fatalf("crashing the server: %v", err)
	}
	s.db = db
	if ev, err := l.Next(s.ctx); err == nil {
		// What had arrived before the crash may still be read; it ends then.
		for err == nil {
			ev, err = l.Next(s.ctx)
		}
		_ = ev
	}
	s.app = s.connect()
	s.app.holds("SELECT count(*) FROM item", "10")
	l = s.open(s.position(6))
	s.read(l, 7, 10)
}

// testReleasedIsGone: what was released cannot be read again; asking for it says so
// instead of beginning later in silence. Where the server keeps its log, it is read.
func testReleasedIsGone(t *testing.T, f Fixture) {
	s := newSequence(t, f, 6, SiteOptions{})
	l := s.open("")
	s.read(l, 1, 6)
	l.Release(s.position(5))
	l.close()
	if f.Dialect.KeepsLog {
		l = s.open(s.position(2))
		s.read(l, 3, 6)
		return
	}
	deadline := time.Now().Add(patience)
	for {
		reader, err := s.db.Open(s.ctx, s.position(2))
		if errors.Is(err, change.ErrNeedsCopy) {
			break
		}
		if err == nil {
			_ = reader.Close(s.ctx)
		} else if !errors.Is(err, change.ErrStandby) {
			t.Fatalf("opening at a released position: %v, want needs_copy", err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("opening at a released position still succeeds")
		}
		pause(s.ctx)
	}
	l = s.open(s.position(5))
	s.read(l, 6, 6)
}

// pause waits a little between two looks at something that comes in its own time.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
}
