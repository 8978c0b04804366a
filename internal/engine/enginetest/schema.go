package enginetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// columnsOf names the columns of a row's shape.
func columnsOf(row change.Row) string {
	var names []string
	for _, c := range row.Table.Columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ",")
}

// testSchemaChanges alters the table here between rows. Each row has the shape the
// table had when it was written, also when all is read long after. There, what does
// not fit says what is missing, and comes right by itself.
func testSchemaChanges(t *testing.T, f Fixture) {
	from, to := pair(t, f, SiteOptions{Schema: []string{"CREATE TABLE item (id int PRIMARY KEY, n int, name text)"}})
	out := from.open("")
	rows := out.changes(
		"INSERT INTO item VALUES (1, 1, 'first')",
		"ALTER TABLE item ADD COLUMN extra int",
		"INSERT INTO item VALUES (2, 2, 'second', 22)",
		"ALTER TABLE item DROP COLUMN name",
		"INSERT INTO item VALUES (3, 3, 33)",
		"ALTER TABLE item RENAME COLUMN extra TO more",
		"UPDATE item SET more = 34 WHERE id = 3",
		f.Dialect.Widen("item", "n"),
		"INSERT INTO item VALUES (4, 5000000000, 44)",
	)
	old := "none"
	if f.Dialect.FullImages == nil {
		old = "3|3|33"
	}
	expectRows(t, rows,
		"insert item none -> 1|1|first",
		"insert item none -> 2|2|second|22",
		"insert item none -> 3|3|33",
		"update item "+old+" -> 3|3|34",
		"insert item none -> 4|5000000000|44")
	for i, want := range []string{"id,n,name", "id,n,name,extra", "id,n,extra", "id,n,more", "id,n,more"} {
		if got := columnsOf(rows[i]); got != want {
			t.Errorf("row %d has columns %s, want %s", i, got, want)
		}
	}
	if rows[3].Table.ID == rows[4].Table.ID {
		t.Error("the shape is the same after its column became larger")
	}

	to.apply(rows[0])
	misfit := func(row change.Row, column string) {
		t.Helper()
		tx := to.begin()
		defer tx.Rollback(to.ctx)
		_, err := tx.Write(to.ctx, []apply.Write{writeOf(&row)})
		var schema *apply.SchemaError
		if !errors.As(err, &schema) || !strings.HasSuffix(schema.Table, ".item") || schema.Column != column || schema.Detail == "" {
			t.Errorf("writing %s: %v, want a schema error about column %q", lines([]change.Row{row}), err, column)
		}
	}
	misfit(rows[1], "extra")
	to.app.run("ALTER TABLE item ADD COLUMN extra int")
	to.apply(rows[1], rows[2]) // the target still has name: that is its own affair
	misfit(rows[3], "more")
	to.app.run("ALTER TABLE item ADD COLUMN more int")
	to.apply(rows[3])
	tx := to.begin()
	_, err := tx.Write(to.ctx, []apply.Write{writeOf(&rows[4])})
	is(t, err, apply.ErrRejected, "writing a number that the column here is too small for")
	tx.Rollback(to.ctx)
	to.app.run(f.Dialect.Widen("item", "n"))
	to.applyAgain(rows[4])
	to.app.holds("SELECT id, n, name, extra, more FROM item ORDER BY id",
		"1|1|first|NULL|NULL", "2|2|second|22|NULL", "3|3|NULL|33|34", "4|5000000000|NULL|NULL|44")

	to.app.run("DROP TABLE item")
	misfit(rows[4], "")
	to.app.run("CREATE TABLE item (id int PRIMARY KEY, more int, n bigint)") // in another order
	to.applyAgain(rows[4])
	to.app.holds("SELECT id, n, more FROM item", "4|5000000000|44")
}

// applyAgain applies a row, again after a transient error, as the agent does: that a
// table has been altered may first be noticed by failing.
func (b *bench) applyAgain(row change.Row) {
	b.t.Helper()
	for attempt := 0; ; attempt++ {
		tx := b.begin()
		_, err := tx.Write(b.ctx, []apply.Write{writeOf(&row)})
		if err == nil {
			b.commit(tx)
			return
		}
		tx.Rollback(b.ctx)
		if attempt == 3 || !errors.Is(err, apply.ErrTransient) {
			b.t.Fatalf("writing a row that fits now, attempt %d: %v", attempt+1, err)
		}
	}
}
