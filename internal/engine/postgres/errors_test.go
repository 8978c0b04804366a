package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// class is the one error class of err; nil when it has none.
func class(err error) error {
	for _, c := range []error{apply.ErrTransient, apply.ErrFenced, apply.ErrRejected, change.ErrRefused, change.ErrStandby} {
		if errors.Is(err, c) {
			return c
		}
	}
	return nil
}

// attempt runs writes in a transaction that is rolled back, and returns the error.
func (a *applier) attempt(writes ...apply.Write) error {
	tx := a.begin()
	defer tx.Rollback(a.ctx)
	_, err := tx.Write(a.ctx, writes)
	return err
}

func TestWhatTheDatabaseRefusesIsRejected(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TYPE public.mood AS ENUM ('happy')`,
			`CREATE TABLE public.t (id int PRIMARY KEY, u int UNIQUE, n int NOT NULL, c int CHECK (c > 0), m public.mood, d date, s smallint, x xml, f float4, o text, EXCLUDE (o WITH =))`,
			`INSERT INTO public.t (id, u, n, o) VALUES (1, 1, 1, 'taken')`)
		s := a.shape("t")
		for name, image := range map[string][]change.Value{
			"primary key":  img("1", "2", "1", "1", "happy", "NULL", "1", "NULL", "1", "NULL"),
			"unique":       img("2", "1", "1", "1", "happy", "NULL", "1", "NULL", "1", "NULL"),
			"not null":     img("2", "2", "NULL", "1", "happy", "NULL", "1", "NULL", "1", "NULL"),
			"check":        img("2", "2", "1", "-1", "happy", "NULL", "1", "NULL", "1", "NULL"),
			"enum":         img("2", "2", "1", "1", "sad", "NULL", "1", "NULL", "1", "NULL"),
			"date":         img("2", "2", "1", "1", "happy", "2026-02-30", "1", "NULL", "1", "NULL"),
			"out of range": img("2", "2", "1", "1", "happy", "NULL", "32768", "NULL", "1", "NULL"),
			"no integer":   img("2", "2", "1", "1", "happy", "NULL", "1.5", "NULL", "1", "NULL"),
			"xml":          img("2", "2", "1", "1", "happy", "NULL", "1", "<a>", "1", "NULL"),
			"overflow":     img("2", "2", "1", "1", "happy", "NULL", "1", "NULL", "1e300", "NULL"),
			"exclusion":    img("2", "2", "1", "1", "happy", "NULL", "1", "NULL", "1", "taken"),
		} {
			err := a.attempt(write(apply.Insert, s, nil, image))
			if class(err) != apply.ErrRejected {
				t.Errorf("%s: %v, want rejected", name, err)
			} else if !strings.Contains(err.Error(), "public.t") {
				t.Errorf("%s: %v does not name the table", name, err)
			}
		}
		a.apply(write(apply.Insert, s, nil, img("2", "2", "1", "1", "happy", "2026-02-28", "1", "<a/>", "1", "free")))

		// The values of the row are in the detail, not in the text.
		err := a.attempt(write(apply.Insert, s, nil, img("3", "4711", "1", "-4712", "happy", "NULL", "1", "NULL", "1", "NULL")))
		var d interface{ Detail() string }
		if !errors.As(err, &d) || !strings.Contains(d.Detail(), "4711") || strings.Contains(err.Error(), "4711") || !strings.Contains(err.Error(), "constraint t_c_check") {
			t.Errorf("error %v with detail %v", err, d)
		}
	})
}

func TestApplyGivesWay(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`, `INSERT INTO t VALUES (1, 'x'), (2, 'x')`)
		s := a.shape("t")

		t.Run("in a lock wait", func(t *testing.T) {
			app := application(t, a.dsn)
			app.run(`BEGIN`, `UPDATE t SET v = 'app' WHERE id = 2`)
			err := a.attempt(write(apply.Update, s, nil, img("2", "apply")))
			if class(err) != apply.ErrTransient || sqlState(err) != "55P03" {
				t.Errorf("%v, want a transient lock timeout", err)
			}
			app.run(`ROLLBACK`)
		})

		t.Run("in a deadlock", func(t *testing.T) {
			app := application(t, a.dsn)
			tx := a.begin()
			a.must(tx, write(apply.Update, s, nil, img("1", "apply")))
			app.run(`BEGIN`, `UPDATE t SET v = 'app' WHERE id = 2`)
			pid := app.PgConn().PID()
			done := make(chan error, 1)
			go func() {
				_, err := app.Exec(app.ctx, `UPDATE t SET v = 'app' WHERE id = 1`)
				done <- err
			}()
			eventually(t, "the application waits", func() bool {
				return a.app.text(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'`, pid) == "1"
			})
			_, err := tx.Write(a.ctx, []apply.Write{write(apply.Update, s, nil, img("2", "apply"))})
			if class(err) != apply.ErrTransient || sqlState(err) != "40P01" {
				t.Errorf("%v, want a transient deadlock", err)
			}
			tx.Rollback(a.ctx)
			if err := <-done; err != nil {
				t.Errorf("the application: %v, want it to win", err)
			}
			app.run(`COMMIT`)
		})

		t.Run("when it is cancelled", func(t *testing.T) {
			app := application(t, a.dsn)
			app.run(`BEGIN`, `UPDATE t SET v = 'app' WHERE id = 2`)
			ctx, cancel := context.WithTimeout(a.ctx, 20*time.Millisecond)
			defer cancel()
			tx := a.begin()
			_, err := tx.Write(ctx, []apply.Write{write(apply.Update, s, nil, img("2", "apply"))})
			if !errors.Is(err, context.DeadlineExceeded) || class(err) != nil {
				t.Errorf("%v, want the caller's own deadline", err)
			}
			tx.Rollback(a.ctx)
			app.run(`ROLLBACK`)
		})

		a.apply(write(apply.Update, s, nil, img("1", "done")), write(apply.Update, s, nil, img("2", "done")))
		a.want(`SELECT id, v FROM t ORDER BY id`, "(1,done) (2,done)")
	})
}

