package enginetest

import (
	"errors"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// testErrorClasses: the same rows meet tables that refuse them, each in its own way.
// The transaction survives it behind a savepoint.
func testErrorClasses(t *testing.T, f Fixture) {
	for _, test := range []struct {
		name   string
		table  string // there
		before []string
		row    []string // id, a, b
		schema bool
	}{
		{name: "key taken", table: "CREATE TABLE item (id int PRIMARY KEY, a text, b int)", before: []string{"INSERT INTO item VALUES (1, 'x', 1)"}, row: []string{"1", "a", "1"}},
		{name: "unique value taken", table: "CREATE TABLE item (id int PRIMARY KEY, a text, b int UNIQUE)", before: []string{"INSERT INTO item VALUES (9, 'x', 1)"}, row: []string{"1", "a", "1"}},
		{name: "null not allowed", table: "CREATE TABLE item (id int PRIMARY KEY, a text NOT NULL, b int)", row: []string{"1", "NULL", "1"}},
		{name: "check", table: "CREATE TABLE item (id int PRIMARY KEY, a text, b int CHECK (b < 10))", row: []string{"1", "a", "10"}},
		{name: "too long", table: "CREATE TABLE item (id int PRIMARY KEY, a varchar(3), b int)", row: []string{"1", "abcd", "1"}},
		{name: "too large", table: "CREATE TABLE item (id int PRIMARY KEY, a text, b smallint)", row: []string{"1", "a", "40000"}},
		{name: "not a number", table: "CREATE TABLE item (id int PRIMARY KEY, a int, b int)", row: []string{"1", "a", "1"}},
		{name: "not a date", table: "CREATE TABLE item (id int PRIMARY KEY, a date, b int)", row: []string{"1", "2026-13-01", "1"}},
		{name: "no column", table: "CREATE TABLE item (id int PRIMARY KEY, a text)", row: []string{"1", "a", "1"}, schema: true},
		{name: "no table", table: "CREATE TABLE other (id int PRIMARY KEY, a text, b int)", row: []string{"1", "a", "1"}, schema: true},
		{name: "no key", table: "CREATE TABLE item (id int, a text, b int, other int PRIMARY KEY)", row: []string{"1", "a", "1"}, schema: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := newBench(t, f, SiteOptions{Name: here, Schema: []string{"CREATE TABLE item (id int PRIMARY KEY, a text, b int)"}})
			table := shape(from, "item", "(100, 'a', 1)")
			fine := *table
			fine.Name = "fine"
			fine.Seal()
			to := newBench(t, f, SiteOptions{Name: there, Schema: []string{test.table, "CREATE TABLE fine (id int PRIMARY KEY, a text, b int)"}})
			to.acquire()
			to.app.run(test.before...)
			tx := to.begin()
			to.write(tx, apply.Write{Action: apply.Insert, Row: rowOf(&fine, change.Insert, nil, image("1", "before", "1"))})
			if err := tx.Savepoint(to.ctx); err != nil {
				t.Fatalf("setting a savepoint: %v", err)
			}
			_, err := tx.Write(to.ctx, []apply.Write{{Action: apply.Insert, Row: rowOf(table, change.Insert, nil, image(test.row...))}})
			is(t, err, apply.ErrRejected, "writing")
			var schema *apply.SchemaError
			if got := errors.As(err, &schema); got != test.schema {
				t.Errorf("%v: is a schema error: %t, want %t", err, got, test.schema)
			}
			if err := tx.RollbackTo(to.ctx); err != nil {
				t.Fatalf("rolling back to the savepoint: %v", err)
			}
			to.write(tx, apply.Write{Action: apply.Insert, Row: rowOf(&fine, change.Insert, nil, image("2", "after", "2"))})
			to.commit(tx)
			to.app.holds("SELECT id, a, b FROM fine ORDER BY id", "1|before|1", "2|after|2")
		})
	}
	t.Run("connection lost", func(t *testing.T) {
		from, to := pair(t, f, itemSchema())
		rows := items(from, 1)
		tx := to.begin()
		to.write(tx, writeOf(&rows[0]))
		old := to.db
		to.takeOver(to.Kill)
		_, err := tx.Write(to.ctx, []apply.Write{writeOf(&rows[0])})
		if !errors.Is(err, apply.ErrTransient) && !errors.Is(err, apply.ErrFenced) {
			t.Errorf("writing on a lost connection: %v, want transient or fenced", err)
		}
		tx.Rollback(to.ctx)
		if _, err := old.Begin(to.ctx, to.nextCheckpoint()); err == nil || errors.Is(err, apply.ErrRejected) {
			t.Errorf("beginning when the lease is lost: %v, want transient or fenced", err)
		}
		to.apply(rows...)
		to.app.holds("SELECT id, name FROM item", "1|n1")
	})
}

