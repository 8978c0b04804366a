package postgres

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

var updateSQL = flag.Bool("update-sql", false, "rewrite the golden files in testdata/sql")

// The statements of a few tables, as testdata/sql has them. Rewrite them with
// -update-sql after a change that is meant.
func TestGoldenSQL(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{Tables: func(string) bool { return false }}, append(typeDefinitions[:len(typeDefinitions):len(typeDefinitions)],
			`CREATE TABLE public.plain (id int PRIMARY KEY, v text, w varchar(5))`,
			`CREATE TABLE public.types (id uuid PRIMARY KEY, a smallint, b bigint, c bytea, d numeric(5,2), e char(3), f bit(3), g public.mood[], h public.shorter, i public.raw, j timestamptz(3), k boolean, l "char")`,
			`CREATE TABLE public.keys (b public.citext, a numeric, m public.moody, v text, PRIMARY KEY (m, a, b))`,
			`CREATE TABLE public.identity (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v int)`,
			`CREATE TABLE public.onlyidentity (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)`,
			`CREATE TABLE public.part (id int PRIMARY KEY, v text) PARTITION BY HASH (id)`,
			`CREATE TABLE public.onlykey (a int, b int, PRIMARY KEY (a, b))`,
			`CREATE TABLE public."Odd ""name" (";--" int PRIMARY KEY, "t" text)`)...)
		for _, name := range []string{"plain", "types", "keys", "identity", "onlyidentity", "part", "onlykey", `Odd "name`} {
			s := a.shape(name)
			local, err := a.local(a.ctx, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			var all, some []int
			for i := range s.Columns {
				all = append(all, i)
				if s.IsKey(i) || i%2 == 1 {
					some = append(some, i)
				}
			}
			var got strings.Builder
			for _, x := range []struct {
				name     string
				verb     verb
				included []int
			}{
				{"insert", verbInsert, all}, {"insert, some columns", verbInsert, some}, {"update", verbUpdate, all}, {"update, only the key present", verbUpdate, s.Key}, {"move", verbMove, all},
				{"delete", verbDelete, s.Key}, {"remove", verbRemove, s.Key}, {"put", verbPut, all}, {"read", verbRead, s.Key},
			} {
				st := local.statement(s, x.verb, x.included)
				if again := local.statement(s, x.verb, x.included); again != st {
					t.Errorf("%s: built twice", x.name)
				}
				fmt.Fprintf(&got, "-- %s\n%s;\n", x.name, st.sql)
			}
			file := filepath.Join("testdata", "sql", strings.ReplaceAll(strings.ReplaceAll(name, `"`, ""), " ", "_")+".sql")
			if *updateSQL {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s:\n%s\nwant\n%s", file, got.String(), want)
			}
		}
	})
}

// Rows are found by the key's index, whether the statement was planned for a table
// that was empty, or small, or never analyzed, and however large it is now.
func TestRowsAreFoundByTheIndex(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, n text UNIQUE, v text) WITH (autovacuum_enabled = off)`,
			`CREATE TABLE public.part (id int PRIMARY KEY, n text, v text) PARTITION BY RANGE (id)`,
			`CREATE TABLE public.part1 PARTITION OF public.part FOR VALUES FROM (0) TO (50000)`, `CREATE TABLE public.part2 PARTITION OF public.part FOR VALUES FROM (50000) TO (2000000)`)
		for _, name := range []string{"t", "part"} {
			s := a.shape(name)
			set := func(from, n int) []int {
				var writes []apply.Write
				var keys [][]change.Value
				for i := range n {
					k := fmt.Sprint(from + i)
					action := []apply.Action{apply.Update, apply.Put, apply.Delete, apply.Remove}[i%4]
					writes = append(writes, write(action, s, img(k, "~", "~"), img(k, k, "w")))
					keys = append(keys, img(k, "~", "~"))
				}
				a.read(s, keys...)
				return a.apply(writes...)
			}
			scans := func(when string) {
				t.Helper()
				if got := a.app.text(`SELECT sum(seq_scan)::text FROM pg_stat_user_tables WHERE relname LIKE $1`, name+"%"); got != "0" {
					t.Errorf("%s: table %s was scanned %s times", when, name, got)
				}
			}
			reset := func() {
				a.app.run(`SELECT pg_stat_force_next_flush()`) // what building the index counted
				a.app.run(`SELECT pg_stat_reset_single_table_counters(oid) FROM pg_class WHERE relname LIKE ` + literal(name+"%"))
			}
			used := func(when string) {
				t.Helper()
				eventually(t, "the statistics arrive", func() bool {
					// Each lane reports when it next ends a transaction.
					for range a.Overlap() {
						a.apply()
					}
					a.app.run(`SELECT pg_stat_force_next_flush()`)
					return a.app.text(`SELECT (coalesce(sum(idx_scan), 0) >= 300)::text FROM pg_stat_user_tables WHERE relname LIKE $1`, name+"%") == "true"
				})
				scans(when)
			}
			reset()
			set(1_000_000, 400)
			used("when small")
			a.app.run(`INSERT INTO ` + name + ` SELECT i, i::text, 'v' FROM generate_series(1, 100000) i`)
			reset()
			if missing := set(49_500, 1000); len(missing) > 0 {
				t.Errorf("missing %v", missing)
			}
			used("when large and never analyzed")
			a.app.run(`ANALYZE ` + name)
			reset()
			set(70_000, 8000)
			used("when analyzed")
		}
	})
}
