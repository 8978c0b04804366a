package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// tail is the log of a site as a test reads it.
type tail struct {
	*admins
	db    *DB
	r     capture.Reader
	last  change.Position
	beats int
}

// tail prepares a site with the tables that statements make and opens its log.
func (a *admins) tail(o Options, statements ...string) *tail {
	a.t.Helper()
	l := &tail{admins: a, db: a.prepared(o, append([]string{"USE shop"}, statements...)...)}
	l.open("")
	return l
}

func (l *tail) open(from change.Position) {
	l.t.Helper()
	r, err := l.db.Open(l.ctx, from)
	if err != nil {
		l.t.Fatalf("opening the log after %q: %v", from, err)
	}
	l.r, l.last = r, from
	l.t.Cleanup(func() { _ = r.Close(l.ctx) })
}

// read runs statements and returns what the log then has, mere progress aside, up to
// the first error.
func (l *tail) read(statements ...string) ([]capture.Event, error) {
	l.t.Helper()
	l.app.run(statements...)
	l.beats++
	end := time.Date(2026, 1, 1, 0, 0, l.beats, 1000, time.UTC)
	if err := l.db.Beat(l.ctx, "mumbai", end); err != nil {
		l.t.Fatal(err)
	}
	var events []capture.Event
	for {
		ev, err := l.r.Next(l.ctx)
		if err != nil {
			return events, err
		}
		if l.last != "" && l.db.Compare(ev.Position, l.last) < 0 {
			l.t.Fatalf("position %s after %s", ev.Position, l.last)
		}
		l.last = ev.Position
		switch {
		case ev.Heartbeat.Equal(end):
			return events, nil
		case ev.Kind != capture.Progress:
			events = append(events, ev)
		}
	}
}

// lines is what read returns, one text for each row.
func (l *tail) lines(statements ...string) []string {
	l.t.Helper()
	events, err := l.read(statements...)
	if err != nil {
		l.t.Fatalf("reading the log: %v", err)
	}
	var lines []string
	for _, ev := range events {
		if ev.Kind == capture.Replicated {
			lines = append(lines, fmt.Sprintf("mark %s %d", ev.Mark.Origin, ev.Mark.Seq))
		}
		for _, r := range ev.Rows {
			lines = append(lines, line(&r))
		}
	}
	return lines
}

func line(r *change.Row) string {
	image := func(img []change.Value) string {
		texts := make([]string, len(img))
		for i, v := range img {
			switch v.State {
			case change.Null:
				texts[i] = "NULL"
			case change.Unchanged:
				texts[i] = "~"
			default:
				texts[i] = v.Text
			}
		}
		return strings.Join(texts, "|")
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s > %s", r.Op, r.Table.Name, image(r.Old), image(r.New)))
}

func (l *tail) expect(got []string, want ...string) {
	l.t.Helper()
	if !slices.Equal(got, want) {
		l.t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// refuses runs statements after which the log cannot be read any further.
func (l *tail) refuses(class error, words []string, statements ...string) {
	l.t.Helper()
	_, err := l.read(statements...)
	l.explains(err, class, words...)
}

func (a *admins) explains(err, class error, words ...string) {
	a.t.Helper()
	if !errors.Is(err, class) {
		a.t.Fatalf("%v, want %v", err, class)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			a.t.Errorf("%v: it does not mention %q", err, w)
		}
	}
}

// is limits a test to one kind of server.
func (a *admins) is(f flavor) bool { return strings.HasPrefix(a.dsn, string(f)) }

const items = "CREATE TABLE item (id int PRIMARY KEY, name varchar(100))"

func TestTheLogHasWhatApplicationsCommit(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items, "CREATE DATABASE IF NOT EXISTS other", "DROP TABLE IF EXISTS other.item", "CREATE TABLE other.item (id int PRIMARY KEY)")
		l.expect(l.lines(
			"INSERT INTO item VALUES (1, 'a'), (2, 'b')",
			"UPDATE item SET name = 'c' WHERE id = 1",
			"UPDATE item SET id = 3 WHERE id = 2",
			"INSERT INTO other.item VALUES (1)", // not replicated
			"START TRANSACTION", "DELETE FROM item WHERE id = 1", "ROLLBACK",
			"REPLACE INTO item VALUES (3, 'd')",
			"INSERT INTO item VALUES (3, 'x') ON DUPLICATE KEY UPDATE name = 'e'",
			"DELETE FROM item WHERE id = 3",
		),
			"insert item  > 1|a", "insert item  > 2|b",
			"update item 1|a > 1|c",
			"update item 2|b > 3|b",
			"update item 3|b > 3|d",
			"update item 3|d > 3|e",
			"delete item 3|e >")
	})
}

