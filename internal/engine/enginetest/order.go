package enginetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// testCommitOrder makes many sessions commit at once in an order that only the
// database knows, and lets the log tell it: every transaction takes the next number.
func testCommitOrder(t *testing.T, f Fixture) {
	b := newBench(t, f, SiteOptions{Schema: []string{
		"CREATE TABLE counter (id int PRIMARY KEY, n int)",
		"CREATE TABLE taken (id int PRIMARY KEY, worker int)",
	}})
	b.app.run("INSERT INTO counter VALUES (1, 0)")
	l := b.open("")
	l.drain()
	const workers, each = 6, 40
	var running sync.WaitGroup
	failures := make(chan error, workers)
	for worker := range workers {
		session := b.connect()
		running.Go(func() {
			for range each {
				for _, sql := range []string{
					"BEGIN",
					"UPDATE counter SET n = n + 1 WHERE id = 1",
					fmt.Sprintf("INSERT INTO taken SELECT n, %d FROM counter", worker),
					"COMMIT",
				} {
					if err := session.Exec(b.ctx, sql); err != nil {
						failures <- fmt.Errorf("worker %d: %s: %w", worker, sql, err)
						return
					}
				}
			}
		})
	}
	running.Wait()
	select {
	case err := <-failures:
		t.Fatal(err)
	default:
	}
	events := l.drain()
	if len(events) != workers*each {
		t.Fatalf("read %d transactions, want %d", len(events), workers*each)
	}
	xids := map[uint64]bool{}
	for i, ev := range events {
		want := fmt.Sprint(i + 1)
		if len(ev.Rows) != 2 || ev.Rows[0].New[1].Text != want || ev.Rows[1].New[0].Text != want {
			t.Fatalf("transaction %d of the log is\n%s", i+1, lines(ev.Rows))
		}
		if ev.CommitTime.IsZero() || time.Since(ev.CommitTime).Abs() > time.Hour {
			t.Fatalf("transaction %d was committed at %s", i+1, ev.CommitTime)
		}
		if ev.XID == 0 || xids[ev.XID] {
			t.Fatalf("transaction %d has the id %d, which is none or another's", i+1, ev.XID)
		}
		xids[ev.XID] = true
	}
}

// testMarksOnly: of what apply commits, capture sees the mark and nothing else, in
// its place among local transactions; and whatever apply does to Concord's own tables
// is nobody's change.
func testMarksOnly(t *testing.T, f Fixture) {
	from, to := pair(t, f, SiteOptions{Schema: []string{"CREATE TABLE item (id int PRIMARY KEY, name text)"}})
	out, back := from.open(""), to.open("")
	rows := out.changes("INSERT INTO item VALUES (1, 'a'), (2, 'b')", "UPDATE item SET name = 'c' WHERE id = 1", "DELETE FROM item WHERE id = 2")

	to.app.run("INSERT INTO item VALUES (100, 'before')")
	to.apply(rows...)
	first := to.applied
	to.app.run("INSERT INTO item VALUES (101, 'between')")
	to.apply() // only a checkpoint, as a group of heartbeats is
	second := to.applied
	undone := to.begin()
	to.write(undone, apply.Write{Action: apply.Insert, Row: &change.Row{Table: rows[0].Table, Op: change.Insert, New: image("3", "undone")}})
	undone.Rollback(to.ctx)
	to.app.run("INSERT INTO item VALUES (102, 'after')")

	events := back.drain()
	if len(events) != 5 {
		t.Fatalf("read %d events, want a local one, a mark, a local one, a mark and a local one: %+v", len(events), events)
	}
	for i, name := range map[int]string{0: "before", 2: "between", 4: "after"} {
		if ev := events[i]; ev.Kind != capture.Local || len(ev.Rows) != 1 || ev.Rows[0].New[1].Text != name {
			t.Errorf("event %d is %+v, want the local %s", i, ev, name)
		}
	}
	for i, c := range map[int]apply.Checkpoint{1: first, 3: second} {
		want := change.Mark{Origin: here, Epoch: c.Epoch, Seq: c.Seq, HLC: c.HLC}
		if ev := events[i]; ev.Kind != capture.Replicated || ev.Mark != want || len(ev.Rows) != 0 {
			t.Errorf("event %d is %+v, want the mark %+v alone", i, ev, want)
		}
	}
	to.app.holds("SELECT id, name FROM item ORDER BY id", "1|c", "100|before", "101|between", "102|after")
}

// testHeartbeats: a heartbeat comes through as one, with the agent's time to the
// microsecond, and is no change of a table.
func testHeartbeats(t *testing.T, f Fixture) {
	b := newBench(t, f, SiteOptions{})
	l := b.open("")
	for i := range 3 {
		at := time.Date(2026, 7, 31, 23, 59, 59-i, 123457000, time.UTC)
		if err := b.db.Beat(b.ctx, here, at); err != nil {
			t.Fatalf("writing a heartbeat: %v", err)
		}
		if ev := l.nextChange(); ev.Kind != capture.Local || !ev.Heartbeat.Equal(at) || len(ev.Rows) != 0 {
			t.Errorf("read %+v, want a heartbeat of %s", ev, at)
		}
	}
}
