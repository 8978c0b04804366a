package mysql

import (
	"errors"
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

func TestEveryRefusalHasItsClass(t *testing.T) {
	const plain = "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100), b INT)"
	for _, c := range []struct {
		name   string
		table  string
		before []string
		row    []string
		number map[flavor]uint16
		schema bool
		secret string // a value that the error must not quote
	}{
		{name: "key taken", table: plain, before: []string{"INSERT INTO item VALUES (1, 'x', 1)"}, row: []string{"1", "a", "1"}, number: both(1062)},
		{name: "unique value taken", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100) UNIQUE, b INT)", before: []string{"INSERT INTO item VALUES (9, 'Secret', 1)"},
			row: []string{"1", "secret", "1"}, number: both(1062), secret: "ecret"},
		{name: "null", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100) NOT NULL, b INT)", row: []string{"1", "NULL", "1"}, number: both(1048)},
		{name: "check", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100), b INT, CHECK (b < 10))", row: []string{"1", "a", "10"}, number: map[flavor]uint16{mySQL: 3819, mariaDB: 4025}},
		{name: "too long", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(3), b INT)", row: []string{"1", "secret", "1"}, number: both(1406), secret: "secret"},
		{name: "too large", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100), b TINYINT)", row: []string{"1", "a", "128"}, number: both(1264)},
		{name: "negative", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100), b INT UNSIGNED)", row: []string{"1", "a", "-1"}, number: both(1264)},
		{name: "no number", table: "CREATE TABLE item (id INT PRIMARY KEY, a INT, b INT)", row: []string{"1", "secret", "1"}, number: both(1366), secret: "secret"},
		{name: "no date", table: "CREATE TABLE item (id INT PRIMARY KEY, a DATE, b INT)", row: []string{"1", "2026-13-01", "1"}, number: both(1292), secret: "2026-13"},
		{name: "no label", table: "CREATE TABLE item (id INT PRIMARY KEY, a ENUM('x'), b INT)", row: []string{"1", "secret", "1"}, number: both(1265), secret: "secret"},
		{name: "not of the character set", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100) CHARACTER SET latin1, b INT)", row: []string{"1", "日本", "1"}, number: both(1366)},
		{name: "no default", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100), b INT, c INT NOT NULL)", row: []string{"1", "a", "1"}, number: both(1364)},
		{name: "no partition", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100), b INT) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (1))", row: []string{"1", "a", "1"}, number: both(1526)},
		{name: "a trigger says no", table: plain, before: []string{"CREATE TRIGGER no BEFORE INSERT ON item FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'"}, row: []string{"1", "a", "1"}, number: both(1644)},
		{name: "no column", table: "CREATE TABLE item (id INT PRIMARY KEY, a VARCHAR(100))", row: []string{"1", "a", "1"}, schema: true},
		{name: "no table", table: "CREATE TABLE other (id INT PRIMARY KEY)", row: []string{"1", "a", "1"}, schema: true},
		{name: "no key", table: "CREATE TABLE item (id INT, a VARCHAR(100), b INT, other INT PRIMARY KEY)", row: []string{"1", "a", "1"}, schema: true},
		{name: "no packet holds it", table: "CREATE TABLE item (id INT PRIMARY KEY, a LONGTEXT, b INT)", row: []string{"1", strings.Repeat("x", 64<<20), "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, dsn string) {
				b := targetOf(t, dsn, c.table, "CREATE TABLE fine (id INT PRIMARY KEY, a VARCHAR(100), b INT)")
				b.run(c.before...)
				fine := b.shape("fine")
				shape := *fine
				shape.Name = "item"
				shape.Seal()
				tx := b.begin()
				b.write(tx, insertOf(fine, imageOf("1", "before", "1")))
				if err := tx.Savepoint(b.ctx); err != nil {
					t.Fatal(err)
				}
				_, err := tx.Write(b.ctx, []apply.Write{insertOf(&shape, imageOf(c.row...))})
				if !errors.Is(err, apply.ErrRejected) {
					t.Fatalf("writing: %v, want rejected", err)
				}
				var schema *apply.SchemaError
				if errors.As(err, &schema) != c.schema {
					t.Errorf("%v: is a schema error: %t", err, schema != nil)
				}
				if got := errorNumber(err); got != c.number[b.app.flavor] {
					t.Errorf("%v: number %d, want %d", err, got, c.number[b.app.flavor])
				}
				if c.secret != "" && strings.Contains(err.Error(), c.secret) {
					t.Errorf("the error quotes a value: %v", err)
				}
				if err := tx.RollbackTo(b.ctx); err != nil {
					t.Fatalf("rolling back to the savepoint: %v", err)
				}
				b.write(tx, insertOf(fine, imageOf("2", "after", "2")))
				b.commit(tx)
				b.holds("SELECT id FROM fine ORDER BY id", "1", "2")
			})
		})
	}
}

