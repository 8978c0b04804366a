package enginetest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// heapLimit is how much the heap may grow while a transaction of any size passes from
// the log of one database into the other.
const heapLimit = 96 << 20

// testLargeTransaction passes one transaction of 100 MB (1 GB in a full run) from the
// log here into one transaction there, part by part. A small one committed meanwhile
// arrives in its turn, and there it is still one mark.
func testLargeTransaction(t *testing.T, f Fixture) {
	total := 100 << 20
	if full() {
		total = 1 << 30
	}
	const width = 1000 // bytes of a row, about
	n := total / width
	o := SiteOptions{Own: true, Schema: []string{
		"CREATE TABLE big (id int PRIMARY KEY, body text)",
		"CREATE TABLE small (id int PRIMARY KEY)",
	}}
	from, to := pair(t, f, o)
	out := from.open("")
	writer := from.connect()
	writer.run("BEGIN",
		"INSERT INTO small VALUES (1)",
		fmt.Sprintf("INSERT INTO big SELECT n, %s FROM %s", f.Dialect.Bytes(width, "n"), f.Dialect.Numbers(n)))
	from.app.run("INSERT INTO small VALUES (2)") // begins later, commits earlier
	writer.run("COMMIT")
	from.app.run("INSERT INTO small VALUES (3)")

	if ev := out.nextChange(); len(ev.Rows) != 1 || ev.Rows[0].New[0].Text != "2" {
		t.Fatalf("read %s first, want the small transaction that committed first", lines(ev.Rows))
	}
	before := out.last
	began := time.Now()
	base := heap(true)
	peak, parts, rows := base, 0, 0
	tx := to.begin()
	for more := true; more; parts++ {
		ev := out.nextChange()
		if ev.Kind != capture.Local || ev.Part != parts {
			t.Fatalf("read part %d, want part %d", ev.Part, parts)
		}
		if ev.More && ev.Position != before {
			t.Fatalf("part %d is at %s: resuming there would lose the parts before it", ev.Part, ev.Position)
		}
		// Set by set, as the agent does: the keys of one part are disjoint.
		for start := 0; start < len(ev.Rows); {
			end := start + 1
			for end < len(ev.Rows) && ev.Rows[end].Table == ev.Rows[start].Table {
				end++
			}
			to.writeAll(tx, ev.Rows[start:end])
			start = end
		}
		rows += len(ev.Rows)
		peak = max(peak, heap(false))
		more = ev.More
	}
	to.commit(tx)
	took := time.Since(began)
	if rows != n+1 {
		t.Errorf("read %d rows in %d parts, want %d", rows, parts, n+1)
	}
	if parts < 20 {
		t.Errorf("%d MB came in %d parts", total>>20, parts)
	}
	if grown := int64(peak) - int64(base); grown > heapLimit {
		t.Errorf("the heap grew by %d MiB while %d MiB passed, more than %d MiB", grown>>20, total>>20, heapLimit>>20)
	}
	t.Logf("%d MiB, %d rows, %d parts in %s; the heap grew by %d MiB", total>>20, rows, parts, took.Round(time.Millisecond), (int64(peak)-int64(base))>>20)
	if ev := out.nextChange(); len(ev.Rows) != 1 || ev.Rows[0].New[0].Text != "3" {
		t.Errorf("read %s after the large one, want the small one that committed after it", lines(ev.Rows))
	}
	const sums = "SELECT count(*), min(id), max(id), sum(length(body)) FROM big"
	to.app.holds(sums, from.app.query(sums)...)
	events := to.open("").drain()
	if len(events) != 1 || events[0].Kind != capture.Replicated || events[0].Mark.Seq != 1 {
		t.Errorf("there it reads as %d events, want one mark", len(events))
	}
}

func heap(collect bool) uint64 {
	if collect {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// testLargeValues: a large value that an update did not touch is not logged, and is
// neither null nor lost at the target. Where old images are whole, it is known.
func testLargeValues(t *testing.T, f Fixture) {
	from, to := pair(t, f, SiteOptions{Schema: []string{"CREATE TABLE doc (id int PRIMARY KEY, n int, body text)"}})
	out := from.open("")
	body := f.Dialect.Bytes(20000, "1")
	rows := out.changes(
		"INSERT INTO doc VALUES (1, 1, "+body+"), (2, 1, "+f.Dialect.Bytes(300000, "2")+"), (3, 1, NULL)",
		"UPDATE doc SET n = 2",
		"UPDATE doc SET id = id + 10 WHERE id = 2",
		"UPDATE doc SET body = "+f.Dialect.Bytes(30000, "3")+" WHERE id = 3",
	)
	if len(rows) != 8 {
		t.Fatalf("read %d rows, want 8:\n%s", len(rows), lines(rows))
	}
	for i, length := range map[int]int{0: 20000, 1: 300000, 7: 30000} {
		if v := rows[i].New[2]; v.State != change.Present || len(v.Text) != length {
			t.Errorf("row %d of the log is %s, want a value of %d bytes", i, show(rows[i].New), length)
		}
	}
	for i, row := range rows {
		if v := row.New[2]; v.State == change.Null && row.New[0].Text != "3" {
			t.Errorf("row %d of the log has null for a value that is there: %s", i, show(row.New))
		}
	}
	to.apply(rows...)
	same := func() {
		t.Helper()
		const all = "SELECT id, n, body FROM doc ORDER BY id"
		if strings.Join(from.app.query(all), "\n") != strings.Join(to.app.query(all), "\n") {
			t.Error("the two tables differ")
		}
	}
	same()
	if f.Dialect.FullImages != nil {
		from.app.run(f.Dialect.FullImages("doc"))
	}
	rows = out.changes("UPDATE doc SET n = 3 WHERE id = 1", "DELETE FROM doc WHERE id = 12")
	if len(rows) != 2 {
		t.Fatalf("read %d rows, want 2:\n%s", len(rows), lines(rows))
	}
	for i, length := range []int{20000, 300000} {
		if rows[i].Old == nil || rows[i].Old[2].State != change.Present || len(rows[i].Old[2].Text) != length {
			t.Errorf("with whole images the old row is %s", show(rows[i].Old))
		}
	}
	if rows[0].Partial() {
		t.Errorf("with whole images the new row is partial: %s", show(rows[0].New))
	}
	to.apply(rows...)
	same()
}