func TestSavepoints(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{Tables: func(n string) bool { return n == "shop.item" }}, items, "CREATE TABLE log (id int) ENGINE = MyISAM")
		l.expect(l.lines("START TRANSACTION", "INSERT INTO item VALUES (1, 'kept')",
			"SAVEPOINT `a b`", "INSERT INTO item VALUES (2, 'dropped')", "ROLLBACK TO SAVEPOINT `a b`", "INSERT INTO item VALUES (3, 'kept')", "COMMIT"),
			"insert item  > 1|kept", "insert item  > 3|kept")
		if a.is(mySQL) {
			return // it refuses to have the rest in one transaction
		}
		// With a table that has no transactions the dropped rows are in the log, too.
		l.expect(l.lines("START TRANSACTION", "INSERT INTO item VALUES (4, 'kept')",
			"SAVEPOINT s", "INSERT INTO item VALUES (5, 'dropped')", "INSERT INTO log VALUES (1)", "ROLLBACK TO s", "COMMIT",
			"START TRANSACTION", "INSERT INTO item VALUES (6, 'dropped')", "INSERT INTO log VALUES (1)", "ROLLBACK"),
			"insert item  > 4|kept")
	})
}

// All is read when the table has been changed many times since, and is gone.
func TestRowsHaveTheShapeOfTheirTime(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		events, err := l.read(
			"INSERT INTO item VALUES (1, 'a')",
			"ALTER TABLE item ADD COLUMN n int unsigned FIRST",
			"INSERT INTO item VALUES (4000000000, 2, 'b')",
			"ALTER TABLE item DROP COLUMN n, ADD COLUMN e enum('x', 'y''s', 'ü') CHARACTER SET latin1 AFTER id",
			"ALTER TABLE item RENAME COLUMN name TO title, MODIFY COLUMN id bigint",
			"INSERT INTO item VALUES (3, 'ü', 'c')",
			"/* a comment */ ALTER TABLE item DROP COLUMN e, DROP COLUMN title, ADD COLUMN s set('v', 'w', 'x'), ADD COLUMN d decimal(5, 2), ADD COLUMN c varchar(10) COLLATE utf8mb4_bin",
			"INSERT INTO item VALUES (4, 'v,x', 1.5, 'd')",
			"DROP TABLE item", "CREATE TABLE item (id int PRIMARY KEY)")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ev := range events {
			for _, r := range ev.Rows {
				got = append(got, line(&r))
				var columns []string
				for _, c := range r.Table.Columns {
					columns = append(columns, c.Name+" "+c.Type)
				}
				got = append(got, strings.Join(columns, ", "))
			}
		}
		l.expect(got,
			"insert item  > 1|a", "id int, name varchar(100)",
			"insert item  > 4000000000|2|b", "n int unsigned, id int, name varchar(100)",
			"insert item  > 3|ü|c", "id bigint, e enum('x','y''s','ü'), title varchar(100)",
			"insert item  > 4|v,x|1.50|d", "id bigint, s set('v','w','x'), d decimal(5,2), c varchar(10)")
		if k := events[3].Rows[0].Table.Columns[3].Kind; k != change.KindPaddedText {
			t.Errorf("the kind of a text of a binary collation that pads is %d", k)
		}
	})
}

func TestTruncateIsInTheLog(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items, "CREATE TABLE `odd ``name` (id int PRIMARY KEY)", "CREATE DATABASE IF NOT EXISTS other", "DROP TABLE IF EXISTS other.item", "CREATE TABLE other.item (id int PRIMARY KEY)")
		l.expect(l.lines("INSERT INTO item VALUES (1, 'a')", "TRUNCATE TABLE item", "TRUNCATE shop . `odd ``name`", "truncate /* all */ other.item", "INSERT INTO item VALUES (1, 'b')"),
			"insert item  > 1|a", "truncate item  >", "truncate odd `name  >", "insert item  > 1|b")
	})
}

func TestTablesMadeOfQueries(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		l.expect(l.lines("INSERT INTO item VALUES (1, 'a')", "CREATE TABLE copy (id int PRIMARY KEY) SELECT id FROM item"),
			"insert item  > 1|a", "insert copy  > 1")
	})
}

