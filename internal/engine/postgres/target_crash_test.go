package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// A crash of the server may take the last transactions, committed without waiting for
// the disk, but each of them whole: the checkpoint says exactly what is there.
func TestACrashTakesRowsAndCheckpointTogether(t *testing.T) {
	for _, version := range testcluster.Versions(t) {
		t.Run(fmt.Sprint("postgres", version), func(t *testing.T) {
			// Without fsync a killed server loses what it has not handed to the system.
			c := testcluster.Own(t, testcluster.Options{Version: version, Settings: map[string]string{"wal_writer_delay": "10s"}})
			a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
			s := a.shape("t")
			for round := range 3 {
				for range 200 {
					var writes []apply.Write
					for i := range 5 {
						writes = append(writes, write(apply.Insert, s, nil, img(fmt.Sprint(int(a.seq)*5+i), fmt.Sprint(a.seq+1))))
					}
					a.apply(writes...)
				}
				open := a.begin() // and one that is not committed
				a.must(open, write(apply.Insert, s, nil, img("1000000", "never")))
				committed := a.seq
				if err := c.Kill(); err != nil {
					t.Fatal(err)
				}
				open.Rollback(a.ctx)
				if _, err := a.Checkpoints(a.ctx); class(err) != apply.ErrTransient {
					t.Errorf("a server that is gone: %v, want transient", err)
				}
				if err := c.Start(a.ctx); err != nil {
					t.Fatal(err)
				}
				a.app = application(t, a.dsn)
				points, err := a.Checkpoints(a.ctx)
				if err != nil {
					t.Fatal(err)
				}
				a.seq = points["pune"].Seq
				t.Logf("round %d: %d of %d committed transactions survived", round, a.seq, committed)
				if a.seq > committed {
					t.Errorf("%d survived of %d", a.seq, committed)
				}
				a.want(`SELECT count(*), coalesce(max(v::int), 0) FROM t`, fmt.Sprintf("(%d,%d)", 5*a.seq, a.seq))
				a.release()
				a.release = a.acquire()
			}
			a.apply(write(apply.Insert, s, nil, img("-1", "again")))
		})
	}
}

// What an application does to a row that we wait for decides what we find, exactly.
func TestRowsThatChangeWhileWeWait(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text, w text)`)
		s := a.shape("t")
		const n, contested = 500, 250
		for _, x := range []struct {
			name    string
			sql     string
			there   bool   // afterwards
			updated string // the contested row after our update of v
		}{
			{"updated", `UPDATE t SET v = 'app', w = 'app' WHERE id = 250`, true, "250|ours|app"},
			{"deleted", `DELETE FROM t WHERE id = 250`, false, "-"},
			{"moved away", `UPDATE t SET id = 1000 WHERE id = 250`, false, "-"},
			{"rolled back", `DELETE FROM t WHERE id = 250; ROLLBACK; BEGIN`, true, "250|ours|old"},
		} {
			for _, what := range []string{"update", "delete", "read"} {
				a.app.run(`TRUNCATE t`, fmt.Sprintf(`INSERT INTO t SELECT i, 'old', 'old' FROM generate_series(1, %d) i`, n))
				app := application(t, a.dsn)
				app.run(`BEGIN`)
				first, rest, _ := strings.Cut(x.sql, "; ")
				app.run(first)
				tx := a.begin()
				b := tx.start(a.ctx, false)
				b.add(query{sql: `SET LOCAL lock_timeout = '60s'`})
				if err := tx.run(a.ctx, b, "waiting longer"); err != nil {
					t.Fatal(err)
				}
				var writes []apply.Write
				var keys [][]change.Value
				for i := 1; i <= n; i++ {
					k := img(fmt.Sprint(i), "~", "~")
					keys = append(keys, k)
					if what == "update" {
						writes = append(writes, write(apply.Update, s, nil, img(fmt.Sprint(i), "ours", "~")))
					} else {
						writes = append(writes, write(apply.Delete, s, k, nil))
					}
				}
				var missing []int
				var images [][]change.Value
				done := make(chan error, 1)
				go func() {
					var err error
					if what == "read" {
						images, err = tx.Read(a.ctx, s, keys)
					} else {
						missing, err = tx.Write(a.ctx, writes)
					}
					done <- err
				}()
				eventually(t, "we wait for the application", func() bool {
					return a.app.text(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'`, tx.lane.conn.PgConn().PID()) == "1"
				})
				for _, sql := range strings.Split(rest, "; ") {
					if sql != "" {
						app.run(sql)
					}
				}
				app.run(`COMMIT`)
				if err := <-done; err != nil {
					t.Fatalf("%s, %s: %v", x.name, what, err)
				}
				want := []int(nil)
				if !x.there {
					want = []int{contested - 1}
				}
				if what != "read" && !slices.Equal(missing, want) {
					t.Errorf("%s, %s: missing %v, want %v", x.name, what, missing, want)
				}
				if what == "read" {
					if got, want := show(images[contested-1]), strings.Replace(x.updated, "ours", map[bool]string{true: "app", false: "old"}[x.name == "updated"], 1); got != want {
						t.Errorf("%s: read %s, want %s", x.name, got, want)
					}
				}
				a.commit(tx)
				if what == "update" {
					if got := a.read(s, img("250", "~", "~")); show(got[0]) != x.updated {
						t.Errorf("%s: the row is %s, want %s", x.name, show(got[0]), x.updated)
					}
				}
			}
		}
	})
}
