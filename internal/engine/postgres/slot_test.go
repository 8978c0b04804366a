package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// refused opens the log and checks the class of the error and what it names.
func (f *fixture) refused(from change.Position, class error, names ...string) {
	f.t.Helper()
	r, err := f.Open(f.ctx, from)
	if err == nil {
		_ = r.Close(f.ctx)
	}
	if !errors.Is(err, class) {
		f.t.Fatalf("opening: %v, want %v", err, class)
	}
	for _, n := range names {
		if !strings.Contains(err.Error(), n) {
			f.t.Errorf("opening: %v\ndoes not name %q", err, n)
		}
	}
}

func TestASlotThatCannotGoOnNeedsACopy(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY)`)
		start := change.Position(f.app.text(`SELECT start_position FROM concord.site`))
		f.app.run(`INSERT INTO item VALUES (1)`)

		f.app.run(fmt.Sprintf(`SELECT pg_replication_slot_advance('%s', pg_current_wal_lsn())`, f.slot()))
		f.refused("", change.ErrNeedsCopy, f.slot(), "released")
		f.refused(start, change.ErrNeedsCopy, "released")

		f.refused("FFF/0", change.ErrNeedsCopy, "restored")

		f.app.run(`UPDATE concord.site SET system = '1'`)
		end := change.Position(f.app.text(`SELECT pg_current_wal_flush_lsn()::text`))
		f.refused(end, change.ErrNeedsCopy, "another database cluster")

		f.app.run(fmt.Sprintf(`SELECT pg_drop_replication_slot('%s')`, f.slot()))
		f.refused(end, change.ErrNeedsCopy, f.slot(), "concord init --new-epoch")
		if _, err := f.Init(f.ctx, InitOptions{}); !errors.Is(err, change.ErrNeedsCopy) {
			t.Errorf("init without the slot: %v, want it left to a person", err)
		}

		if _, err := f.Init(f.ctx, InitOptions{NewEpoch: true}); err != nil {
			t.Fatal(err)
		}
		if epoch, err := f.Epoch(f.ctx); err != nil || epoch != 2 {
			t.Errorf("epoch %d (%v), want 2", epoch, err)
		}
		l := f.open("")
		f.app.run(`INSERT INTO item VALUES (2)`)
		expect(t, all(l.until()), "insert public.item - -> 2")
	})
}

func TestALostSlotIsFoundOut(t *testing.T) {
	for _, v := range testcluster.Versions(t) {
		t.Run(fmt.Sprint("postgres", v), func(t *testing.T) {
			c := testcluster.Own(t, testcluster.Options{Version: v, Settings: map[string]string{
				"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB",
			}})
			f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY, note text)`)
			for range 6 {
				f.app.run(`SELECT pg_switch_wal()`, `INSERT INTO item SELECT coalesce(max(id), 0) + 1 FROM item`)
			}
			f.app.run(`CHECKPOINT`)
			if n, err := f.RetainedBytes(f.ctx); err != nil || n != 0 && n < 1<<20 {
				t.Errorf("a lost slot holds %d bytes (%v)", n, err)
			}
			f.refused("", change.ErrNeedsCopy, f.slot())
			id, err := f.Identity(f.ctx)
			if err != nil || id.Log == "inactive" || id.Log == "active" {
				t.Errorf("log is %q (%v), want lost", id.Log, err)
			}
		})
	}
}

