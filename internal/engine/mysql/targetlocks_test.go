package mysql

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// TestALockedTableTakesNoRows: between the lock and the commit of a truncate nobody
// inserts a row that would be gone unseen.
func TestALockedTableTakesNoRows(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, n INT)", "CREATE TABLE other (id INT PRIMARY KEY)")
		shape := b.shape("item")
		b.run("INSERT INTO item VALUES (1, 1), (5, 5), (9, 9)", "SET SESSION innodb_lock_wait_timeout = 1")
		refused := func(sql string) {
			t.Helper()
			if _, err := b.app.exec(b.ctx, sql); errorNumber(err) != 1205 {
				t.Errorf("%s in a locked table: %v, want a lock wait", sql, err)
			}
		}
		tx := b.begin()
		// In a transaction that has begun it takes another one.
		b.write(tx, insertOf(b.shape("other"), imageOf("1")))
		if err := tx.(apply.TableLocker).LockTable(b.ctx, shape); !errors.Is(err, apply.ErrTransient) {
			t.Fatalf("locking in a transaction that locks no gaps: %v, want transient", err)
		}
		tx.Rollback(b.ctx)
		tx = b.begin()
		b.write(tx, insertOf(b.shape("other"), imageOf("1")))
		if err := tx.(apply.TableLocker).LockTable(b.ctx, shape); err != nil {
			t.Fatalf("locking: %v", err)
		}
		for _, sql := range []string{"INSERT INTO item VALUES (0, 0)", "INSERT INTO item VALUES (7, 7)", "INSERT INTO item VALUES (100, 100)", "UPDATE item SET n = 0 WHERE id = 5"} {
			refused(sql)
		}
		if err := tx.Truncate(b.ctx, shape, func(key []change.Value) bool { return key[0].Text == "5" }); err != nil {
			t.Fatalf("truncating: %v", err)
		}
		refused("INSERT INTO item VALUES (9, 9)")
		b.commit(tx)
		b.holds("SELECT id FROM item", "5")
		b.run("INSERT INTO item VALUES (9, 9)")
		// The next ones lock no more than their rows.
		tx = b.begin()
		b.write(tx, updateOf(shape, imageOf("5", "6")), updateOf(shape, imageOf("9", "10")))
		b.run("INSERT INTO item VALUES (7, 7)")
		b.commit(tx)
	})
}

func TestTruncatesLargeTablesButSomeRows(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (a VARCHAR(20) COLLATE utf8mb4_bin, id INT, PRIMARY KEY (a, id))")
		const n = 2*truncateKeys + 10
		b.run("INSERT INTO item SELECT concat('k', n), n FROM " + conformanceDialect.Numbers(n))
		tx := b.begin()
		asked := 0
		if err := tx.Truncate(b.ctx, b.shape("item"), func(key []change.Value) bool { asked++; return key[1].Text == "42" || key[1].Text == "12345" }); err != nil {
			t.Fatalf("truncating: %v", err)
		}
		b.commit(tx)
		if asked != n {
			t.Errorf("asked for %d keys of %d", asked, n)
		}
		b.holds("SELECT id FROM item ORDER BY id", "42", "12345")
	})
}

// TestApplyNeverMakesAnApplicationTheVictim: which side of a deadlock is rolled back is
// not for a session to say, so apply does not wait for rows.
func TestApplyNeverMakesAnApplicationTheVictim(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, n INT)", "CREATE TABLE many (a INT, b INT, n INT, PRIMARY KEY (a, b))")
		item, many := b.shape("item"), b.shape("many")
		b.run("INSERT INTO item VALUES (1, 0), (2, 0)", "INSERT INTO many VALUES (1, 1, 0), (1, 2, 0)")
		for name, w := range map[string]apply.Write{
			"update": updateOf(item, imageOf("1", "9")), "delete": deleteOf(item, imageOf("1", "~")), "put": as(apply.Put, updateOf(item, imageOf("1", "9"))),
			"remove": as(apply.Remove, deleteOf(item, imageOf("1", "~"))), "two columns": updateOf(many, imageOf("1", "1", "9")),
		} {
			b.run("START TRANSACTION", "UPDATE item SET n = n + 1 WHERE id = 1", "UPDATE many SET n = n + 1 WHERE a = 1 AND b = 1")
			tx := b.begin()
			// More work than the application's, so that the server would sooner roll that back.
			b.write(tx, updateOf(item, imageOf("2", "7")), updateOf(many, imageOf("1", "2", "7")))
			began := time.Now()
			if _, err := tx.Write(b.ctx, []apply.Write{w}); !errors.Is(err, apply.ErrTransient) {
				t.Errorf("%s: %v, want transient", name, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: gave way after %s", name, took)
			}
			tx.Rollback(b.ctx)
			b.run("UPDATE item SET n = n + 1 WHERE id = 2", "COMMIT")
		}
		tx := b.begin()
		b.run("START TRANSACTION", "UPDATE item SET n = n + 1 WHERE id = 1")
		if _, err := tx.Read(b.ctx, item, [][]change.Value{imageOf("1", "~")}); !errors.Is(err, apply.ErrTransient) {
			t.Errorf("reading a locked row: %v, want transient", err)
		}
		tx.Rollback(b.ctx)
		b.run("COMMIT")
		b.holds("SELECT n FROM item ORDER BY id", "6", "5")
	})
}

func TestACallEndsWithItsContext(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY)")
		tx := b.begin()
		b.write(tx, insertOf(b.shape("item"), imageOf("1")))
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		if err := tx.Commit(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, apply.ErrRejected) {
			t.Errorf("committing after the end: %v", err)
		}
		tx.Rollback(b.ctx)
		tx = b.begin()
		b.write(tx, insertOf(b.shape("item"), imageOf("1")))
		b.commit(tx)
		b.holds("SELECT count(*) FROM item", "1")
	})
}

// TestManyRowsGoInPacketsThatTheServerTakes: sets are divided by rows and by bytes.
func TestManyRowsGoInPacketsThatTheServerTakes(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, v LONGBLOB)")
		b.run("SET GLOBAL max_allowed_packet = 1048576")
		t.Cleanup(func() { b.run("SET GLOBAL max_allowed_packet = 67108864") })
		shape := b.shape("item")
		var inserts, updates, deletes []apply.Write
		for i := range 3000 {
			size := 100
			switch {
			case i%100 == 0:
				size = 100_000
			case i == 50:
				size = 1_000_000
			}
			v := make([]byte, size)
			for j := range v {
				v[j] = byte(i + j)
			}
			if i == 50 { // no byte of it needs to be escaped
				for j := range v {
					v[j] = 'x'
				}
			}
			id := fmt.Sprint(i)
			inserts = append(inserts, insertOf(shape, []change.Value{change.TextValue(id), change.TextValue(string(v))}))
			updates = append(updates, updateOf(shape, imageOf(id, id)))
			deletes = append(deletes, deleteOf(shape, imageOf(id, "~")))
		}
		tx := b.begin()
		b.write(tx, inserts...)
		b.commit(tx)
		b.holds("SELECT count(*), sum(length(v)) FROM item", fmt.Sprint(3000, "|", 30*100_000+1_000_000+2969*100))
		tx = b.begin()
		b.write(tx, updates...)
		b.commit(tx)
		b.holds("SELECT count(*) FROM item WHERE id <> v", "0")
		tx = b.begin()
		if missing := b.write(tx, deletes...); missing != "[]" {
			t.Errorf("missing = %s", missing)
		}
		b.commit(tx)
		b.holds("SELECT count(*) FROM item", "0")
	})
}