func both(n uint16) map[flavor]uint16 { return map[flavor]uint16{mySQL: n, mariaDB: n} }

func TestClassesByNumber(t *testing.T) {
	for _, c := range []struct {
		number uint16
		state  string
		class  error
	}{
		{1213, "40001", apply.ErrTransient}, {1205, "HY000", apply.ErrTransient}, {3572, "HY000", apply.ErrTransient}, {1317, "70100", apply.ErrTransient},
		{1290, "HY000", apply.ErrTransient}, {1836, "HY000", apply.ErrTransient}, {3100, "HY000", apply.ErrTransient}, {1792, "25006", apply.ErrTransient},
		{1040, "08004", apply.ErrTransient}, {1203, "42000", apply.ErrTransient}, {1226, "42000", apply.ErrTransient}, {1114, "HY000", apply.ErrTransient},
		{1053, "08S01", apply.ErrTransient}, {1927, "70100", apply.ErrTransient}, {3024, "HY000", apply.ErrTransient}, {1180, "HY000", apply.ErrTransient},
		{1062, "23000", apply.ErrRejected}, {1452, "23000", apply.ErrRejected}, {1451, "23000", apply.ErrRejected}, {1406, "22001", apply.ErrRejected},
		{1264, "22003", apply.ErrRejected}, {1054, "42S22", apply.ErrRejected}, {1146, "42S02", apply.ErrRejected}, {1364, "HY000", apply.ErrRejected},
		{3140, "22032", apply.ErrRejected}, {1153, "08S01", apply.ErrRejected}, {1644, "45000", apply.ErrRejected}, {3819, "HY000", apply.ErrRejected},
		{1142, "42000", change.ErrRefused}, {1044, "42000", change.ErrRefused}, {1045, "28000", change.ErrRefused}, {1227, "42000", change.ErrRefused},
		{9999, "HY000", apply.ErrTransient}, {9999, "23000", apply.ErrRejected}, {9999, "", apply.ErrTransient},
	} {
		if got := classOf(c.number, c.state); got != c.class {
			t.Errorf("%d (%s) is %v, want %v", c.number, c.state, got, c.class)
		}
	}
}

func TestErrorsQuoteNoValues(t *testing.T) {
	for said, want := range map[string]string{
		"Duplicate entry 'my secret' for key 'item.a'":                              "Duplicate entry for key 'item.a'",
		"Duplicate entry 'it's 'secret'' for key 'PRIMARY'":                         "Duplicate entry for key 'PRIMARY'",
		"Incorrect integer value: 'secret' for column `shop`.`item`.`a` at row 1":   "Incorrect integer value: for column `shop`.`item`.`a` at row 1",
		"Incorrect string value: '\\xE6\\x97' for column 'a' at row 2":              "Incorrect string value: for column 'a' at row 2",
		"DOUBLE value is out of range in '(1.5e300 * 1e300)'":                       "DOUBLE value is out of range in …",
		"Deadlock found when trying to get lock; try restarting transaction":        "Deadlock found when trying to get lock; try restarting transaction",
		"Truncated incorrect DECIMAL value: 'secret'":                               "Truncated incorrect DECIMAL value: …",
		"Incorrect DECIMAL value: '99999999999' for column '' at row -1":            "Incorrect DECIMAL value: for column '' at row -1",
		"Data truncated for column 'a' at row 1":                                    "Data truncated for column 'a' at row 1",
		"You have an error in your SQL syntax … near 'INSERT INTO x VALUES (1)' at": "the statement was not understood",
	} {
		number := uint16(1292)
		switch {
		case strings.Contains(said, "truncated for"):
			number = 1265
		case strings.Contains(said, "syntax"):
			number = 1064
		}
		if got := withoutValues(&gomysql.MyError{Code: number, Message: said}); got != want {
			t.Errorf("%s\nreads %s\nwant  %s", said, got, want)
		}
	}
}

