package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// The fence: whatever was committed and visible before the question, flushed or not,
// comes out of the log before a position at or behind the answer does. Rows that are
// not committed do not hold it up.
func TestALogPositionIsBehindEverythingCommitted(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`, `CREATE TABLE public.u (id int PRIMARY KEY, v text)`)
		tx := a.begin() // ours, open all the while
		a.must(tx, write(apply.Insert, a.shape("u"), nil, img("1", "uncommitted")))
		l := a.open("")
		l.until()
		app := application(t, a.dsn)
		app.run(`SET synchronous_commit = off`)
		for i := range 20 {
			app.run(fmt.Sprintf(`INSERT INTO t VALUES (%d, 'x')`, i))
			began := time.Now()
			p, err := tx.LogPosition(a.ctx)
			if err != nil {
				t.Fatal(err)
			}
			seen := false
			for ev := (capture.Event{}); a.Compare(ev.Position, p) < 0; {
				ev = l.next()
				for _, r := range ev.Rows {
					seen = seen || r.New[0].Text == fmt.Sprint(i)
				}
			}
			if !seen {
				t.Fatalf("the log was read up to %s without row %d, committed before", p, i)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("it took %s", d) // it waited for a keepalive
			}
		}
		a.commit(tx)
	})
}

// Callers share questions, but no answer is of use to one who came after its
// question was sent.
func TestConcurrentLogPositions(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v int)`)
		var apps []*session
		for range 8 {
			app := application(t, f.dsn)
			app.run(`SET synchronous_commit = off`)
			apps = append(apps, app)
		}
		var wg sync.WaitGroup
		for i, app := range apps {
			wg.Go(func() {
				for n := range 30 {
					if _, err := app.Exec(f.ctx, `INSERT INTO t VALUES ($1, 0)`, i*1000+n); err != nil {
						t.Error(err)
						return
					}
					var committed string
					if err := app.QueryRow(f.ctx, `SELECT pg_current_wal_insert_lsn()::text`).Scan(&committed); err != nil {
						t.Error(err)
						return
					}
					// What is written by others between is no matter: the answer is from after the question.
					p, err := f.logPosition(f.ctx)
					if err != nil {
						t.Error(err)
						return
					}
					var flushed string
					if err := app.QueryRow(f.ctx, `SELECT pg_current_wal_flush_lsn()::text`).Scan(&flushed); err != nil {
						t.Error(err)
						return
					}
					if f.Compare(p, change.Position(committed)) < 0 || f.Compare(change.Position(flushed), p) < 0 {
						t.Errorf("committed before %s, answered %s, flushed up to %s", committed, p, flushed)
					}
				}
			})
		}
		wg.Wait()
	})
}

