package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// TestSetsOfRowsSayWhichAreMissing: however the rows of a set are written, all at once or
// one by one, the result is the same.
func TestSetsOfRowsSayWhichAreMissing(t *testing.T) {
	for name, table := range map[string]string{
		"one column":       "CREATE TABLE item (a INT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), PRIMARY KEY (a))",
		"two columns":      "CREATE TABLE item (a INT, b INT, v VARCHAR(20), PRIMARY KEY (b, a))",
		"no primary key":   "CREATE TABLE item (a INT NOT NULL, b INT NOT NULL, v VARCHAR(20), UNIQUE (a))",
		"another key":      "CREATE TABLE item (a INT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), PRIMARY KEY (a), UNIQUE (v))",
		"a computed":       "CREATE TABLE item (a INT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), c VARCHAR(30) AS (concat(v, '!')) STORED, d INT AS (a + 1), PRIMARY KEY (a))",
		"more columns":     "CREATE TABLE item (a INT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), more INT DEFAULT 7, PRIMARY KEY (a))",
		"in partitions":    "CREATE TABLE item (a INT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), PRIMARY KEY (a)) PARTITION BY HASH (a) PARTITIONS 3",
		"a foreign key":    "CREATE TABLE item (a INT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), PRIMARY KEY (a), FOREIGN KEY (b) REFERENCES parent (id) ON DELETE CASCADE)",
		"a sequence":       "CREATE TABLE item (a INT AUTO_INCREMENT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), PRIMARY KEY (a))",
		"a reserved name":  "CREATE TABLE item (a INT, b INT NOT NULL DEFAULT 0, v VARCHAR(20), `concord_new` INT, PRIMARY KEY (a))",
		"an awkward index": "CREATE TABLE item (a INT NOT NULL, b INT NOT NULL DEFAULT 0, v VARCHAR(20), UNIQUE `by ``a` (a))",
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, dsn string) {
				b := targetOf(t, dsn, "CREATE TABLE parent (id INT PRIMARY KEY)", table)
				shape := *b.shape("item")
				shape.Columns = shape.Columns[:3]
				shape.Unique = nil
				shape.Seal()
				values := func(i int, v string) []change.Value { return imageOf(fmt.Sprint(i), fmt.Sprint(i%3), v) }
				var inserts []apply.Write
				for i := range 60 {
					inserts = append(inserts, insertOf(&shape, values(i, fmt.Sprint("old", i))))
				}
				tx := b.begin()
				b.write(tx, inserts...)
				b.commit(tx)
				set := func(first, n int, f func(i int) apply.Write) (all []apply.Write) {
					for i := first; i < first+n; i++ {
						all = append(all, f(i))
					}
					return all
				}
				change := func(i int) apply.Write { return updateOf(&shape, values(i, fmt.Sprint("new", i))) }
				gone := func(i int) apply.Write { return deleteOf(&shape, values(i, "~")) }
				tx = b.begin()
				if missing := b.write(tx, append(set(0, 20, change), set(20, 10, gone)...)...); missing != "[]" {
					t.Errorf("all there: missing = %s", missing)
				}
				if missing := b.write(tx, append(set(45, 17, change), set(40, 5, gone)...)...); missing != "[15 16]" {
					t.Errorf("updating two that are not there: missing = %s", missing)
				}
				if missing := b.write(tx, append(set(55, 10, gone), set(25, 6, gone)...)...); missing != "[5 6 7 8 9 10 11 12 13 14]" {
					t.Errorf("deleting some that are not there: missing = %s", missing)
				}
				b.write(tx, set(30, 100, func(i int) apply.Write { return as(apply.Remove, gone(i)) })...)
				b.commit(tx)
				var want []string
				for i := range 20 {
					want = append(want, fmt.Sprintf("%d|new%d", i, i))
				}
				b.holds("SELECT a, v FROM item ORDER BY a", want...)
				if name == "more columns" {
					b.holds("SELECT DISTINCT more FROM item", "7")
				}
				if name == "a computed" {
					b.holds("SELECT count(*) FROM item WHERE c = concat(v, '!') AND d = a + 1", "20")
				}
			})
		})
	}
}

