package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// probedReader reads with a probe written and a filter asked for as given, past the
// checks of Open.
func (f *fixture) probedReader(writtenForFilter, serverFilter bool) *log {
	f.t.Helper()
	conn, err := f.connect(f.ctx, roleCapture)
	if err != nil {
		f.t.Fatal(err)
	}
	defer closeConn(f.ctx, conn)
	p, err := f.writeProbe(f.ctx, conn, writtenForFilter)
	if err != nil {
		f.t.Fatal(err)
	}
	repl, err := f.connectReplication(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	start, err := parseLSN(f.app.text(`SELECT start_position FROM concord.site`))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.startReplication(f.ctx, repl, start, serverFilter); err != nil {
		f.t.Fatal(err)
	}
	h, err := repl.Hijack()
	if err != nil {
		f.t.Fatal(err)
	}
	sh := &shaper{known: &catalog{tables: map[uint32]*tableFacts{}, types: map[uint32]typeFacts{}}, before: map[uint32][]string{}}

	l := &log{f: f, Reader: newReader(f.DB, h, sh, start, p)}
	f.t.Cleanup(l.close)
	return l
}

// refuses reads until the reader gives up and returns the error.
func (l *log) refuses() error {
	l.f.t.Helper()
	for {
		if _, err := l.Next(l.f.ctx); err != nil {
			if !errors.Is(err, change.ErrRefused) {
				l.f.t.Fatalf("reading: %v, want a refusal", err)
			}
			return err
		}
	}
}

func TestAFilterThatDoesNotFilterIsRefused(t *testing.T) {
	f := prepared(t, testcluster.ForTest(t, testcluster.Options{Version: 18}), Options{})
	if err := f.probedReader(true, false).refuses(); !strings.Contains(err.Error(), "came back as local") {
		t.Errorf("refused with %v", err)
	}
}

func TestAFilterThatHidesTheMarkIsRefused(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{})
		f.app.run(`ALTER PUBLICATION concord DROP TABLE concord.checkpoint`)
		f.refused("", change.ErrRefused, "concord.checkpoint", "concord init")
		if err := f.probedReader(c.Version() > 15, c.Version() > 15).refuses(); !strings.Contains(err.Error(), "did not come back") {
			t.Errorf("refused with %v", err)
		}
	})
}

func TestProbesLeaveNothingBehind(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{})
		for range 3 {
			l := f.open("")
			if evs := l.until(); len(evs) != 0 {
				t.Errorf("read %+v, want the probes to be invisible", evs)
			}
			l.close()
		}
		if rows := f.app.text(`SELECT string_agg(origin, ',') || ' ' || (SELECT string_agg(site, ',') FROM concord.heartbeat) FROM concord.checkpoint`); rows != "pune mumbai" {
			t.Errorf("the control tables hold %q", rows)
		}
	})
}

func TestAPromotionIsFollowedWhereItLostNothing(t *testing.T) {
	for _, v := range testcluster.Versions(t) {
		t.Run(fmt.Sprint("postgres", v), func(t *testing.T) {
			c := testcluster.Own(t, testcluster.Options{Version: v, Settings: map[string]string{"restore_command": "false"}})
			f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY)`, `INSERT INTO item VALUES (1)`)
			l := f.open("")
			f.app.run(`INSERT INTO item VALUES (2)`)
			read := l.nextLocal()
			l.close()
			f.app.run(`INSERT INTO item VALUES (3)`)

			// Recovery that ends begins a new timeline, as a promotion does.
			promote := func() {
				t.Helper()
				if err := c.Stop(f.ctx, testcluster.Fast); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(c.Dir(), "data", "recovery.signal"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := c.Start(f.ctx); err != nil {
					t.Fatal(err)
				}
				f.app = application(t, f.dsn)
				waitFor(t, "the end of recovery", func() bool { return f.app.text(`SELECT pg_is_in_recovery()::text`) == "false" })
			}
			promote()
			l = f.open(read.Position)
			expect(t, all(l.until()), "insert public.item - -> 3")
			f.app.run(`INSERT INTO item VALUES (4)`)
			beyond := l.nextLocal()
			l.close()
			if got := f.app.text(`SELECT timeline::text FROM concord.site`); got != "2" {
				t.Errorf("timeline %s is remembered, want 2", got)
			}
			f.open(beyond.Position).close() // a position on the new timeline

			// As if what was published after the old timeline's end had been lost with it.
			f.app.run(`UPDATE concord.site SET timeline = 1`)
			f.refused(beyond.Position, change.ErrNeedsCopy, "timeline 1")
		})
	}
}