// One who gives up does not take those who wait for the same answer with him, and a
// connection that dies is made anew.
func TestLogPositionsSurviveTheirAsker(t *testing.T) {
	f := prepared(t, testcluster.ForTest(t, testcluster.Options{Version: 18}), Options{})
	for range 20 {
		ctx, cancel := context.WithCancel(f.ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := f.logPosition(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		for range 3 {
			wg.Go(func() {
				if _, err := f.logPosition(f.ctx); err != nil {
					t.Error(err)
				}
			})
		}
		cancel()
		wg.Wait()
	}
	f.app.run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'concord/mumbai/fence' AND datname = current_database()`)
	eventually(t, "an answer again", func() bool {
		_, err := f.logPosition(f.ctx)
		return err == nil
	})
}

// Replicated transactions come out of the log as their mark and nothing else, however
// they were written; local ones in between come as they are.
func TestWhatIsAppliedIsNotCapturedAgain(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		for _, markFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("markFirst=%v", markFirst), func(t *testing.T) {
				a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: c.Version()}), Options{MarkFirst: markFirst},
					`CREATE TABLE public.t (id int PRIMARY KEY, v text)`, `INSERT INTO t SELECT i, 'local' FROM generate_series(100, 20000) i`)
				s := a.shape("t")
				l := a.open("")
				l.until()
				step := func(what string, f func(tx *targetTx) error) {
					t.Helper()
					tx := a.begin()
					if err := f(tx); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					a.commit(tx)
					a.app.run(fmt.Sprintf(`INSERT INTO t VALUES (%d, 'between')`, -int(a.seq)))
					evs := l.until()
					if len(evs) != 2 || evs[0].Kind != capture.Replicated || evs[0].Mark.Seq != a.seq || evs[0].Mark.Origin != "pune" ||
						evs[1].Kind != capture.Local || len(evs[1].Rows) != 1 {
						t.Errorf("%s was read as %+v", what, evs)
					}
				}
				step("nothing", func(tx *targetTx) error { return nil })
				step("rows", func(tx *targetTx) error {
					_, err := tx.Write(a.ctx, []apply.Write{write(apply.Insert, s, nil, img("1", "x")), write(apply.Delete, s, img("100", "~"), nil)})
					return err
				})
				step("a read before", func(tx *targetTx) error {
					if _, err := tx.Read(a.ctx, s, [][]change.Value{img("1", "~")}); err != nil {
						return err
					}
					_, err := tx.Write(a.ctx, []apply.Write{write(apply.Update, s, nil, img("1", "y"))})
					return err
				})
				step("savepoints", func(tx *targetTx) error {
					for i := range 3 {
						if err := tx.Savepoint(a.ctx); err != nil {
							return err
						}
						if _, err := tx.Write(a.ctx, []apply.Write{write(apply.Put, s, nil, img("2", fmt.Sprint(i)))}); err != nil {
							return err
						}
						if i == 1 {
							if err := tx.RollbackTo(a.ctx); err != nil {
								return err
							}
						}
					}
					return nil
				})
				step("a savepoint first", func(tx *targetTx) error {
					if err := tx.Savepoint(a.ctx); err != nil {
						return err
					}
					if _, err := tx.Write(a.ctx, []apply.Write{write(apply.Insert, s, nil, img("1", "y"))}); err == nil {
						t.Error("a duplicate was written")
					}
					if err := tx.RollbackTo(a.ctx); err != nil {
						return err
					}
					_, err := tx.Write(a.ctx, []apply.Write{write(apply.Update, s, nil, img("1", "z"))})
					return err
				})
				step("records", func(tx *targetTx) error {
					return tx.Record(a.ctx, []apply.Conflict{someConflict(s, 1)}, []apply.Parked{someParked(s, 1)})
				})
				step("truncating but for some", func(tx *targetTx) error {
					return tx.Truncate(a.ctx, s, func(k []change.Value) bool { return k[0].Text == "200" || k[0].Text == "15000" })
				})
				a.want(`SELECT id FROM t WHERE id >= 0 ORDER BY id`, "(200) (15000)")
				step("truncating", func(tx *targetTx) error {
					if err := tx.LockTable(a.ctx, s); err != nil {
						return err
					}
					return tx.Truncate(a.ctx, s, nil)
				})
			})
		}
	})
}

func TestTruncate(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.plain (id bytea, ok bool, PRIMARY KEY (ok, id))`, `CREATE TABLE public.part (id int PRIMARY KEY) PARTITION BY HASH (id)`,
			`CREATE TABLE public.part0 PARTITION OF public.part FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
			`CREATE TABLE public.parent (id int PRIMARY KEY)`, `CREATE TABLE public.child (id int PRIMARY KEY REFERENCES public.parent)`,
			`INSERT INTO plain SELECT int4send(i), i % 2 = 0 FROM generate_series(1, 12000) i`, `INSERT INTO part VALUES (1), (2)`, `INSERT INTO parent VALUES (1), (2)`, `INSERT INTO child VALUES (1)`)
		truncate := func(table string, keep func([]change.Value) bool) {
			t.Helper()
			tx := a.begin()
			if err := tx.Truncate(a.ctx, a.shape(table), keep); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
			a.commit(tx)
		}
		asked := 0
		truncate("plain", func(k []change.Value) bool {
			asked++
			return k[0].Text == "\x00\x00\x1f\x40" && k[1] == change.TextValue("true")
		})
		if asked != 12000 {
			t.Errorf("asked for %d keys", asked)
		}
		a.want(`SELECT * FROM plain`, `("\\x00001f40",t)`)
		truncate("part", func(k []change.Value) bool { return k[0].Text == "2" })
		a.want(`SELECT * FROM part`, "(2)")
		truncate("part", nil)
		a.want(`SELECT * FROM part`, "")
		truncate("parent", nil) // its rows are deleted, and only its
		a.want(`SELECT * FROM parent`, "")
		a.want(`SELECT * FROM child`, "(1)")
		truncate("child", nil)
		truncate("plain", nil)
		a.want(`SELECT * FROM plain`, "")
	})
}