func TestACompressedTransactionIsReadLikeAnyOther(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{PartBytes: 64 << 10}, items)
		on, off := "SET SESSION binlog_transaction_compression = ON", "SET SESSION binlog_transaction_compression = OFF"
		if a.is(mariaDB) {
			on, off = "SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress = OFF"
		}
		l.app.run(on)
		defer l.app.run(off)
		long := strings.Repeat("x", 100)
		l.expect(l.lines("INSERT INTO item VALUES (1, '"+long+"')", "UPDATE item SET name = 'b'", "DELETE FROM item", "ALTER TABLE item COMMENT '"+strings.Repeat("y", 500)+"'"),
			"insert item  > 1|"+long, "update item 1|"+long+" > 1|b", "delete item 1|b >")
		events, err := l.read("START TRANSACTION", "INSERT INTO item SELECT n, '"+long+"' FROM "+numbers(5000), "UPDATE item SET name = 'z' WHERE id = 5000", "COMMIT")
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for i, ev := range events {
			if rows += len(ev.Rows); ev.Part != i || ev.More != (i < len(events)-1) {
				t.Errorf("part %d (more: %v) at place %d of %d", ev.Part, ev.More, i, len(events))
			}
		}
		if rows != 5001 || len(events) < 5 {
			t.Errorf("%d rows in %d parts", rows, len(events))
		}
		l.open(events[len(events)-1].Position)
		if got := l.lines("DELETE FROM item"); len(got) != 5000 || got[4999] != "delete item 5000|z >" {
			t.Errorf("after it the log has %d rows, the last %v", len(got), got[max(len(got)-1, 0):])
		}
	})
}

// numbers is what stands after FROM to have the numbers 1 to n as column n.
func numbers(n int) string {
	return fmt.Sprintf("(WITH RECURSIVE d AS (SELECT 0 AS x UNION ALL SELECT x + 1 FROM d WHERE x < 99) SELECT a.x * 10000 + b.x * 100 + c.x + 1 AS n FROM d a, d b, d c WHERE a.x * 10000 + b.x * 100 + c.x < %d) AS t", n)
}

func TestMarkedTransactionsAreOnlyTheirMark(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		l.expect(l.lines(
			"START TRANSACTION", "UPDATE concord.checkpoint SET seq = 7, hlc = 9, epoch = 1 WHERE origin = 'pune'", "INSERT INTO item VALUES (1, 'theirs')", "COMMIT",
			"INSERT INTO item VALUES (2, 'ours')",
			"START TRANSACTION", "UPDATE concord.checkpoint SET seq = 8 WHERE origin = 'pune'", "COMMIT",
			"START TRANSACTION", "INSERT INTO item VALUES (3, 'theirs')", "UPDATE concord.checkpoint SET seq = 9 WHERE origin = 'pune'", "COMMIT",
			"DELETE FROM concord.checkpoint WHERE origin = 'pune'"),
			"mark pune 7", "insert item  > 2|ours", "mark pune 8", "mark pune 9")
	})
}

func TestImagesThatAreNotWholeAreRefused(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items, "INSERT INTO item VALUES (1, 'a')")
		l.refuses(change.ErrNeedsCopy, []string{"shop.item", "binlog_row_image", "--new-epoch"}, "SET SESSION binlog_row_image = 'MINIMAL'", "UPDATE item SET name = 'b'")
		a.app.run("SET SESSION binlog_row_image = 'FULL'", "SET GLOBAL binlog_row_image = 'NOBLOB'")
		defer a.app.run("SET GLOBAL binlog_row_image = 'FULL'")
		_, err := l.db.Open(a.ctx, "")
		a.explains(err, change.ErrRefused, "binlog_row_image")
	})
}

func TestPartsOfDocumentsAreRefused(t *testing.T) {
	onEach(t, func(a *admins) {
		if a.is(mariaDB) {
			return // it logs documents as the texts they are
		}
		l := a.tail(Options{}, "CREATE TABLE doc (id int PRIMARY KEY, d json)", `INSERT INTO doc VALUES (1, '{"a": "aaaaaaaaaaaaaaaaaaaa", "b": "bbbbbbbbbbbbbbbbbbb"}')`)
		l.refuses(change.ErrNeedsCopy, []string{"binlog_row_value_options"}, "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", "UPDATE doc SET d = JSON_SET(d, '$.a', 'c')")
		a.app.run("SET SESSION binlog_row_value_options = ''")
	})
}