// testApplicationsComeFirst: apply gives way in a lock wait and in a deadlock, soon,
// and can do the same again afterwards.
func testApplicationsComeFirst(t *testing.T, f Fixture) {
	from, to := pair(t, f, itemSchema())
	table := items(from, 1)[0].Table
	update := func(id, name string) apply.Write {
		return apply.Write{Action: apply.Update, Row: rowOf(table, change.Update, nil, image(id, name))}
	}
	to.app.run("INSERT INTO item VALUES (1, 'a'), (2, 'b')")
	other := to.connect()

	other.run("BEGIN", "UPDATE item SET name = 'application' WHERE id = 1")
	tx := to.begin()
	began := time.Now()
	_, err := tx.Write(to.ctx, []apply.Write{update("1", "apply")})
	is(t, err, apply.ErrTransient, "waiting for an application's lock")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("gave way after %s", took)
	}
	tx.Rollback(to.ctx)
	other.run("COMMIT")
	to.app.holds("SELECT name FROM item WHERE id = 1", "application")

	other.run("BEGIN", "UPDATE item SET name = 'application' WHERE id = 1")
	tx = to.begin()
	to.write(tx, update("2", "apply"))
	blocked := make(chan error, 1)
	go func() { blocked <- other.Exec(to.ctx, "UPDATE item SET name = 'application' WHERE id = 2") }()
	// Whether the application waits already or is about to: one of us has to give way.
	_, err = tx.Write(to.ctx, []apply.Write{update("1", "apply")})
	is(t, err, apply.ErrTransient, "in a deadlock with an application")
	tx.Rollback(to.ctx)
	if err := <-blocked; err != nil {
		t.Errorf("the application gave way: %v", err)
	}
	other.run("COMMIT")
	to.app.holds("SELECT name FROM item ORDER BY id", "application", "application")

	tx = to.begin()
	to.write(tx, update("1", "apply"), update("2", "apply"))
	to.commit(tx)
	to.app.holds("SELECT name FROM item ORDER BY id", "apply", "apply")
}

// testNothingFiresTwice: triggers and foreign keys had their say at the origin.
func testNothingFiresTwice(t *testing.T, f Fixture) {
	schema := []string{
		"CREATE TABLE audit (id int PRIMARY KEY)",
		"CREATE TABLE main (id int PRIMARY KEY, n int)",
		"CREATE TABLE child (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES main (id))",
	}
	from, to := pair(t, f, SiteOptions{Schema: append(schema, f.Dialect.Audit...)})
	out := from.open("")
	rows := out.changes("INSERT INTO main VALUES (1, 1)", "INSERT INTO child VALUES (5, 1)")
	var child, audited int
	for i, row := range rows {
		switch row.Table.Name {
		case "child":
			child = i
		case "audit":
			audited++
		}
	}
	if len(rows) != 3 || audited != 1 {
		t.Fatalf("read\n%swant main, audit by its trigger, child", lines(rows))
	}
	to.apply(rows[child]) // before its parent: another transaction's affair
	to.app.holds("SELECT id, parent FROM child", "5|1")
	rows = append(rows[:child], rows[child+1:]...)
	to.apply(rows...)
	to.app.holds("SELECT count(*) FROM audit", "1")
	to.app.holds("SELECT count(*) FROM main", "1")
}
