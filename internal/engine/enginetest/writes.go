package enginetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// shape returns the shape of a table of here: what a write there is made of.
func shape(from *bench, table string, insert string) *change.Table {
	from.t.Helper()
	l := from.open("")
	defer l.close()
	rows := l.changes("INSERT INTO " + table + " VALUES " + insert)
	if len(rows) != 1 {
		from.t.Fatalf("an insert into %s logged %d rows", table, len(rows))
	}
	return rows[0].Table
}

func rowOf(table *change.Table, op change.Op, old, new []change.Value) *change.Row {
	return &change.Row{Table: table, Op: op, Old: old, New: new}
}

// testWrites: every action on rows that are there and rows that are not.
func testWrites(t *testing.T, f Fixture) {
	schema := SiteOptions{Schema: []string{"CREATE TABLE item (id int PRIMARY KEY, a text, b int)"}}
	from, to := pair(t, f, schema)
	table := shape(from, "item", "(1, 'a', 1)")
	to.app.run("INSERT INTO item VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), (4, 'four', 4), (5, 'five', 5)")
	update := func(img ...string) *change.Row { return rowOf(table, change.Update, nil, image(img...)) }
	remove := func(id string) *change.Row { return rowOf(table, change.Delete, image(id, "~", "~"), nil) }

	tx := to.begin()
	missing, err := tx.Write(to.ctx, []apply.Write{
		{Action: apply.Update, Row: update("1", "changed", "NULL")},
		{Action: apply.Update, Row: update("8", "nobody", "0")},
		{Action: apply.Update, Row: update("2", "~", "22")}, // the rest stays
		{Action: apply.Delete, Row: remove("3")},
		{Action: apply.Delete, Row: remove("9")},
		{Action: apply.Insert, Row: rowOf(table, change.Insert, nil, image("6", "six", "6"))},
		{Action: apply.Put, Row: update("4", "put", "44")},
		{Action: apply.Put, Row: update("7", "new", "NULL")},
		{Action: apply.Remove, Row: remove("5")},
		{Action: apply.Remove, Row: remove("10")},
	})
	if err != nil {
		t.Fatalf("writing: %v", err)
	}
	slices.Sort(missing)
	if fmt.Sprint(missing) != "[1 4]" {
		t.Errorf("missing = %d, want the update of 8 and the delete of 9", missing)
	}
	// The key moves: the row is found by its old key.
	missing, err = tx.Write(to.ctx, []apply.Write{
		{Action: apply.Update, Row: rowOf(table, change.Update, image("2", "~", "~"), image("12", "~", "23"))},
		{Action: apply.Update, Row: rowOf(table, change.Update, image("99", "~", "~"), image("98", "x", "1"))},
	})
	if err != nil || fmt.Sprint(missing) != "[1]" {
		t.Errorf("moving keys: missing = %d, %v; want the second", missing, err)
	}
	read, err := tx.Read(to.ctx, table, [][]change.Value{image("12", "~", "~"), image("2", "~", "~"), image("7", "~", "~")})
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	if len(read) != 3 || show(read[0]) != "12|two|23" || read[1] != nil || show(read[2]) != "7|new|NULL" {
		t.Errorf("read %v, want 12|two|23, none, 7|new|NULL", read)
	}
	to.commit(tx)
	to.app.holds("SELECT id, a, b FROM item ORDER BY id",
		"1|changed|NULL", "4|put|44", "6|six|6", "7|new|NULL", "12|two|23")
}

// testSavepoints: the trial of one change leaves nothing when it fails, and the
// transaction goes on.
func testSavepoints(t *testing.T, f Fixture) {
	from, to := pair(t, f, itemSchema())
	rows := items(from, 4)
	to.app.run("INSERT INTO item VALUES (2, 'there before')")
	tx := to.begin()
	for i := range rows {
		if err := tx.Savepoint(to.ctx); err != nil {
			t.Fatalf("setting a savepoint: %v", err)
		}
		_, err := tx.Write(to.ctx, []apply.Write{writeOf(&rows[i])})
		switch {
		case i == 1:
			is(t, err, apply.ErrRejected, "inserting a row that is there")
		case err != nil:
			t.Fatalf("inserting row %d: %v", i+1, err)
		}
		if i == 1 || i == 2 { // after a failure, and without one
			if err := tx.RollbackTo(to.ctx); err != nil {
				t.Fatalf("rolling back to the savepoint: %v", err)
			}
		}
	}
	to.commit(tx)
	to.app.holds("SELECT id, name FROM item ORDER BY id", "1|n1", "2|there before", "4|n4")
}

