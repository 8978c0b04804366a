package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("read\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestTransactionsArriveWholeInCommitOrder(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `CREATE TABLE other (id int PRIMARY KEY)`)
		second := application(t, c.DSN(""))
		f.app.run(`BEGIN`, `INSERT INTO item VALUES (1, 'first begun'), (2, NULL)`)
		second.run(`INSERT INTO item VALUES (3, 'first committed')`)
		f.app.run(`UPDATE item SET name = 'changed' WHERE id = 1`, `DELETE FROM item WHERE id = 2`, `COMMIT`)
		second.run(`BEGIN`, `INSERT INTO other VALUES (9)`, `ROLLBACK`)

		evs := f.open("").until()
		if len(evs) != 2 {
			t.Fatalf("read %d transactions, want 2", len(evs))
		}
		expect(t, lines(evs[0].Rows), "insert public.item - -> 3|first committed")
		expect(t, lines(evs[1].Rows),
			"insert public.item - -> 1|first begun",
			"insert public.item - -> 2|NULL",
			"update public.item - -> 1|changed",
			"delete public.item 2|~ -> -")
		for _, ev := range evs {
			if ev.Kind != capture.Local || ev.Part != 0 || ev.More || time.Since(ev.CommitTime).Abs() > time.Hour {
				t.Errorf("event %+v, want a whole local transaction with its commit time", ev)
			}
		}
		if f.Compare(evs[0].Position, evs[1].Position) >= 0 {
			t.Errorf("positions %s, %s do not ascend", evs[0].Position, evs[1].Position)
		}
	})
}

func TestReadingResumesExactlyAfterEachPosition(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{Tables: func(n string) bool { return n != "public.aside" }},
			`CREATE TABLE item (id int PRIMARY KEY)`, `CREATE TABLE aside (x int)`)
		f.app.run(`INSERT INTO item VALUES (1)`, `INSERT INTO aside VALUES (1)`, `INSERT INTO item VALUES (2)`,
			`UPDATE concord.checkpoint SET seq = 7 WHERE origin = 'pune'`, `SELECT pg_logical_emit_message(true, 'concord', '')`,
			`INSERT INTO item VALUES (3), (4)`, `UPDATE concord.checkpoint SET seq = 8 WHERE origin = 'pune'`)
		read := func(l *log) (evs []capture.Event) {
			t.Helper()
			for len(evs) == 0 || evs[len(evs)-1].Mark.Seq != 8 {
				evs = append(evs, l.next())
			}
			return evs
		}
		transactions := func(evs []capture.Event) (out []string) {
			for _, ev := range evs {
				if ev.Kind != capture.Progress {
					out = append(out, fmt.Sprint(ev.Kind, ev.Position, ev.Mark.Seq, lines(ev.Rows)))
				}
			}
			return out
		}
		l := f.open("")
		evs := read(l)
		l.close()
		if got := len(transactions(evs)); got != 5 {
			t.Fatalf("read %d transactions, want 5", got)
		}
		for i, ev := range evs[:len(evs)-1] {
			l := f.open(ev.Position)
			expect(t, transactions(read(l)), transactions(evs[i+1:])...)
			l.close()
		}
	})
}

func TestReplicatedTransactionsAreOnlyMarks(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		for _, markFirst := range []bool{false, true} {
			if c.Version() == 15 && !markFirst {
				continue // its server cannot filter
			}
			t.Run(fmt.Sprintf("mark first %v", markFirst), func(t *testing.T) {
				f := prepared(t, c, Options{MarkFirst: markFirst, Cluster: c.Database() + fmt.Sprint(markFirst)},
					`DROP SCHEMA IF EXISTS concord CASCADE`, `DROP PUBLICATION IF EXISTS concord`,
					`DROP TABLE IF EXISTS item`, `CREATE TABLE item (id int PRIMARY KEY)`)
				mark := `UPDATE concord.checkpoint SET epoch = 3, seq = 41, hlc = 7000, applied_at = now() WHERE origin = 'pune'`
				origin := literal(f.originName("pune", 0))
				if !markFirst {
					f.app.run(`SELECT pg_replication_origin_session_setup(`+origin+`)`, `BEGIN`,
						`INSERT INTO item VALUES (1), (2)`, `TRUNCATE item`,
						`SELECT pg_replication_origin_session_reset()`, mark, `COMMIT`)
				} else {
					f.app.run(`BEGIN`, mark, `INSERT INTO item VALUES (1), (2)`, `TRUNCATE item`, `COMMIT`)
				}
				f.app.run(`INSERT INTO item VALUES (3)`)
				evs := f.open("").until()
				if len(evs) != 2 || evs[0].Kind != capture.Replicated || evs[1].Kind != capture.Local {
					t.Fatalf("read %+v, want a mark and a local transaction", evs)
				}
				if want := (change.Mark{Origin: "pune", Epoch: 3, Seq: 41, HLC: 7000}); evs[0].Mark != want {
					t.Errorf("mark %+v, want %+v", evs[0].Mark, want)
				}
				expect(t, lines(evs[1].Rows), "insert public.item - -> 3")
			})
		}
	})
}