func TestATargetThatIsNotThereIsTransient(t *testing.T) {
	db := New("postgres://concord@127.0.0.1:1/none", Options{Site: "mumbai", Cluster: "shop"})
	defer db.Close(context.Background())
	if _, err := db.Acquire(t.Context(), "pune"); class(err) != apply.ErrTransient {
		t.Errorf("acquiring: %v, want transient", err)
	}
	if _, err := db.Checkpoints(t.Context()); class(err) != apply.ErrTransient {
		t.Errorf("checkpoints: %v, want transient", err)
	}
}

// What a person must put right is refused, with the remedy.
func TestMissingRightsAreRefused(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		role := "poor_" + c.Database()
		a.app.run(`CREATE ROLE `+role+` LOGIN`, `GRANT USAGE ON SCHEMA concord TO `+role)
		t.Cleanup(func() { a.app.run(`DROP OWNED BY `+role, `DROP ROLE `+role) })
		poor := New(c.DSNFor(role, c.Database()), a.opts)
		defer poor.Close(a.ctx)

		_, err := poor.Acquire(a.ctx, "mysore")
		if class(err) != change.ErrRefused || !strings.Contains(err.Error(), "concord init --grants") {
			t.Errorf("acquiring: %v, want refused", err)
		}
		if _, err := poor.openLane(a.ctx, 0, laneSettings); class(err) != change.ErrRefused || !strings.Contains(err.Error(), "GRANT SET ON PARAMETER session_replication_role TO") {
			t.Errorf("opening a session: %v, want refused", err)
		}

		// With what --grants prints, all of it works.
		grants, err := a.Grants(a.ctx, role)
		if err != nil {
			t.Fatal(err)
		}
		a.app.run(grants...)
		a.release()
		b := &applier{fixture: &fixture{DB: poor, t: t, ctx: a.ctx, app: a.app, dsn: a.dsn}}
		release := b.acquire()
		defer release()
		s := a.shape("t")
		b.apply(write(apply.Insert, s, nil, img("1", "x")), write(apply.Put, s, nil, img("2", "x")), write(apply.Update, s, nil, img("1", "y")))
		tx := b.begin()
		if err := tx.LockTable(b.ctx, s); err != nil {
			t.Error(err)
		}
		if _, err := tx.LogPosition(b.ctx); err != nil {
			t.Error(err)
		}
		if err := tx.Record(b.ctx, []apply.Conflict{someConflict(s, 1)}, []apply.Parked{someParked(s, 1)}); err != nil {
			t.Error(err)
		}
		if err := tx.Hold(b.ctx, apply.Hold{Origin: "pune", Table: "public.t"}, false); err != nil {
			t.Error(err)
		}
		if err := tx.Unhold(b.ctx, "pune", "public.t"); err != nil {
			t.Error(err)
		}
		if err := tx.Truncate(b.ctx, s, nil); err != nil {
			t.Error(err)
		}
		b.commit(tx)
		if _, err := poor.Holds(b.ctx); err != nil {
			t.Error(err)
		}
		parked, err := poor.Parked(b.ctx)
		if err != nil || len(parked) != 1 {
			t.Fatalf("parked: %v %v", parked, err)
		}
		if err := poor.ApplyParked(b.ctx, parked[0].ID); err != nil {
			t.Error(err)
		}
		if _, err := poor.PruneConflicts(b.ctx, 0, 0); err != nil {
			t.Error(err)
		}
		if _, err := poor.Blockers(b.ctx); err != nil {
			t.Error(err)
		}
	})
}