func TestStatementsInsteadOfRowsAreRefused(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items, "INSERT INTO item VALUES (1, 'a')")
		a.app.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET SESSION binlog_format = 'STATEMENT'")
		l.refuses(change.ErrNeedsCopy, []string{"binlog_format", "UPDATE item"}, "UPDATE item SET name = 'b'")
	})
}

func TestALogWithoutNamesIsRefused(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		less := "MINIMAL"
		if a.is(mariaDB) {
			less = "NO_LOG"
		}
		a.app.run("SET GLOBAL binlog_row_metadata = '" + less + "'")
		defer a.app.run("SET GLOBAL binlog_row_metadata = 'FULL'")
		_, err := l.db.Open(a.ctx, "")
		a.explains(err, change.ErrRefused, "binlog_row_metadata")
		_, err = l.read("INSERT INTO item VALUES (1, 'a')")
		a.explains(err, change.ErrNeedsCopy, "binlog_row_metadata")
	})
}

func TestXATransactions(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{Tables: func(n string) bool { return n == "shop.item" }}, items, "CREATE TABLE elsewhere (id int PRIMARY KEY)")
		l.expect(l.lines(
			"XA START 'a'", "INSERT INTO elsewhere VALUES (1)", "XA END 'a'", "XA PREPARE 'a'", "XA COMMIT 'a'",
			"XA START 'b'", "INSERT INTO item VALUES (1, 'one phase')", "XA END 'b'", "XA COMMIT 'b' ONE PHASE",
			"XA START 'c'", "INSERT INTO elsewhere VALUES (2)", "XA END 'c'", "XA PREPARE 'c'", "XA ROLLBACK 'c'",
			"INSERT INTO item VALUES (2, 'ordinary')"),
			"insert item  > 1|one phase", "insert item  > 2|ordinary")
		l.refuses(change.ErrNeedsCopy, []string{"XA", "shop.item"}, "XA START 'd'", "INSERT INTO item VALUES (3, 'x')", "XA END 'd'", "XA PREPARE 'd'", "XA COMMIT 'd'")
	})
}

func TestTaggedTransactions(t *testing.T) {
	onEach(t, func(a *admins) {
		if a.is(mariaDB) {
			return // it has domains instead: see below
		}
		l := a.tail(Options{}, items)
		a.app.run("SET SESSION gtid_next = 'AUTOMATIC:shard_1'")
		l.expect(l.lines("INSERT INTO item VALUES (1, 'tagged')"), "insert item  > 1|tagged")
		if !strings.Contains(string(l.last), ":shard_1:") {
			t.Errorf("the position %s does not have the tag", l.last)
		}
		a.app.run("SET SESSION gtid_next = 'AUTOMATIC'")
		at := l.last
		l.open(at)
		l.expect(l.lines("INSERT INTO item VALUES (2, 'plain')"), "insert item  > 2|plain")
	})
}

func TestSeveralDomains(t *testing.T) {
	onEach(t, func(a *admins) {
		if a.is(mySQL) {
			return
		}
		l := a.tail(Options{}, items)
		l.expect(l.lines("SET SESSION gtid_domain_id = 7", "INSERT INTO item VALUES (1, 'seven')", "SET SESSION gtid_domain_id = 0", "INSERT INTO item VALUES (2, 'zero')"),
			"insert item  > 1|seven", "insert item  > 2|zero")
		if !strings.Contains(string(l.last), ",7-") {
			t.Errorf("the position %s does not have the domain", l.last)
		}
		l.open(l.last)
		l.expect(l.lines("INSERT INTO item VALUES (3, 'three')"), "insert item  > 3|three")
	})
}

func TestAPurgedLogNeedsACopy(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		l.lines("INSERT INTO item VALUES (1, 'read')")
		at := l.last
		a.app.run("INSERT INTO item VALUES (2, 'lost')", "FLUSH BINARY LOGS", "INSERT INTO item VALUES (3, 'x')", "FLUSH BINARY LOGS")
		end := a.app.text("SHOW " + map[bool]string{true: "MASTER STATUS", false: "BINARY LOG STATUS"}[a.is(mariaDB)])
		_ = l.r.Close(a.ctx)
		eventually(t, "purging", func() bool {
			a.app.run("PURGE BINARY LOGS TO '" + end + "'")
			return a.app.text("SHOW BINARY LOGS") == end
		})
		_, err := l.db.Open(a.ctx, at)
		a.explains(err, change.ErrNeedsCopy, "--new-epoch")
	})
}

