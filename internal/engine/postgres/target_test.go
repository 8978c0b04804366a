package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// shapeOf is the shape of a table of this database, as its log would give it.
func shapeOf(t testing.TB, ctx context.Context, conn *pgx.Conn, schema, name string) *change.Table {
	t.Helper()
	c, err := loadCatalog(ctx, conn, func(table string) bool { return table == schema+"."+name })
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.tables {
		s := &change.Table{Schema: schema, Name: name, Full: f.identity == 'f'}
		for _, col := range f.columns {
			if col.generated {
				continue
			}
			if slices.Contains(f.key, col.name) {
				s.Key = append(s.Key, len(s.Columns))
			}
			s.Columns = append(s.Columns, change.Column{Name: col.name, Type: col.typeText, Kind: c.types[col.typeOID].kind})
		}
		return s.Seal()
	}
	t.Fatalf("no table %s.%s", schema, name)
	return nil
}

// img makes an image: "NULL" is null, "~" unchanged.
func img(texts ...string) []change.Value {
	out := make([]change.Value, len(texts))
	for i, s := range texts {
		switch s {
		case "NULL":
			out[i] = change.NullValue()
		case "~":
		default:
			out[i] = change.TextValue(s)
		}
	}
	return out
}

func write(a apply.Action, t *change.Table, old, new []change.Value) apply.Write {
	op := map[apply.Action]change.Op{apply.Insert: change.Insert, apply.Update: change.Update, apply.Delete: change.Delete,
		apply.Put: change.Insert, apply.Remove: change.Delete}[a]
	return apply.Write{Action: a, Row: &change.Row{Table: t, Op: op, Old: old, New: new}}
}

// applier is a fixture that has acquired pune and applies its transactions.
type applier struct {
	*fixture
	seq     uint64
	release func()
}

func applying(t *testing.T, c *testcluster.Cluster, opts Options, statements ...string) *applier {
	t.Helper()
	a := &applier{fixture: prepared(t, c, opts, statements...)}
	a.release = a.acquire()
	return a
}

func (a *applier) acquire() func() {
	a.t.Helper()
	release, err := a.Acquire(a.ctx, "pune")
	if err != nil {
		a.t.Fatalf("acquiring: %v", err)
	}
	a.t.Cleanup(release)
	return release
}

func (a *applier) shape(name string) *change.Table {
	a.t.Helper()
	return shapeOf(a.t, a.ctx, a.app.Conn, "public", name)
}

// begin opens the transaction after the last committed one.
func (a *applier) begin() *targetTx {
	a.t.Helper()
	return a.beginAt(a.seq+1, a.seq)
}

func (a *applier) beginAt(seq, previous uint64) *targetTx {
	a.t.Helper()
	tx, err := a.Begin(a.ctx, apply.Checkpoint{Origin: "pune", Epoch: 1, Seq: seq, HLC: seq << 8, Previous: previous})
	if err != nil {
		a.t.Fatalf("beginning %d: %v", seq, err)
	}
	a.t.Cleanup(func() { tx.Rollback(context.WithoutCancel(a.ctx)) })
	return tx.(*targetTx)
}

// must writes and fails the test on an error; it returns what was missing.
func (a *applier) must(tx *targetTx, writes ...apply.Write) []int {
	a.t.Helper()
	missing, err := tx.Write(a.ctx, writes)
	if err != nil {
		a.t.Fatalf("writing: %v", err)
	}
	return missing
}

func (a *applier) commit(tx *targetTx) {
	a.t.Helper()
	if err := tx.Commit(a.ctx); err != nil {
		a.t.Fatalf("committing %d: %v", tx.c.Seq, err)
	}
	a.seq = tx.c.Seq
}

// apply commits writes as the next transaction and returns what was missing.
func (a *applier) apply(writes ...apply.Write) []int {
	a.t.Helper()
	tx := a.begin()
	missing := a.must(tx, writes...)
	a.commit(tx)
	return missing
}

func (a *applier) read(shape *change.Table, keys ...[]change.Value) [][]change.Value {
	a.t.Helper()
	tx := a.begin()
	defer tx.Rollback(a.ctx)
	images, err := tx.Read(a.ctx, shape, keys)
	if err != nil {
		a.t.Fatalf("reading: %v", err)
	}
	return images
}

// rows returns a query's rows, one line each.
func (a *applier) rows(sql string) string {
	a.t.Helper()
	return a.app.text(`SELECT coalesce(string_agg(r::text, ' '), '') FROM (` + sql + `) r`)
}