// TestNothingIsWrittenAfterTheServerRolledBack: in a deadlock the server ends the whole
// transaction; what came behind it would be in another one, without a mark.
func TestNothingIsWrittenAfterTheServerRolledBack(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, n INT)")
		shape := b.shape("item")
		b.run("INSERT INTO item VALUES (1, 0), (2, 0)")
		tx := b.begin()
		if err := tx.Savepoint(b.ctx); err != nil {
			t.Fatal(err)
		}
		b.run("START TRANSACTION", "UPDATE item SET n = 5 WHERE id = 1")
		if _, err := tx.Write(b.ctx, []apply.Write{updateOf(shape, imageOf("1", "7"))}); !errors.Is(err, apply.ErrTransient) {
			t.Fatalf("waiting for an application: %v, want transient", err)
		}
		if err := tx.RollbackTo(b.ctx); !errors.Is(err, apply.ErrTransient) {
			t.Errorf("rolling back to a savepoint that may be gone: %v, want transient", err)
		}
		if _, err := tx.Write(b.ctx, []apply.Write{updateOf(shape, imageOf("2", "7"))}); !errors.Is(err, apply.ErrTransient) {
			t.Errorf("writing on: %v, want transient", err)
		}
		if err := tx.Commit(b.ctx); !errors.Is(err, apply.ErrTransient) {
			t.Errorf("committing: %v, want transient", err)
		}
		tx.Rollback(b.ctx)
		b.run("COMMIT")
		b.holds("SELECT n FROM item ORDER BY id", "5", "0")
		b.holds("SELECT seq FROM concord.checkpoint", "0")
	})
}

func TestAMissingRightIsNoReasonToPark(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, n INT)")
		shape := b.shape("item")
		b.run("DROP USER IF EXISTS poor", "CREATE USER poor", "GRANT SELECT, INSERT, UPDATE, DELETE ON concord.* TO poor", "GRANT SELECT ON shop.* TO poor")
		poor := New(strings.Replace(dsn, "admin:adm@", "poor@", 1), b.db.opts)
		defer poor.Close(b.ctx)
		release, err := poor.Acquire(b.ctx, "elsewhere")
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		tx, err := poor.Begin(b.ctx, apply.Checkpoint{Origin: "elsewhere", Epoch: 1, Seq: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(b.ctx)
		if _, err := tx.Write(b.ctx, []apply.Write{insertOf(shape, imageOf("1", "1"))}); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "init --grants") {
			t.Errorf("writing without the right to: %v, want refused with the remedy", err)
		}
	})
}

// TestAValueWithoutAFormIsRejected: before anything of its set is written.
func TestAValueWithoutAFormIsRejected(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id BIT(64) PRIMARY KEY, n INT)", "CREATE TABLE fine (id INT PRIMARY KEY)")
		shape, fine := b.shape("item"), b.shape("fine")
		key := func(i int) string { return "\x00\x00\x00\x00\x00\x00\x00" + string(rune('a'+i)) }
		var inserts, updates, deletes []apply.Write
		for i := range 20 {
			inserts = append(inserts, insertOf(shape, imageOf(key(i), "0")))
			k := key(i)
			if i == 10 {
				k = "nine bytes"
			}
			updates = append(updates, updateOf(shape, imageOf(k, "1")))
			deletes = append(deletes, deleteOf(shape, imageOf(k, "~")))
		}
		tx := b.begin()
		b.write(tx, inserts...)
		b.commit(tx)
		for name, writes := range map[string][]apply.Write{
			"updating": updates, "deleting": deletes, "inserting": {insertOf(shape, imageOf("nine bytes", "0"))}, "both": append(append([]apply.Write{}, updates...), deletes[:9]...),
		} {
			tx := b.begin()
			b.write(tx, insertOf(fine, imageOf("1")))
			if err := tx.Savepoint(b.ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Write(b.ctx, writes); !errors.Is(err, apply.ErrRejected) || !errors.Is(err, errValue) {
				t.Errorf("%s: %v, want rejected", name, err)
			}
			if err := tx.RollbackTo(b.ctx); err != nil {
				t.Errorf("%s: rolling back to the savepoint: %v", name, err)
			}
			b.commit(tx)
			b.holds("SELECT count(*), sum(n) FROM item", "20|0")
			b.run("DELETE FROM fine")
		}
	})
}