func TestALogThatBeganAnewNeedsACopy(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		l.lines("INSERT INTO item VALUES (1, 'read')")
		at := l.last
		_ = l.r.Close(a.ctx)
		reset := "RESET BINARY LOGS AND GTIDS"
		if a.is(mariaDB) {
			reset = "RESET MASTER"
		}
		a.app.run(reset)
		_, err := l.db.Open(a.ctx, at)
		a.explains(err, change.ErrNeedsCopy, "restored", "--new-epoch")
	})
}

func TestALogThatLostItsEndNeedsACopy(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		l.lines("INSERT INTO item VALUES (1, 'read')")
		at, err := parsePosition(string(l.last))
		if err != nil {
			t.Fatal(err)
		}
		at.offset += 1000 // read, and taken by a crash
		_, err = l.db.Open(a.ctx, at.position())
		a.explains(err, change.ErrNeedsCopy, "sync_binlog", "--new-epoch")
	})
}

func TestAnotherReplicaWithTheSameServerID(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		ids := map[string]bool{}
		sql := "SHOW REPLICAS"
		if a.is(mariaDB) {
			sql = "SHOW SLAVE HOSTS"
		}
		eventually(t, "the reader among the replicas", func() bool {
			if err := a.app.c.rows(a.ctx, sql, func(r []string) { ids[r[0]] = true }); err != nil {
				t.Fatal(err)
			}
			return len(ids) > 0
		})
		c, err := l.db.connect(a.ctx, roleReader)
		if err != nil {
			t.Fatal(err)
		}
		defer c.drop()
		id, err := c.readerID(a.ctx)
		if err != nil || ids[fmt.Sprint(id)] || id < firstReaderID {
			t.Fatalf("the next reader chooses %d (%v) beside %v", id, err, ids)
		}
	})
}

func TestReadingEndsWithItsContext(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		l.lines("INSERT INTO item VALUES (1, 'a')")
		ctx, cancel := context.WithCancel(a.ctx)
		ended := make(chan error, 1)
		go func() {
			for {
				if _, err := l.r.Next(ctx); err != nil {
					ended <- err
					return
				}
			}
		}()
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("reading goes on after its context has ended")
		}
	})
}

func TestAnIdleServerTellsTheEndOfItsLog(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items)
		a.app.run("INSERT INTO item VALUES (1, 'a')", "FLUSH BINARY LOGS")
		server, err := a.app.c.serverName(a.ctx)
		if err != nil {
			t.Fatal(err)
		}
		end, err := a.app.c.logEnd(a.ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		for l.db.Compare(l.last, end.position()) < 0 {
			ev, err := l.r.Next(a.ctx)
			if err != nil {
				t.Fatalf("after %s, on the way to %s: %v", l.last, end, err)
			}
			l.last = ev.Position
		}
	})
}

func TestChangesThatForeignKeysMakeAreRefused(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, items, "CREATE TABLE line (id int PRIMARY KEY, item int)")
		l.lines("INSERT INTO item VALUES (1, 'a')", "INSERT INTO line VALUES (1, 1)")
		const key = "ALTER TABLE line ADD CONSTRAINT of_item FOREIGN KEY (item) REFERENCES item (id) ON DELETE CASCADE"
		if a.is(mySQL) { // it logs them
			l.expect(l.lines(key, "DELETE FROM item WHERE id = 1"), "delete line 1|1 >", "delete item 1|a >")
			return
		}
		_, err := l.read(key, "INSERT INTO line VALUES (2, 1)")
		a.explains(err, change.ErrRefused, "of_item", "DROP FOREIGN KEY")
		_, err = l.db.Open(a.ctx, l.last)
		a.explains(err, change.ErrRefused, "of_item", "DROP FOREIGN KEY")
		a.app.run("ALTER TABLE line DROP FOREIGN KEY of_item")
		l.open(l.last)
		l.expect(l.lines(), "insert line  > 2|1")
	})
}

