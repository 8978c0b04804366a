package postgres

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestALargeTransactionComesInPartsOfBoundedSize(t *testing.T) {
	const rows = 300_000
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{PartBytes: 256 << 10}, `CREATE TABLE item (id int PRIMARY KEY, note text)`)
		f.app.run(`INSERT INTO item VALUES (0, 'before')`,
			fmt.Sprintf(`INSERT INTO item SELECT i, repeat('x', 100) FROM generate_series(1, %d) i`, rows))
		l := f.open("")
		before := l.nextLocal()

		var mem runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&mem)
		start, peak := mem.HeapAlloc, uint64(0)
		next, part := 1, 0
		for {
			ev := l.nextLocal()
			if ev.Part != part || len(ev.Rows) == 0 || ev.CommitTime.IsZero() {
				t.Fatalf("part %d with %d rows, want part %d", ev.Part, len(ev.Rows), part)
			}
			part++
			size := 0
			for _, r := range ev.Rows {
				if r.New[0].Text != fmt.Sprint(next) {
					t.Fatalf("row %s, want %d", r.New[0].Text, next)
				}
				next++
				size += len(r.New[0].Text) + len(r.New[1].Text)
			}
			if size > 256<<10 {
				t.Fatalf("part %d has %d bytes", ev.Part, size)
			}
			if part%100 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&mem)
				peak = max(peak, mem.HeapAlloc)
			}
			if !ev.More {
				if f.Compare(ev.Position, before.Position) <= 0 {
					t.Errorf("the last part is at %s, not behind %s", ev.Position, before.Position)
				}
				break
			}
			if ev.Position != before.Position {
				t.Fatalf("part %d is at %s, want %s: reading from there must give the whole transaction again", ev.Part, ev.Position, before.Position)
			}
		}
		if next != rows+1 {
			t.Errorf("read %d rows, want %d", next-1, rows)
		}
		if peak > start+16<<20 {
			t.Errorf("memory in use grew by %d bytes", peak-start)
		}
		if evs := l.until(); len(evs) != 0 {
			t.Errorf("after the last part came %+v", evs)
		}
	})
}

func TestALargeReplicatedTransactionIsStillOneMark(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{PartBytes: 1000, MarkFirst: true}, `CREATE TABLE item (id int PRIMARY KEY, note text)`)
		f.app.run(`BEGIN`, `UPDATE concord.checkpoint SET seq = 5 WHERE origin = 'pune'`,
			`INSERT INTO item SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i`, `COMMIT`)
		evs := f.open("").until()
		if len(evs) != 1 || evs[0].Kind != capture.Replicated || evs[0].Mark.Seq != 5 {
			t.Errorf("read %+v, want one mark", evs)
		}
	})
}

func TestReadingAgainFromAPartGivesTheWholeTransaction(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{PartBytes: 300}, `CREATE TABLE item (id int PRIMARY KEY, note text)`)
		f.app.run(`INSERT INTO item SELECT i, repeat('x', 100) FROM generate_series(1, 20) i`)
		l := f.open("")
		l.nextLocal()
		middle := l.nextLocal()
		if middle.Part != 1 || !middle.More {
			t.Fatalf("read %+v, want part 1 of several", middle)
		}
		l.close()
		var rows []change.Row
		for i, ev := range f.open(middle.Position).until() {
			if ev.Part != i {
				t.Fatalf("part %d, want %d", ev.Part, i)
			}
			rows = append(rows, ev.Rows...)
		}
		if len(rows) != 20 {
			t.Errorf("read %d rows, want 20", len(rows))
		}
	})
}
