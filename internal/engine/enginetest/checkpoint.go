package enginetest

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// items are rows of a table item (id, name) as here logged them.
func items(from *bench, n int) []change.Row {
	from.t.Helper()
	l := from.open("")
	defer l.close()
	var statements []string
	for i := range n {
		statements = append(statements, fmt.Sprintf("INSERT INTO item VALUES (%d, 'n%d')", i+1, i+1))
	}
	return l.changes(statements...)
}

func itemSchema() SiteOptions {
	return SiteOptions{Schema: []string{"CREATE TABLE item (id int PRIMARY KEY, name text)"}}
}

// takeOver is what an agent's successor does.
func (b *bench) takeOver(kill func(context.Context) (Database, error)) {
	b.t.Helper()
	db, err := kill(b.ctx)
	if err != nil {
		b.t.Fatalf("killing: %v", err)
	}
	b.db, b.release = db, nil
	b.acquire()
}

// testCheckpointMovesWithItsRows kills the agent before and after the commit, and
// lets one that does not know better try to apply again.
func testCheckpointMovesWithItsRows(t *testing.T, f Fixture) {
	from, to := pair(t, f, itemSchema())
	rows := items(from, 3)
	back := to.open("")

	tx := to.begin()
	to.write(tx, writeOf(&rows[0]))
	to.takeOver(to.Kill)
	if to.applied.Seq != 0 {
		t.Errorf("killed before the commit: the checkpoint is at %d", to.applied.Seq)
	}
	to.app.holds("SELECT count(*) FROM item", "0")

	to.apply(rows[0])
	to.takeOver(to.Kill)
	if want := (apply.Checkpoint{Origin: here, Epoch: 1, Seq: 1, HLC: 1 << 8}); to.applied != want {
		t.Errorf("killed after the commit: the checkpoint is %+v, want %+v", to.applied, want)
	}

	// One that was asleep meanwhile believes that nothing has been applied.
	stale, err := to.db.Begin(to.ctx, apply.Checkpoint{Origin: here, Epoch: 1, Seq: 1, HLC: 1 << 8, Previous: 0})
	if err == nil {
		_, err = stale.Write(to.ctx, []apply.Write{{Action: apply.Put, Row: &change.Row{Table: rows[0].Table, Op: change.Update, New: image("1", "stale")}}})
		if err == nil {
			err = stale.Commit(to.ctx)
		}
		stale.Rollback(to.ctx)
	}
	is(t, err, apply.ErrFenced, "applying from a checkpoint that has moved")

	to.apply(rows[1:]...)
	to.app.holds("SELECT id, name FROM item ORDER BY id", "1|n1", "2|n2", "3|n3")
	back.close()
	again := to.open("")
	var marks []uint64
	for _, ev := range again.drain() {
		if ev.Kind != capture.Replicated {
			t.Errorf("read %+v, want marks only", ev)
		}
		marks = append(marks, ev.Mark.Seq)
	}
	if fmt.Sprint(marks) != "[1 2]" {
		t.Errorf("marks in the log: %d, want 1 and 2 once each", marks)
	}
}

// testCheckpointAfterCrash kills the server while transactions are applied. It may
// lose the last of them, but checkpoint and rows alike.
func testCheckpointAfterCrash(t *testing.T, f Fixture) {
	o := itemSchema()
	o.Own = true
	from, to := pair(t, f, o)
	const n = 200
	rows := items(from, n)
	for _, row := range rows[:n/2] {
		to.apply(row)
	}
	to.takeOver(to.Crash)
	to.app = to.connect()
	if to.applied.Seq > n/2 {
		t.Fatalf("the checkpoint is at %d, beyond what was applied", to.applied.Seq)
	}
	to.app.holds("SELECT count(*) FROM item", strconv.FormatUint(to.applied.Seq, 10))
	for _, row := range rows[to.applied.Seq:] {
		to.apply(row)
	}
	to.app.holds("SELECT count(*), min(id), max(id) FROM item", fmt.Sprintf("%d|1|%d", n, n))
	// What was lost with the crash and applied again stands in the log once.
	var last uint64
	for _, ev := range to.open("").drain() {
		if ev.Kind != capture.Replicated || ev.Mark.Seq != last+1 {
			t.Fatalf("read %+v after mark %d", ev, last)
		}
		last = ev.Mark.Seq
	}
	if last != n {
		t.Errorf("the last mark is %d, want %d", last, n)
	}
}

// testOneAgentPerOrigin: the second agent stands by, and takes over when the first
// leaves or dies.
func testOneAgentPerOrigin(t *testing.T, f Fixture) {
	to := newBench(t, f, SiteOptions{Name: there, Schema: []string{"CREATE TABLE item (id int PRIMARY KEY)"}})
	to.acquire()
	release, err := to.db.Acquire(to.ctx, here)
	if err == nil {
		release()
	}
	is(t, err, change.ErrStandby, "acquiring what another has")
	to.leave()
	to.acquire()
	to.takeOver(to.Kill)
}

// testOverlap opens transactions while earlier ones of the same origin are open, as
// many as the engine says it can, and commits them in order.
func testOverlap(t *testing.T, f Fixture) {
	from, to := pair(t, f, itemSchema())
	n := to.db.Overlap()
	if n < 1 {
		t.Fatalf("overlap = %d, want at least 1", n)
	}
	rows := items(from, 3*n)
	for start := 0; start < len(rows); start += n {
		var open []apply.Tx
		for i := range n {
			c := to.nextCheckpoint()
			c.Seq, c.Previous = to.applied.Seq+uint64(i)+1, to.applied.Seq+uint64(i)
			c.HLC = c.Seq << 8
			tx, err := to.db.Begin(to.ctx, c)
			if err != nil {
				t.Fatalf("beginning %d of %d overlapping transactions: %v", i+1, n, err)
			}
			defer tx.Rollback(to.ctx)
			to.write(tx, writeOf(&rows[start+i]))
			open = append(open, tx)
		}
		for _, tx := range open {
			to.commit(tx)
		}
	}
	to.app.holds("SELECT count(*) FROM item", strconv.Itoa(len(rows)))
	var last uint64
	for _, ev := range to.open("").drain() {
		if ev.Kind != capture.Replicated || ev.Mark.Seq != last+1 {
			t.Fatalf("read %+v after mark %d", ev, last)
		}
		last = ev.Mark.Seq
	}
	if last != uint64(len(rows)) {
		t.Errorf("the last mark is %d, want %d", last, len(rows))
	}
}