func TestTheHeartbeatCarriesItsTime(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{})
		l := f.open("")
		for i := range 3 {
			at := time.Date(2026, 7, 31, 12, 0, i, 123456000, time.UTC)
			if i == 2 {
				f.app.run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					WHERE datname = current_database() AND application_name = 'concord/mumbai/heartbeat'`)
				waitFor(t, "a heartbeat on a new connection", func() bool { return f.Beat(f.ctx, "mumbai", at) == nil })
			} else if err := f.Beat(f.ctx, "mumbai", at); err != nil {
				t.Fatal(err)
			}
			ev := l.nextLocal()
			if !ev.Heartbeat.Equal(at) || len(ev.Rows) != 0 {
				t.Errorf("heartbeat %v with %d rows, want %v alone", ev.Heartbeat, len(ev.Rows), at)
			}
		}
	})
}

func TestTransactionsElsewhereAreProgress(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{Tables: func(n string) bool { return n == "public.item" }},
			`CREATE TABLE item (id int PRIMARY KEY)`, `CREATE TABLE aside (x int)`)
		l := f.open("")
		f.app.run(`INSERT INTO aside SELECT generate_series(1, 1000)`,
			`INSERT INTO concord.conflict (at, table_name, key, kind, policy, resolution, older_origin, older_seq, older_hlc, older_op, newer_origin, newer_seq, newer_hlc, newer_op)
			 VALUES (now(), 'public.item', '{}', 'k', 'p', 'newer', 'a', 1, 1, 'insert', 'b', 1, 1, 'insert')`)
		if evs := l.until(); len(evs) != 0 {
			t.Errorf("read %+v, want progress only", evs)
		}
	})
}

func waitFor(t *testing.T, what string, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		<-tick.C
	}
}

func TestAFenceMessageIsProgressAtOnce(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY)`)
		l := f.open("")
		l.until()
		// The end of a message's record, as the function returns it, must be reached: by
		// the message itself or by the keepalive that a waiting server sends after it.
		emit := `SELECT pg_logical_emit_message(false, 'concord', '')::text`
		if c.Version() >= 17 {
			emit = `SELECT pg_logical_emit_message(false, 'concord', '', true)::text`
		}
		var worst time.Duration
		for range 50 {
			f.app.run(`INSERT INTO item SELECT coalesce(max(id), 0) + 1 FROM item`)
			began := time.Now()
			at := change.Position(f.app.text(emit))
			asking := time.AfterFunc(100*time.Millisecond, l.Ask) // as capture does
			for f.Compare(l.next().Position, at) < 0 {
				if time.Since(began) > patience {
					t.Fatal("the fence was not reached")
				}
			}
			asking.Stop()
			worst = max(worst, time.Since(began))
		}
		t.Logf("slowest of 50 fences: %s", worst)
		if worst > 5*time.Second {
			t.Errorf("a fence took %s", worst)
		}
	})
}

func TestASecondReaderStandsBy(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{})
		l := f.open("")
		pid := f.app.text(`SELECT active_pid::text FROM pg_replication_slots WHERE slot_name = $1`, f.slot())
		_, err := f.Open(f.ctx, "")
		if !errors.Is(err, change.ErrStandby) || !strings.Contains(err.Error(), pid) {
			t.Errorf("second reader: %v, want a standby naming process %s", err, pid)
		}
		l.close()
		f.open("").close() // the slot was given back
	})
}
