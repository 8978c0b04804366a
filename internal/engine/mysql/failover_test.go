package mysql

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// standby makes the second server a replica of the first, both with empty logs.
func standby(primary, replica *admins, port int) {
	reset, follow := "RESET BINARY LOGS AND GTIDS", "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %d, SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
	if primary.is(mariaDB) {
		reset, follow = "RESET MASTER", "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = %d, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos"
	}
	primary.app.run(reset)
	replica.app.run(reset, fmt.Sprintf(follow, port), "START REPLICA")
}

// A replica takes the primary's place: reading goes on there without a gap by the GTID
// set, whatever its files are called, or stops with the reason.
func TestReadingGoesOnAtAReplica(t *testing.T) {
	for _, product := range testcluster.Products(t) {
		t.Run(string(product), func(t *testing.T) {
			first, second := testcluster.OwnMySQL(t, testcluster.MySQLOptions{Product: product}), testcluster.OwnMySQL(t, testcluster.MySQLOptions{Product: product})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			a, b := &admins{t: t, ctx: ctx, dsn: first.DSN("")}, &admins{t: t, ctx: ctx, dsn: second.DSN("")}
			a.app, b.app = a.session(a.dsn), b.session(b.dsn)
			standby(a, b, first.Port())
			a.app.run("CREATE DATABASE shop")
			l := a.tail(Options{}, items)
			l.expect(l.lines("INSERT INTO item VALUES (1, 'read before')"), "insert item  > 1|read before")
			at := l.last
			a.app.run("INSERT INTO item VALUES (2, 'read after')")
			has := func(id string) func() bool {
				return func() bool { return b.app.text("SELECT count(*) FROM shop.item WHERE id = "+id) == "1" }
			}
			eventually(t, "the table at the replica", func() bool {
				return b.app.text("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'shop'") == "1"
			})
			eventually(t, "the row at the replica", has("2"))
			b.app.run("STOP REPLICA", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS", "USE shop", "INSERT INTO item VALUES (3, 'of the new primary')")

			moved := &tail{admins: b, db: b.db(Options{}), beats: 100} // others than those that were replicated
			moved.open(at)
			moved.expect(moved.lines(), "insert item  > 2|read after", "insert item  > 3|of the new primary")

			// The old one goes on alone, and what it wrote is published.
			l.lines("INSERT INTO item VALUES (4, 'lost with the old primary')")
			_, err := moved.db.Open(b.ctx, l.last)
			b.explains(err, change.ErrNeedsCopy, "--new-epoch")
		})
	}
}