// testTruncateKeeps empties a table but for the rows that are to be kept.
func testTruncateKeeps(t *testing.T, f Fixture) {
	from, to := pair(t, f, itemSchema())
	table := items(from, 1)[0].Table
	fill := "INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')"
	to.app.run(fill)
	tx := to.begin()
	if err := tx.Truncate(to.ctx, table, func(key []change.Value) bool { return key[0].Text == "2" }); err != nil {
		t.Fatalf("truncating with a row kept: %v", err)
	}
	to.commit(tx)
	to.app.holds("SELECT id, name FROM item", "2|b")
	tx = to.begin()
	if err := tx.Truncate(to.ctx, table, nil); err != nil {
		t.Fatalf("truncating: %v", err)
	}
	to.commit(tx)
	to.app.holds("SELECT count(*) FROM item", "0")
	for _, ev := range to.open("").drain() {
		for _, row := range ev.Rows {
			if row.Op == change.Truncate || row.Op == change.Delete {
				t.Errorf("what apply truncated is a change of this site: %s", lines(ev.Rows))
			}
		}
	}
}

// testRecords: conflicts and parked changes are written with the transaction, and a
// parked change comes back exactly.
func testRecords(t *testing.T, f Fixture) {
	from, to := pair(t, f, itemSchema())
	table := items(from, 1)[0].Table
	now := time.Date(2026, 7, 31, 1, 2, 3, 456000, time.UTC)
	older := apply.Side{Version: change.Version{HLC: 1 << 60, Origin: here}, Seq: 7, Op: change.Update, Image: image("1", "older\n'\"\\ é")}
	newer := apply.Side{Version: change.Version{HLC: 1<<60 + 1, Origin: there}, Seq: 8, Op: change.Delete}
	conflict := apply.Conflict{Table: table, Key: image("1", "~"), Kind: "update_deleted", Policy: "last_write_wins", Older: older, Newer: newer, Resolution: "newer", Time: now}
	parked := apply.Parked{
		Origin: here, Epoch: 1, Seq: 1, HLC: 1<<62 + 3, Seen: change.Seen{there: 12}, Index: 3,
		Row:    *rowOf(table, change.Update, image("1", "~"), image("2", "NULL")),
		Reason: apply.ReasonRejected, Message: "it's \"refused\"\n\\", Time: now,
	}
	undone := to.begin()
	if err := undone.Record(to.ctx, []apply.Conflict{conflict}, []apply.Parked{parked}); err != nil {
		t.Fatalf("recording: %v", err)
	}
	undone.Rollback(to.ctx)
	if all, err := to.db.Parked(to.ctx); err != nil || len(all) != 0 {
		t.Fatalf("after a rollback %d changes are parked (%v)", len(all), err)
	}

	tx := to.begin()
	if err := tx.Record(to.ctx, []apply.Conflict{conflict}, []apply.Parked{parked}); err != nil {
		t.Fatalf("recording: %v", err)
	}
	to.commit(tx)
	all, err := to.db.Parked(to.ctx)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d changes are parked (%v), want 1", len(all), err)
	}
	got := all[0]
	if got.ID == 0 || got.Origin != parked.Origin || got.Epoch != 1 || got.Seq != 1 || got.HLC != parked.HLC || got.Index != 3 ||
		got.Seen[there] != 12 || got.Reason != parked.Reason || got.Message != parked.Message || got.Behind || !got.Time.Equal(now) {
		t.Errorf("parked %+v came back as %+v", parked, got)
	}
	if got.Row.Table == nil || got.Row.Table.ID != table.ID || got.Row.Op != change.Update ||
		!slices.Equal(got.Row.Old, parked.Row.Old) || !slices.Equal(got.Row.New, parked.Row.New) {
		t.Errorf("the parked row came back as %s", lines([]change.Row{got.Row}))
	}
	for _, ev := range to.open("").drain() {
		if len(ev.Rows) != 0 {
			t.Errorf("records are no change of this site: %s", lines(ev.Rows))
		}
	}
}

// testLogPosition: what was committed before the call, durably or not, is read by the
// time the log is read up to the position, though our own transaction is still open.
func testLogPosition(t *testing.T, f Fixture) {
	from, to := pair(t, f, itemSchema())
	rows := items(from, 1)
	l := to.open("")
	writer := to.connect()
	writer.run(f.Dialect.Unhurried...)
	var slowest time.Duration
	for i := range 30 {
		tx := to.begin()
		to.write(tx, writeOf(&rows[0]))
		id := fmt.Sprint(1000 + i)
		writer.run("INSERT INTO item VALUES (" + id + ", 'local')")
		began := time.Now()
		p, err := tx.LogPosition(to.ctx)
		if err != nil {
			t.Fatalf("asking for the log position: %v", err)
		}
		seen := false
		for to.db.Compare(l.last, p) < 0 {
			for _, row := range l.next().Rows {
				seen = seen || row.New[0].Text == id
			}
		}
		slowest = max(slowest, time.Since(began))
		if !seen {
			t.Fatalf("the log was read up to %s without row %s, which was committed before", p, id)
		}
		tx.Rollback(to.ctx)
	}
	t.Logf("slowest of 30: %s", slowest)
	if slowest > 10*time.Second {
		t.Errorf("reaching a log position took %s", slowest)
	}
}