// TestKeysAreComparedAsTheirCollationDoes: a row is found by any text that its column
// takes for the same.
func TestKeysAreComparedAsTheirCollationDoes(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT)")
		shape := b.shape("item")
		var inserts, updates []apply.Write
		var keys [][]change.Value
		for i := range 20 {
			inserts = append(inserts, insertOf(shape, imageOf(fmt.Sprint("Key", i), "0")))
			updates = append(updates, updateOf(shape, imageOf(fmt.Sprint("kéy", i), fmt.Sprint(i))))
			keys = append(keys, imageOf(fmt.Sprint("KEY", i), "~"))
		}
		tx := b.begin()
		b.write(tx, inserts...)
		if missing := b.write(tx, updates...); missing != "[]" {
			t.Errorf("missing = %s", missing)
		}
		read, err := tx.Read(b.ctx, shape, keys)
		if err != nil {
			t.Fatal(err)
		}
		for i, image := range read { // the key is as it was last written
			if want := fmt.Sprintf("kéy%d|%d", i, i); shown(image) != want {
				t.Errorf("read %s, want %s", shown(image), want)
			}
		}
		if _, err := tx.Write(b.ctx, []apply.Write{insertOf(shape, imageOf("KEY7", "1"))}); !errors.Is(err, apply.ErrRejected) {
			t.Errorf("inserting what is there in other letters: %v", err)
		}
	})
}

// TestAPutNeverTakesAnotherRow: where a second unique index would lead an upsert to
// another row, the index refuses.
func TestAPutNeverTakesAnotherRow(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, mail VARCHAR(20) UNIQUE, n INT)")
		shape := b.shape("item")
		b.run("INSERT INTO item VALUES (1, 'a@b', 1)")
		tx := b.begin()
		_, err := tx.Write(b.ctx, []apply.Write{as(apply.Put, updateOf(shape, imageOf("2", "a@b", "2")))})
		if !errors.Is(err, apply.ErrRejected) || errorNumber(err) != 1062 || strings.Contains(err.Error(), "a@b") {
			t.Errorf("putting a row whose mail another has: %v", err)
		}
		tx.Rollback(b.ctx)
		tx = b.begin()
		b.write(tx, as(apply.Put, updateOf(shape, imageOf("1", "a@b", "5"))), as(apply.Put, updateOf(shape, imageOf("2", "c@d", "2"))))
		b.commit(tx)
		b.holds("SELECT * FROM item ORDER BY id", "1|a@b|5", "2|c@d|2")
	})
}

// TestATableThatWasAlteredIsReadAgain: what was known of it is not used for what is now
// another type.
func TestATableThatWasAlteredIsReadAgain(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, v FLOAT)")
		shape := b.shape("item")
		b.run("INSERT INTO item VALUES (1, 0.1)")
		read := func(want string) {
			t.Helper()
			for attempt := 0; ; attempt++ {
				tx := b.begin()
				images, err := tx.Read(b.ctx, shape, [][]change.Value{imageOf("1", "~")})
				tx.Rollback(b.ctx)
				if errors.Is(err, apply.ErrTransient) && attempt < 3 {
					continue
				}
				if err != nil || shown(images[0]) != want {
					t.Errorf("read %s, %v; want %s", shown(images[0]), err, want)
				}
				return
			}
		}
		read("1|0.1")
		b.run("ALTER TABLE item MODIFY v DOUBLE", "UPDATE item SET v = 0.30000000000000004")
		read("1|0.30000000000000004")
		b.run("ALTER TABLE item MODIFY v VARCHAR(20)", "UPDATE item SET v = '1e5'")
		read("1|1e5")
		b.run("ALTER TABLE item DROP COLUMN v")
		tx := b.begin()
		_, err := tx.Write(b.ctx, []apply.Write{updateOf(shape, imageOf("1", "2"))})
		var schema *apply.SchemaError
		if !errors.As(err, &schema) || schema.Column != "v" || !strings.Contains(schema.Detail, "ADD COLUMN `v`") {
			t.Errorf("writing a column that is gone: %v", err)
		}
		tx.Rollback(b.ctx)
		b.run("ALTER TABLE item ADD COLUMN v VARCHAR(20)")
		tx = b.begin()
		b.write(tx, updateOf(shape, imageOf("1", "2")))
		b.commit(tx)
		b.holds("SELECT v FROM item", "2")
	})
}