func (a *applier) want(sql, want string) {
	a.t.Helper()
	if got := a.rows(sql); got != want {
		a.t.Errorf("%s: %s, want %s", sql, got, want)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestACheckpointMovesWithItsRowsOrNotAtAll(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		for _, markFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("markFirst=%v", markFirst), func(t *testing.T) {
				a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: c.Version()}), Options{MarkFirst: markFirst},
					`CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
				s := a.shape("t")
				points, err := a.Checkpoints(a.ctx)
				if err != nil || points["pune"].Seq != 0 {
					t.Fatalf("checkpoint before: %v %v", points, err)
				}
				a.apply(write(apply.Insert, s, nil, img("1", "one")))
				a.want(`SELECT id, v FROM t`, "(1,one)")
				points, err = a.Checkpoints(a.ctx)
				if want := (apply.Checkpoint{Origin: "pune", Epoch: 1, Seq: 1, HLC: 256}); err != nil || points["pune"] != want {
					t.Fatalf("checkpoint after: %+v %v, want %+v", points["pune"], err, want)
				}

				tx := a.begin()
				a.must(tx, write(apply.Insert, s, nil, img("2", "two")))
				tx.Rollback(a.ctx)
				tx.Rollback(a.ctx) // harmless
				a.want(`SELECT id, v FROM t`, "(1,one)")
				a.want(`SELECT seq FROM concord.checkpoint WHERE origin = 'pune'`, "(1)")

				a.apply() // nothing but the checkpoint: a heartbeat
				a.want(`SELECT seq FROM concord.checkpoint WHERE origin = 'pune'`, "(2)")

				tx = a.beginAt(2, 2) // written without moving the checkpoint
				a.must(tx, write(apply.Update, s, nil, img("1", "uno")))
				a.commit(tx)
				a.want(`SELECT id, v FROM t`, "(1,uno)")
				tx.Rollback(a.ctx) // harmless after Commit
			})
		}
	})
}

func TestTwoAgents(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		s := a.shape("t")
		other := New(a.dsn, a.opts)
		defer other.Close(a.ctx)

		_, err := other.Acquire(a.ctx, "pune")
		if !errors.Is(err, change.ErrStandby) || !strings.Contains(err.Error(), "concord/mumbai/lease") {
			t.Fatalf("acquiring what another has: %v, want standby and who", err)
		}

		// The first loses its lease without noticing that it writes on.
		tx := a.begin()
		a.must(tx, write(apply.Insert, s, nil, img("1", "first")))
		a.app.run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'concord/mumbai/lease' AND datname = current_database()`)
		var release func()
		eventually(t, "the lease is free", func() bool {
			release, err = other.Acquire(a.ctx, "pune")
			return err == nil
		})
		defer release()
		eventually(t, "the first agent knows", func() bool { return a.target.leases.lost("pune") })
		if err := tx.Commit(a.ctx); !errors.Is(err, apply.ErrFenced) {
			t.Fatalf("committing without a lease: %v, want fenced", err)
		}
		if _, err := a.Begin(a.ctx, apply.Checkpoint{Origin: "pune"}); !errors.Is(err, apply.ErrFenced) {
			t.Fatalf("beginning without a lease: %v, want fenced", err)
		}
	})
}

// The compare-and-set on the checkpoint keeps two agents apart even if both believe
// that they are the only one.
func TestCheckpointIsCompareAndSet(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		s := a.shape("t")
		a.apply()
		a.app.run(`UPDATE concord.checkpoint SET seq = 7 WHERE origin = 'pune'`) // another agent
		tx := a.begin()
		_, err := tx.Write(a.ctx, []apply.Write{write(apply.Insert, s, nil, img("1", "x"))})
		if err == nil {
			err = tx.Commit(a.ctx)
		}
		if !errors.Is(err, apply.ErrFenced) {
			t.Fatalf("%v, want fenced", err)
		}
		tx.Rollback(a.ctx)
		a.want(`SELECT id FROM t`, "")
		a.want(`SELECT seq FROM concord.checkpoint WHERE origin = 'pune'`, "(7)")

		a.seq = 7
		a.apply(write(apply.Insert, s, nil, img("1", "x"))) // and it works again
		a.want(`SELECT id FROM t`, "(1)")
	})
}

// A division by zero that is not the checkpoint's is not a fence.
func TestADivisionByZeroOfAnApplicationIsRejected(t *testing.T) {
	a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: 15}), Options{},
		`CREATE TABLE public.t (id int PRIMARY KEY, v int CHECK (1 / v > 0))`)
	tx := a.begin()
	_, err := tx.Write(a.ctx, []apply.Write{write(apply.Insert, a.shape("t"), nil, img("1", "0"))})
	if !errors.Is(err, apply.ErrRejected) || errors.Is(err, apply.ErrFenced) {
		t.Errorf("%v, want rejected", err)
	}
}