func TestReleaseFreesTheLogAndNothingBeyond(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY, note text)`)
		l := f.open("")
		confirmed := func() change.Position {
			return change.Position(f.app.text(`SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1`, f.slot()))
		}
		f.app.run(`INSERT INTO item SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i`)
		first := l.nextLocal()
		for first.More {
			first = l.nextLocal()
		}
		f.app.run(`INSERT INTO item VALUES (0, 'second')`)
		second := l.nextLocal()
		before, err := f.RetainedBytes(f.ctx)
		if err != nil || before < 1_000_000 {
			t.Errorf("the slot holds %d bytes (%v), want the megabyte written", before, err)
		}
		if f.Compare(confirmed(), first.Position) >= 0 {
			t.Errorf("confirmed %s before any release", confirmed())
		}
		l.Release(first.Position)
		waitFor(t, "the release to be confirmed", func() bool { return confirmed() == first.Position })
		l.Release(first.Position) // again, and an older one: nothing goes back
		l.Release("0/1")
		l.Release(second.Position)
		l.close() // tells the last release
		if got := confirmed(); got != second.Position {
			t.Errorf("confirmed %s after closing, want %s", got, second.Position)
		}
		// The server frees log when it has written a snapshot after the confirmed point.
		waitFor(t, "log to be freed", func() bool {
			f.app.run(`CHECKPOINT`)
			l := f.open(second.Position)
			l.until()
			f.app.run(`INSERT INTO item SELECT max(id) + 1 FROM item`)
			ev := l.nextLocal()
			l.Release(ev.Position)
			second = ev
			l.close()
			now, err := f.RetainedBytes(f.ctx)
			return err == nil && now < before/2
		})
	})
}

func TestAServerShutsDownWithoutWaitingForTheStream(t *testing.T) {
	for _, v := range testcluster.Versions(t) {
		t.Run(fmt.Sprint("postgres", v), func(t *testing.T) {
			c := testcluster.Own(t, testcluster.Options{Version: v})
			f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY)`)
			l := f.open("")
			f.app.run(`INSERT INTO item VALUES (1)`)
			l.nextLocal() // read, and never released: the stream is full
			ended := make(chan error, 1)
			go func() {
				for {
					if _, err := l.Next(f.ctx); err != nil {
						ended <- err
						return
					}
				}
			}()
			ctx, cancel := context.WithTimeout(f.ctx, 30*time.Second)
			defer cancel()
			if err := c.Stop(ctx, testcluster.Fast); err != nil {
				t.Fatalf("stopping the server: %v", err)
			}
			if err := <-ended; err == nil || errors.Is(err, change.ErrNeedsCopy) || errors.Is(err, change.ErrRefused) {
				t.Errorf("reading ended with %v, want an error that is retried", err)
			}
			if err := c.Start(f.ctx); err != nil {
				t.Fatal(err)
			}
			l.close()
			again := application(t, f.dsn)
			f.app = again
			expect(t, all(f.open("").until()), "insert public.item - -> 1")
		})
	}
}

func TestAKilledServerLosesNothing(t *testing.T) {
	for _, v := range testcluster.Versions(t) {
		t.Run(fmt.Sprint("postgres", v), func(t *testing.T) {
			c := testcluster.Own(t, testcluster.Options{Version: v})
			f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY)`)
			l := f.open("")
			f.app.run(`INSERT INTO item VALUES (1)`)
			ev := l.nextLocal()
			l.Release(ev.Position)
			f.app.run(`INSERT INTO item VALUES (2)`)
			if err := c.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := c.Start(f.ctx); err != nil {
				t.Fatal(err)
			}
			l.close()
			f.app = application(t, f.dsn)
			expect(t, all(f.open(ev.Position).until()), "insert public.item - -> 2")
		})
	}
}

func TestTheHistoryTellsWhereATimelineWasLeft(t *testing.T) {
	const history = "1\t0/3000158\tno recovery target specified\n\n2\t1/40\tbefore 2026-07-31\n"
	for _, tc := range []struct {
		timeline int
		at       lsn
		ok       bool
	}{{1, 0x3000158, true}, {2, 0x100000040, true}, {3, 0, false}} {
		if at, ok := switchPoint(history, tc.timeline); at != tc.at || ok != tc.ok {
			t.Errorf("timeline %d was left at %s %v, want %s %v", tc.timeline, at, ok, tc.at, tc.ok)
		}
	}
}

func TestPositionsCompareAsNumbers(t *testing.T) {
	db := New("", Options{})
	for _, tc := range []struct {
		a, b change.Position
		want int
	}{{"", "0/1", -1}, {"0/FF", "0/100", -1}, {"A/0", "9/FFFFFFFF", 1}, {"1/2", "1/2", 0}, {"nonsense", "0/1", -1}} {
		if got := db.Compare(tc.a, tc.b); got != tc.want {
			t.Errorf("%q compared with %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