// MariaDB gives up the older of two replicas with the same server id. A reader that this
// happens to says so, and may be opened again.
func TestTheOlderOfTwoReplicasWithOneServerIDEnds(t *testing.T) {
	onEach(t, func(a *admins) {
		if a.is(mySQL) {
			return // it tells replicas apart by their UUID
		}
		l := a.tail(Options{}, items)
		l.lines("INSERT INTO item VALUES (1, 'a')")
		id := ""
		eventually(t, "the reader among the replicas", func() bool { id = a.app.text("SHOW SLAVE HOSTS"); return id != "" })
		c, err := l.db.connect(a.ctx, roleReader)
		if err != nil {
			t.Fatal(err)
		}
		defer c.drop()
		var number uint32
		if _, err := fmt.Sscan(id, &number); err != nil {
			t.Fatal(err)
		}
		if _, err := c.exec(a.ctx, "SET @mariadb_slave_capability = 4, @slave_connect_state = @@global.gtid_binlog_pos"); err != nil {
			t.Fatal(err)
		}
		if err := c.call(a.ctx, func() error { c.c.ResetSequence(); return c.c.WritePacket(dumpCommand(mariaDB, number, domains{})) }); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = l.r.Next(a.ctx)
		}
		if !errors.Is(err, errSameServerID) || errors.Is(err, change.ErrNeedsCopy) || errors.Is(err, change.ErrRefused) {
			t.Errorf("%v, want %v, which may be tried again", err, errSameServerID)
		}
		l.open(l.last)
		l.expect(l.lines("INSERT INTO item VALUES (2, 'b')"), "insert item  > 2|b")
	})
}

func TestWhatIsNoChangeOfATable(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{Tables: func(n string) bool { return n != "shop.cache" && strings.HasPrefix(n, "shop.") }}, items, "CREATE TABLE cache (id int) ENGINE = MEMORY")
		statements := []string{"GRANT SELECT ON shop.* TO CURRENT_USER", "ANALYZE TABLE item", "CREATE VIEW v AS SELECT * FROM item", "CREATE TEMPORARY TABLE tmp (id int)", "DROP TEMPORARY TABLE tmp", "INSERT INTO cache VALUES (1)", "TRUNCATE cache"}
		if a.is(mariaDB) {
			statements = append(statements, "CREATE SEQUENCE s", "SELECT NEXTVAL(s)", "SET SESSION binlog_format = 'STATEMENT'", "DELETE FROM `shop`.`cache`", "SET SESSION binlog_format = 'ROW'")
		}
		l.expect(l.lines(append(statements, "INSERT INTO item VALUES (1, 'a')")...), "insert item  > 1|a")
	})
}

func TestAComputedColumnIsLeftOutThoughItIsGone(t *testing.T) {
	onEach(t, func(a *admins) {
		l := a.tail(Options{}, "CREATE TABLE item (id int PRIMARY KEY, double_id int AS (id * 2) STORED, name varchar(10))")
		l.expect(l.lines("INSERT INTO item (id, name) VALUES (1, 'a')"), "insert item  > 1|a")
		l.expect(l.lines("INSERT INTO item (id, name) VALUES (2, 'b')", "ALTER TABLE item DROP COLUMN double_id", "INSERT INTO item VALUES (3, 'c')"),
			"insert item  > 2|b", "insert item  > 3|c")
	})
}

func TestTablesThatCannotBeReadAreRefused(t *testing.T) {
	onEach(t, func(a *admins) {
		statements := map[string]string{
			"no primary key":        "CREATE TABLE bad (id int)",
			"ENGINE = InnoDB":       "CREATE TABLE bad (id int PRIMARY KEY) ENGINE = MyISAM",
			"beginning of a column": "CREATE TABLE bad (id varchar(100), PRIMARY KEY (id(10)))",
			"in several ways":       "CREATE TABLE bad (id double PRIMARY KEY)",
			"character set geostd8": "CREATE TABLE bad (id int PRIMARY KEY, t text CHARACTER SET geostd8)",
		}
		if a.is(mariaDB) {
			statements["compressed column v"] = "CREATE TABLE bad (id int PRIMARY KEY, v varchar(100) COMPRESSED)"
			statements["system-versioned"] = "CREATE TABLE bad (id int PRIMARY KEY) WITH SYSTEM VERSIONING"
		}
		if a.is(mySQL) {
			statements["has the generated key"] = "CREATE TABLE bad (a int, id int AS (a + 1) STORED NOT NULL, PRIMARY KEY (id))"
		}
		db := a.prepared(Options{})
		a.app.run("USE shop")
		for word, sql := range statements {
			a.app.run("DROP TABLE IF EXISTS bad", sql)
			_, err := db.Open(a.ctx, "")
			a.explains(err, change.ErrRefused, "shop.bad", word)
		}
	})
}