// A table with a policy of row level security would be written in part.
func TestRowLevelSecurityIsRefused(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`, `ALTER TABLE t ENABLE ROW LEVEL SECURITY`, `INSERT INTO t VALUES (1, 'x')`)
		role := "limited_" + c.Database()
		grants, err := a.Grants(a.ctx, role)
		if err != nil {
			t.Fatal(err)
		}
		a.app.run(grants...)
		t.Cleanup(func() { a.app.run(`DROP OWNED BY `+role, `DROP ROLE `+role) })
		a.release()
		limited := New(c.DSNFor(role, c.Database()), a.opts)
		defer limited.Close(a.ctx)
		b := &applier{fixture: &fixture{DB: limited, t: t, ctx: a.ctx, app: a.app, dsn: a.dsn}}
		release := b.acquire()
		defer release()
		if err := b.attempt(write(apply.Update, a.shape("t"), nil, img("1", "y"))); class(err) != change.ErrRefused {
			t.Errorf("%v, want refused", err)
		}
	})
}

// A table that lacks something is found out by name, and comes right by itself.
func TestSchemaDriftHeals(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		s := a.shape("t")
		wide := *s
		wide.Columns = append(slices.Clone(s.Columns), change.Column{Name: "new one", Type: "numeric(5,2)", Kind: change.KindDecimal}, change.Column{Name: "w", Type: "text", Kind: change.KindText})
		wide.Seal()
		a.apply(write(apply.Insert, &wide, nil, img("1", "x", "~", "~"))) // not needed, not missed

		lacks := func(err error, column string, missing []string, remedy string) {
			t.Helper()
			var e *apply.SchemaError
			if !errors.As(err, &e) || !errors.Is(err, apply.ErrRejected) {
				t.Fatalf("%v, want a schema error", err)
			}
			if e.Table != "public.t" || e.Column != column || !slices.Equal(e.Missing, missing) || !strings.Contains(e.Detail, remedy) {
				t.Fatalf("%+v, want column %q, missing %q, remedy %q", e, column, missing, remedy)
			}
		}
		insert := write(apply.Insert, &wide, nil, img("2", "x", "1.50", "w"))
		lacks(a.attempt(insert), "new one", []string{"new one", "w"}, `ALTER TABLE "public"."t" ADD COLUMN "new one" numeric(5,2), ADD COLUMN "w" text`)
		if got := a.read(&wide, img("1", "~", "~", "~")); show(got[0]) != "1|x|~|~" {
			t.Errorf("read %s", show(got[0]))
		}
		a.app.run(`ALTER TABLE t ADD COLUMN w text`)
		lacks(a.attempt(insert), "new one", []string{"new one"}, "ADD COLUMN")
		a.app.run(`ALTER TABLE t ADD COLUMN "new one" numeric(5,2)`)
		if got := a.read(&wide, img("1", "~", "~", "~")); show(got[0]) != "1|x|NULL|NULL" {
			t.Errorf("read %s", show(got[0]))
		}
		a.apply(insert)
		a.want(`SELECT * FROM t ORDER BY id`, "(1,x,,) (2,x,w,1.50)")

		// A column that goes away is found out by the statement.
		a.app.run(`ALTER TABLE t DROP COLUMN w`)
		lacks(a.attempt(write(apply.Update, &wide, nil, img("2", "x", "1.50", "W"))), "w", []string{"w"}, "ADD COLUMN")

		// A type that changes is transient at most once.
		a.app.run(`ALTER TABLE t ADD COLUMN w bytea`)
		for range 2 {
			if err := a.attempt(write(apply.Update, &wide, nil, img("2", "x", "1.50", "\\x00"))); err != nil && class(err) != apply.ErrTransient && class(err) != apply.ErrRejected {
				t.Error(err)
			}
		}
		a.app.run(`ALTER TABLE t DROP COLUMN w`, `ALTER TABLE t ADD COLUMN w int`)
		settles := func(w apply.Write) {
			t.Helper()
			tries := 0
			for {
				err := a.attempt(w)
				if err == nil {
					a.apply(w)
					return
				}
				if tries++; class(err) != apply.ErrTransient || tries > 2 {
					t.Fatalf("try %d: %v, want transient at first", tries, err)
				}
			}
		}
		settles(write(apply.Update, &wide, nil, img("2", "x", "1.50", "2147483647")))
		a.app.run(`ALTER TABLE t ALTER COLUMN w TYPE bigint`, `ALTER TABLE t ALTER COLUMN "new one" TYPE text`)
		settles(write(apply.Update, &wide, nil, img("2", "x", "text", "2147483648"))) // does not fit what was known
		a.want(`SELECT * FROM t WHERE id = 2`, `(2,x,text,2147483648)`)

		// The same for what a prepared read returns.
		reads := func(want string) {
			t.Helper()
			for tries := 0; ; tries++ { // each lane has statements of its own
				tx := a.begin()
				got, err := tx.Read(a.ctx, &wide, [][]change.Value{img("2", "~", "~", "~")})
				tx.Rollback(a.ctx)
				if err == nil {
					if show(got[0]) != want {
						t.Errorf("read %s, want %s", show(got[0]), want)
					}
					return
				}
				if class(err) != apply.ErrTransient || tries > a.Overlap() {
					t.Fatalf("reading: %v, want transient at first", err)
				}
			}
		}
		reads("2|x|text|2147483648")
		a.app.run(`ALTER TABLE t ALTER COLUMN w TYPE text`)
		reads("2|x|text|2147483648")

		// The whole table, its key, a view in its place.
		a.app.run(`ALTER TABLE t DROP CONSTRAINT t_pkey`, `ALTER TABLE t REPLICA IDENTITY FULL`)
		for range 2 { // known and not known
			a.target.catalog.put("public.t", nil)
			lacks(a.attempt(write(apply.Put, s, nil, img("1", "x"))), "", nil, `CREATE UNIQUE INDEX CONCURRENTLY ON "public"."t" ("id")`)
		}
		a.app.run(`CREATE UNIQUE INDEX ON t (id)`)
		a.apply(write(apply.Put, s, nil, img("1", "y")))
		a.app.run(`DROP TABLE t`)
		lacks(a.attempt(write(apply.Put, s, nil, img("1", "x"))), "", nil, "create it")
		a.app.run(`CREATE VIEW public.t AS SELECT 1 AS id, 'x'::text AS v`)
		lacks(a.attempt(write(apply.Put, s, nil, img("1", "x"))), "", nil, "is not a table")
		a.app.run(`DROP VIEW t`, `CREATE TABLE public.t (v text, id int PRIMARY KEY)`)
		a.apply(write(apply.Put, s, nil, img("1", "again")))
		a.want(`SELECT id, v FROM t`, "(1,again)")
	})
}

// The verdict on codes that a test cannot bring about.
func TestClassesOfCodes(t *testing.T) {
	for _, c := range []struct {
		class error
		codes string
	}{
		{apply.ErrTransient, "08000 08003 08006 08001 08004 08P01 25006 25P02 40001 40P01 40003 53000 53100 53200 53300 55P03 55006 57014 57P01 57P02 57P03 57P04 57P05 58000 58030 XX000 XX001 26000 42P05 99999 9"},
		{apply.ErrRejected, "21000 22001 22003 22007 22P02 22P05 22021 23502 23503 23505 23514 23P01 42804 42703 42P01 42P10 428C9 0A000 44000 54000 P0001 55000 2200N 3F000"},
		{change.ErrRefused, "42501 28000 28P01 3D000 53400"},
	} {
		for _, code := range strings.Fields(c.codes) {
			if got := classOf(code); got != c.class {
				t.Errorf("%s is %v, want %v", code, got, c.class)
			}
		}
	}
}

// A fault of Concord's own objects parks nothing.
func TestBrokenControlObjectsAreRefused(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		s := a.shape("t")
		a.app.run(`ALTER TABLE concord.parked RENAME TO parked_away`)
		tx := a.begin()
		if err := tx.Record(a.ctx, nil, []apply.Parked{someParked(s, 1)}); class(err) != change.ErrRefused {
			t.Errorf("recording: %v, want refused", err)
		}
		tx.Rollback(a.ctx)
		if a.markingOf(a.app.Conn) == markOrigin {
			a.apply(write(apply.Insert, s, nil, img("1", "x")))
			for i := range a.Overlap() {
				a.app.run(`SELECT pg_replication_origin_drop(` + literal(a.originName("pune", i)) + `)`)
			}
			for range a.Overlap() { // on sessions that are open, and on new ones
				tx, err := a.Begin(a.ctx, apply.Checkpoint{Origin: "pune", Seq: 2, Previous: 1})
				if err == nil {
					_, err = tx.Write(a.ctx, []apply.Write{write(apply.Insert, s, nil, img("2", "x"))})
					tx.Rollback(a.ctx)
				}
				if class(err) != change.ErrRefused {
					t.Errorf("writing without an origin: %v, want refused", err)
				}
			}
			a.release()
			a.release = a.acquire() // makes them again
			a.apply(write(apply.Insert, s, nil, img("2", "x")))
		}
		a.app.run(`ALTER TABLE concord.checkpoint RENAME TO checkpoint_away`)
		tx = a.begin()
		if err := tx.Commit(a.ctx); class(err) != change.ErrRefused {
			t.Errorf("committing: %v, want refused", err)
		}
		a.app.run(`ALTER TABLE concord.checkpoint_away RENAME TO checkpoint`)
	})
}