func TestOverlappingTransactionsCommitInOrder(t *testing.T) {
	a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: 18}), Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
	s := a.shape("t")
	n := a.Overlap()
	if n != defaultLanes {
		t.Fatalf("%d lanes, want %d", n, defaultLanes)
	}
	var txs []*targetTx
	for i := range n {
		tx := a.beginAt(uint64(i+1), uint64(i))
		a.must(tx, write(apply.Insert, s, nil, img(fmt.Sprint(i), "x")))
		txs = append(txs, tx)
	}
	// One more has to wait for a lane.
	ctx, cancel := context.WithTimeout(a.ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := a.Begin(ctx, apply.Checkpoint{Origin: "pune"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beginning one too many: %v, want the deadline", err)
	}
	for _, tx := range txs {
		a.commit(tx)
	}
	a.want(`SELECT count(*) FROM t`, fmt.Sprintf("(%d)", n))

	// Out of order the second is fenced.
	first, second := a.beginAt(5, 4), a.beginAt(6, 5)
	a.must(first, write(apply.Insert, s, nil, img("5", "x")))
	a.must(second, write(apply.Insert, s, nil, img("6", "x")))
	if err := second.Commit(a.ctx); !errors.Is(err, apply.ErrFenced) {
		t.Errorf("committing out of order: %v, want fenced", err)
	}
	a.commit(first)
}

// A session that is killed between two statements leaves nothing, and its successor
// takes over the lane with its origin.
func TestALaneSurvivesItsSession(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		s := a.shape("t")
		for i := range 5 {
			tx := a.begin()
			a.must(tx, write(apply.Insert, s, nil, img("1", "lost")))
			a.app.run(fmt.Sprintf(`SELECT pg_terminate_backend(%d)`, tx.lane.conn.PgConn().PID()))
			var err error
			if i%2 == 0 {
				_, err = tx.Write(a.ctx, []apply.Write{write(apply.Insert, s, nil, img("2", "lost"))})
			} else {
				err = tx.Commit(a.ctx)
			}
			if !errors.Is(err, apply.ErrTransient) {
				t.Fatalf("a killed session: %v, want transient", err)
			}
			tx.Rollback(a.ctx)
		}
		a.apply(write(apply.Insert, s, nil, img("3", "kept")))
		a.want(`SELECT id, v FROM t`, "(3,kept)")
	})
}

func TestTheLeaseIsGivenBack(t *testing.T) {
	a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: 18}), Options{})
	for range 3 {
		a.release()
		a.release() // harmless
		a.release = a.acquire()
	}
	a.apply()
	a.want(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'concord/mumbai/lease' AND datname = current_database()`, "(1)")
}

func TestSavepoints(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text NOT NULL)`)
		s := a.shape("t")
		tx := a.begin()
		for i, v := range []string{"a", "NULL", "b", "NULL", "c"} {
			if err := tx.Savepoint(a.ctx); err != nil {
				t.Fatal(err)
			}
			_, err := tx.Write(a.ctx, []apply.Write{write(apply.Insert, s, nil, img(fmt.Sprint(i), v))})
			if v != "NULL" {
				if err != nil {
					t.Fatal(err)
				}
				continue
			}
			if !errors.Is(err, apply.ErrRejected) {
				t.Fatalf("a null in a NOT NULL column: %v, want rejected", err)
			}
			if err := tx.RollbackTo(a.ctx); err != nil {
				t.Fatal(err)
			}
		}
		a.commit(tx)
		a.want(`SELECT id, v FROM t ORDER BY id`, "(0,a) (2,b) (4,c)")
	})
}

func TestBlockersAreNamed(t *testing.T) {
	a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: 18}), Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`, `INSERT INTO t VALUES (1, 'x')`)
	s := a.shape("t")
	if who, err := a.Blockers(a.ctx); err != nil || len(who) != 0 {
		t.Fatalf("blockers of nothing: %v %v", who, err)
	}
	app := application(t, strings.Replace(a.dsn, "?", "?application_name=shop&", 1))
	app.run(`SET application_name = 'shop'`, `BEGIN`, `UPDATE t SET v = 'mine' WHERE id = 1`)
	tx := a.begin()
	if err := tx.run(a.ctx, func() *batch {
		b := tx.start(a.ctx, false)
		b.add(query{sql: `SET LOCAL lock_timeout = '30s'`})
		return b
	}(), "waiting longer"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := tx.Write(a.ctx, []apply.Write{write(apply.Update, s, nil, img("1", "theirs"))})
		done <- err
	}()
	var who []string
	eventually(t, "someone blocks", func() bool {
		var err error
		if who, err = a.Blockers(a.ctx); err != nil {
			t.Fatal(err)
		}
		return len(who) > 0
	})
	if len(who) != 1 || !strings.Contains(who[0], "(shop), idle in transaction") {
		t.Errorf("blockers: %q", who)
	}
	app.run(`COMMIT`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
