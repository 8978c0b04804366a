package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// The types and edge values that are written and read back, in the canonical text.
// A value is written to a column of its type, and again to an update of one.
var typeValues = []struct {
	column string // type, with modifiers
	values []string
}{
	{"bool", []string{"true", "false"}},
	{"int2", []string{"-32768", "32767", "0"}},
	{"int4", []string{"-2147483648", "2147483647"}},
	{"int8", []string{"-9223372036854775808", "9223372036854775807"}},
	{"oid", []string{"0", "4294967295"}},
	{"numeric", []string{"0", "-1.50", "NaN", "Infinity", "-Infinity", "12345678901234567890123456789.000000000012345", "0.00000000000000000001"}},
	{"numeric(12,2)", []string{"9999999999.99", "-0.01", "1.00"}},
	{"float4", []string{"0.1", "-0", "NaN", "Infinity", "-Infinity", "3.4028235e+38", "1e-45"}},
	{"float8", []string{"0.1", "-0", "NaN", "Infinity", "5e-324", "1.7976931348623157e+308"}},
	{"money", []string{"$12.34", "-$1,000.00"}},
	{"text", []string{"", "plain", `quotes " ' \ {},()`, "NULL ", "null", "tab\tnewline\n", "grüße 🐘"}},
	{"varchar", []string{"", "x"}},
	{"varchar(5)", []string{"", "12345"}},
	{"char(5)", []string{"     ", "ab   ", "abcde"}},
	{`"char"`, []string{"", "x"}},
	{"name", []string{"pg_class", strings.Repeat("n", 63)}},
	{"bytea", []string{"", "\x00\xff\xfe binary \\ '", "\\x00"}},
	{"date", []string{"2026-07-31", "infinity", "-infinity", "0044-03-15 BC", "5874897-12-31"}},
	{"time", []string{"00:00:00", "23:59:59.999999", "24:00:00"}},
	{"time(0)", []string{"23:59:59"}},
	{"timetz", []string{"12:00:00+00", "12:00:00.5-15:59", "12:00:00+05:30"}},
	{"timestamp", []string{"2026-07-31 12:34:56.789012", "infinity", "-infinity", "0001-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999"}},
	{"timestamptz", []string{"2026-07-31 12:34:56.789012+00", "infinity", "4713-01-01 00:00:00+00 BC"}},
	{"interval", []string{"00:00:00", "1 year 2 mons 3 days 04:05:06.789", "-1 years -2 mons +3 days -04:05:06"}},
	{"uuid", []string{"00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
	{"json", []string{`{"a": 1,  "a": 2}`, `"text"`, "null", `[1e2, "é"]`}},
	{"jsonb", []string{`{"a": 2}`, "null", `[100, "é"]`}},
	{"jsonpath", []string{`$."a"[*]?(@ > 1)`}},
	{"xml", []string{"<a b=\"c\">d</a>", "text <b/> text"}},
	{"inet", []string{"10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"}},
	{"cidr", []string{"10.0.0.0/8", "::/0"}},
	{"macaddr", []string{"08:00:2b:01:02:03"}},
	{"macaddr8", []string{"08:00:2b:01:02:03:04:05"}},
	{"bit(4)", []string{"0101"}},
	{"bit varying", []string{"", "01011"}},
	{"bit varying(5)", []string{"01011"}},
	{"point", []string{"(1,2)", "(1e+300,-0)"}},
	{"line", []string{"{1,-1,0}"}},
	{"lseg", []string{"[(0,0),(1,1)]"}},
	{"box", []string{"(1,1),(0,0)"}},
	{"path", []string{"((0,0),(1,1))", "[(0,0),(1,1)]"}},
	{"polygon", []string{"((0,0),(1,1),(1,0))"}},
	{"circle", []string{"<(0,0),1>"}},
	{"tsvector", []string{"", "'a':1A 'fat':2,4 'x y':3"}},
	{"tsquery", []string{"'a' & !'b' <-> 'c':*"}},
	{"pg_lsn", []string{"0/0", "16/B374D848"}},
	{"txid_snapshot", []string{"10:20:10,14"}},
	{"pg_snapshot", []string{"10:20:10,14"}},
	{"xid8", []string{"18446744073709551615"}},
	{"tid", []string{"(0,1)"}},
	{"regtype", []string{"integer", "public.mood"}},
	{"regclass", []string{"pg_class", "concord.checkpoint"}},
	{"int4range", []string{"empty", "[1,10)", "(,5)", "(,)"}},
	{"numrange", []string{"[1.5,2.50]"}},
	{"tstzrange", []string{`["2026-01-01 00:00:00+00",infinity)`}},
	{"int4multirange", []string{"{}", "{[1,3),[5,7)}"}},
	{"int4[]", []string{"{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[2:3]={1,2}"}},
	{"text[]", []string{`{"a b","NULL",NULL,"q\"\\","{}",""}`}},
	{"bool[]", []string{"{t,f,NULL}"}},
	{"bytea[]", []string{`{"\\x00ff",NULL}`}},
	{"varchar(3)[]", []string{"{abc,d}"}},
	{"numeric(6,2)[]", []string{"{1.00,NaN}"}},
	{"box[]", []string{"{(1,1),(0,0);(2,2),(0,0)}"}},
	{"timestamptz[]", []string{`{"2026-01-01 00:00:00+00"}`}},
	{"public.mood", []string{"happy", "so sad", `q"uote`}},
	{"public.mood[]", []string{`{happy,"so sad"}`}},
	{"public.pair", []string{`(1,"a b")`, "(,)", `(7,"{""x""}")`}},
	{"public.pair[]", []string{`{"(1,\"a b\")",NULL}`}},
	{"public.positive", []string{"1"}},
	{"public.short", []string{"abc", ""}},
	{"public.moody", []string{"happy"}},
	{"public.numbers", []string{"{1,2,3}"}},
	{"public.shorter", []string{"ab"}},
	{"public.raw", []string{"\x00\x01"}},
	{"public.yes", []string{"true"}},
	{"public.pairs", []string{`{"(1,x)"}`}},
	{"public.floats", []string{"[1.5,2.5)"}},
	{"public.citext", []string{"MiXed", ""}},
}

var typeDefinitions = []string{
	`CREATE EXTENSION citext SCHEMA public`,
	`CREATE TYPE public.mood AS ENUM ('happy', 'so sad', 'q"uote')`,
	`CREATE TYPE public.pair AS (n int, t text)`,
	`CREATE DOMAIN public.positive AS int CHECK (value > 0)`,
	`CREATE DOMAIN public.short AS varchar(3)`,
	`CREATE DOMAIN public.shorter AS public.short CHECK (length(value) < 3)`,
	`CREATE DOMAIN public.moody AS public.mood`,
	`CREATE DOMAIN public.numbers AS int[] CHECK (cardinality(value) < 9)`,
	`CREATE DOMAIN public.raw AS bytea`,
	`CREATE DOMAIN public.yes AS bool`,
	`CREATE DOMAIN public.pairs AS public.pair[]`,
	`CREATE TYPE public.floats AS RANGE (subtype = float8)`,
}

func TestEveryTypeIsReadBackAsWritten(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		var columns []string
		rows := 0
		for i, tv := range typeValues {
			columns = append(columns, fmt.Sprintf("c%d %s", i, tv.column))
			rows = max(rows, len(tv.values))
		}
		a := applying(t, c, Options{Tables: func(s string) bool { return s == "public.every" }}, append(slices.Clone(typeDefinitions),
			`CREATE TABLE public.every (id int PRIMARY KEY, `+strings.Join(columns, ", ")+`)`)...)
		s := a.shape("every")
		// Row r has value r of each type; where there are no more, null.
		var inserts, updates []apply.Write
		var keys [][]change.Value
		images := make([][]change.Value, rows)
		for r := range rows {
			image := []change.Value{change.TextValue(fmt.Sprint(r))}
			for _, tv := range typeValues {
				v := change.NullValue()
				if r < len(tv.values) {
					v = change.TextValue(tv.values[r])
				}
				image = append(image, v)
			}
			images[r] = image
			inserts = append(inserts, write(apply.Insert, s, nil, image))
			keys = append(keys, image)
		}
		check := func(what string, want [][]change.Value) {
			t.Helper()
			for r, got := range a.read(s, keys...) {
				for i := range got {
					if got[i] != want[r][i] {
						t.Errorf("%s: row %d, %s: read %+v, want %+v", what, r, s.Columns[i].Type, got[i], want[r][i])
					}
				}
			}
		}
		a.apply(inserts...)
		check("insert", images)
		// The log says the same as a read.
		var last []change.Value
		l := a.open("")
		a.app.run(`UPDATE every SET c0 = c0 WHERE id = 0`)
		for last == nil {
			if ev := l.nextChange(); len(ev.Rows) > 0 {
				last = ev.Rows[0].New
			}
		}
		if show(last) != show(images[0]) {
			t.Errorf("the log has\n%s\nbut a read\n%s", show(last), show(images[0]))
		}

		// Updates and puts turn each row into the next.
		turned := make([][]change.Value, rows)
		for r := range rows {
			turned[r] = slices.Clone(images[(r+1)%rows])
			turned[r][0] = images[r][0]
			action := apply.Update
			if r%2 == 0 {
				action = apply.Put
			}
			updates = append(updates, write(action, s, nil, turned[r]))
		}
		if missing := a.apply(updates...); len(missing) > 0 {
			t.Errorf("missing: %v", missing)
		}
		check("update", turned)
	})
}

// Every type that can be a key finds its row: by an update, a read, a put, a delete.
func TestKeysOfEveryTypeFindTheirRows(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		definitions := slices.Clone(typeDefinitions)
		var tables []int
		for i, tv := range typeValues {
			switch tv.column { // without an order, or of which equal values have several texts
			case "json", "jsonb", "jsonpath", "xml", "point", "line", "lseg", "box", "box[]", "path", "polygon", "circle", "txid_snapshot", "pg_snapshot",
				"public.pair", "public.pair[]", "public.pairs", "float4", "float8", "interval", "public.floats", "tsvector", "tsquery", "regtype", "regclass", "tid",
				"numrange", "numeric(6,2)[]":
				continue
			}
			tables = append(tables, i)
			definitions = append(definitions, fmt.Sprintf(`CREATE TABLE public.k%d (k %s PRIMARY KEY, v int)`, i, tv.column))
		}
		a := applying(t, c, Options{}, definitions...)
		for _, i := range tables {
			tv := typeValues[i]
			s := a.shape(fmt.Sprintf("k%d", i))
			var keys [][]change.Value
			var inserts, updates, puts, deletes []apply.Write
			for _, v := range tv.values {
				k := []change.Value{change.TextValue(v), {}}
				keys = append(keys, k)
				inserts = append(inserts, write(apply.Insert, s, nil, img2(v, "0")))
				updates = append(updates, write(apply.Update, s, nil, img2(v, "1")))
				puts = append(puts, write(apply.Put, s, nil, img2(v, "2")))
				deletes = append(deletes, write(apply.Delete, s, k, nil))
			}
			a.apply(inserts...)
			for step, writes := range [][]apply.Write{updates, puts} {
				if missing := a.apply(writes...); len(missing) > 0 {
					t.Errorf("key of type %s: writing found no row for %v", tv.column, missing)
				}
				for j, image := range a.read(s, keys...) {
					if image == nil || image[1].Text != fmt.Sprint(step+1) {
						t.Errorf("key of type %s: %q reads %s", tv.column, tv.values[j], show(image))
					}
				}
			}
			if missing := a.apply(deletes...); len(missing) > 0 {
				t.Errorf("key of type %s: deleting found no row for %v", tv.column, missing)
			}
			a.want(fmt.Sprintf(`SELECT count(*) FROM k%d`, i), "(0)")
		}
	})
}

func img2(k, v string) []change.Value {
	return []change.Value{change.TextValue(k), change.TextValue(v)}
}

func TestSetsSayWhatTheyDidNotFind(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (a int, b text, v text, w text DEFAULT 'default', PRIMARY KEY (b, a))`,
			`INSERT INTO t SELECT i, 'k', 'old' FROM generate_series(1, 10) i`)
		s := a.shape("t")
		missing := a.apply(
			write(apply.Update, s, nil, img("1", "k", "new", "~")),                      // 0
			write(apply.Update, s, nil, img("11", "k", "new", "~")),                     // 1 missing
			write(apply.Delete, s, img("2", "k", "~", "~"), nil),                        // 2
			write(apply.Update, s, nil, img("3", "k", "~", "NULL")),                     // 3: another set of columns
			write(apply.Update, s, nil, img("3", "x", "~", "NULL")),                     // 4 missing
			write(apply.Delete, s, img("12", "k", "~", "~"), nil),                       // 5 missing
			write(apply.Remove, s, img("4", "k", "~", "~"), nil),                        // 6
			write(apply.Remove, s, img("13", "k", "~", "~"), nil),                       // 7: never missing
			write(apply.Put, s, nil, img("5", "k", "put", "put")),                       // 8
			write(apply.Put, s, nil, img("14", "k", "put", "put")),                      // 9
			write(apply.Put, s, nil, img("6", "k", "~", "partial")),                     // 10
			write(apply.Put, s, nil, img("15", "k", "partial", "~")),                    // 11: the rest is the default
			write(apply.Insert, s, nil, img("16", "k", "insert", "~")),                  // 12
			write(apply.Update, s, nil, img("7", "k", "~", "~")),                        // 13: nothing but the key
			write(apply.Update, s, nil, img("17", "no", "~", "~")),                      // 14 missing
			write(apply.Update, s, img("8", "k", "~", "~"), img("8", "k", "kept", "~")), // 15: an old key that is the same
		)
		slices.Sort(missing)
		if want := []int{1, 4, 5, 14}; !slices.Equal(missing, want) {
			t.Errorf("missing %v, want %v", missing, want)
		}
		a.want(`SELECT a, v, w FROM t ORDER BY a`, "(1,new,default) (3,old,) (5,put,put) (6,old,partial) (7,old,default) (8,kept,default) (9,old,default) (10,old,default)"+
			" (14,put,put) (15,partial,default) (16,insert,default)")
	})
}

// Rows that move their keys do so one by one, in order: a key may take the place of
// one that has just left.
func TestKeysMoveInOrder(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`, `INSERT INTO t VALUES (1, 'a'), (2, 'b')`)
		s := a.shape("t")
		missing := a.apply(
			write(apply.Update, s, img("2", "~"), img("3", "b")),
			write(apply.Update, s, img("1", "~"), img("2", "~")),
			write(apply.Update, s, img("9", "~"), img("10", "x")),
			write(apply.Update, s, img("3", "~"), img("1", "c")),
		)
		if !slices.Equal(missing, []int{2}) {
			t.Errorf("missing %v, want [2]", missing)
		}
		a.want(`SELECT id, v FROM t ORDER BY id`, "(1,c) (2,a)")
	})
}

// What a column computes by itself is left to it; what the origin generated is kept.
func TestIdentityGeneratedAndExtraColumns(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int GENERATED BY DEFAULT AS IDENTITY,
			always int GENERATED ALWAYS AS IDENTITY, v int, twice int GENERATED ALWAYS AS (2 * v) STORED)`)
		s := a.shape("t")
		a.apply(write(apply.Insert, s, nil, img("50", "60", "70", "1")))
		a.apply(write(apply.Update, s, nil, img("50", "61", "70", "2")), write(apply.Put, s, nil, img("51", "62", "71", "3")))
		a.apply(write(apply.Put, s, nil, img("51", "63", "71", "4")))
		a.want(`SELECT id, n, always, v, twice FROM t ORDER BY id`, "(50,61,70,2,4) (51,63,71,4,8)")

		// An update cannot move a key that is generated always; nothing is done in silence.
		if err := a.attempt(write(apply.Update, s, img("51", "~", "~", "~"), img("53", "63", "71", "4"))); class(err) != apply.ErrRejected {
			t.Errorf("moving an identity: %v, want rejected", err)
		}
		if missing := a.apply(write(apply.Update, s, nil, img("51", "~", "~", "~")), write(apply.Update, s, nil, img("99", "~", "~", "~"))); !slices.Equal(missing, []int{1}) {
			t.Errorf("missing %v, want [1]", missing)
		}

		// A column that is ordinary at the origin and computed here is computed.
		wider := *s
		wider.Columns = append(slices.Clone(s.Columns), change.Column{Name: "twice", Type: "integer", Kind: change.KindInt})
		wider.Seal()
		a.app.run(`ALTER TABLE t ADD COLUMN extra text DEFAULT 'local'`)
		a.apply(write(apply.Insert, &wider, nil, img("52", "1", "1", "5", "999")), write(apply.Update, &wider, nil, img("50", "61", "70", "3", "999")))
		a.want(`SELECT id, v, twice, extra FROM t ORDER BY id`, "(50,3,6,local) (51,4,8,local) (52,5,10,local)")
	})
}

func TestPartitionsInheritanceAndQuotedNames(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{},
			`CREATE TABLE public.part (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
			`CREATE TABLE public.part1 PARTITION OF public.part FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`,
			`CREATE TABLE public.part2 PARTITION OF public.part FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')`,
			`CREATE TABLE public.parent (id int PRIMARY KEY, v text)`,
			`CREATE TABLE public.child (PRIMARY KEY (id)) INHERITS (public.parent)`,
			`CREATE SCHEMA "Odd ""schema"`,
			`CREATE TABLE "Odd ""schema"."select t" ("s.n" int PRIMARY KEY, "n" text, "t" text, "c1" text, "$1" text)`)
		s := a.shape("part")
		a.apply(write(apply.Insert, s, nil, img("1", "2026-01-01", "a")), write(apply.Put, s, nil, img("2", "2026-02-01", "b")))
		a.apply(write(apply.Update, s, nil, img("1", "2026-01-01", "aa")), write(apply.Update, s, img("2", "2026-02-01", "~"), img("2", "2026-01-31", "bb")))
		a.want(`SELECT tableoid::regclass, v FROM part ORDER BY id`, "(part1,aa) (part1,bb)")
		if got := a.read(s, img("2", "2026-01-31", "~")); show(got[0]) != "2|2026-01-31|bb" {
			t.Errorf("read %s", show(got[0]))
		}
		if missing := a.apply(write(apply.Delete, s, img("1", "2026-01-01", "~"), nil), write(apply.Delete, s, img("1", "2026-02-01", "~"), nil)); !slices.Equal(missing, []int{1}) {
			t.Errorf("missing %v", missing)
		}

		parent, child := a.shape("parent"), a.shape("child")
		a.apply(write(apply.Insert, parent, nil, img("1", "parent")), write(apply.Insert, child, nil, img("1", "child")))
		a.apply(write(apply.Update, parent, nil, img("1", "changed")))
		a.want(`SELECT v FROM child`, "(child)")
		tx := a.begin()
		if err := tx.Truncate(a.ctx, parent, nil); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)
		a.want(`SELECT tableoid::regclass, v FROM parent`, "(child,child)")

		odd := shapeOf(t, a.ctx, a.app.Conn, `Odd "schema`, "select t")
		a.apply(write(apply.Put, odd, nil, img("1", "a", "b", "c", "d")))
		a.apply(write(apply.Put, odd, nil, img("1", "A", "B", "C", "~")))
		a.want(`SELECT * FROM "Odd ""schema"."select t"`, "(1,A,B,C,d)")
	})
}

// A value longer than the column is refused, not cut off.
func TestNothingIsCutOff(t *testing.T) {
	a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: 18}), Options{}, slices.Concat(typeDefinitions, []string{
		`CREATE TABLE public.t (id int PRIMARY KEY, a varchar(3), b char(3), c bit(3), d varbit(3), e public.short, f public.shorter, g varchar(2)[])`})...)
	s := a.shape("t")
	for i, long := range []string{"abcd", "abcd", "0101", "0101", "abcd", "abc", "{abc}"} {
		for _, action := range []apply.Action{apply.Insert, apply.Put} {
			image := img("1", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL")
			image[i+1] = change.TextValue(long)
			tx := a.begin()
			_, err := tx.Write(a.ctx, []apply.Write{write(action, s, nil, image)})
			if class(err) != apply.ErrRejected {
				t.Errorf("%s in %s: %v, want rejected", long, s.Columns[i+1].Type, err)
			}
			tx.Rollback(a.ctx)
		}
	}
}

// Any random sequence of sets brings about what the same writes do to a map.
func TestSetsAgainstAModel(t *testing.T) {
	a := applying(t, testcluster.ForTest(t, testcluster.Options{Version: 18}), Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text, w text)`)
	s := a.shape("t")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	model := map[int][2]string{}
	for range 60 {
		var writes []apply.Write
		var want []int
		next := map[int][2]string{}
		for k, v := range model {
			next[k] = v
		}
		for _, k := range rng.Perm(30)[:1+rng.IntN(29)] {
			row, there := model[k]
			v := fmt.Sprint(rng.IntN(1000))
			image := img(fmt.Sprint(k), v, v)
			switch action := apply.Action(1 + rng.IntN(5)); action {
			case apply.Insert:
				if there {
					continue
				}
				writes = append(writes, write(action, s, nil, image))
				next[k] = [2]string{v, v}
			case apply.Update:
				if rng.IntN(2) == 0 {
					image[1] = change.Value{}
				}
				writes = append(writes, write(action, s, nil, image))
				switch {
				case !there:
					want = append(want, len(writes)-1)
				case image[1].State == change.Unchanged:
					next[k] = [2]string{row[0], v}
				default:
					next[k] = [2]string{v, v}
				}
			case apply.Delete:
				writes = append(writes, write(action, s, image, nil))
				if !there {
					want = append(want, len(writes)-1)
				}
				delete(next, k)
			case apply.Put:
				writes = append(writes, write(action, s, nil, image))
				next[k] = [2]string{v, v}
			case apply.Remove:
				writes = append(writes, write(action, s, image, nil))
				delete(next, k)
			}
		}
		missing := a.apply(writes...)
		slices.Sort(missing)
		if !slices.Equal(missing, want) {
			t.Fatalf("missing %v, want %v", missing, want)
		}
		model = next
	}
	var keys [][]change.Value
	for k := range 30 {
		keys = append(keys, img(fmt.Sprint(k), "~", "~"))
	}
	for k, got := range a.read(s, keys...) {
		want := "-"
		if row, ok := model[k]; ok {
			want = fmt.Sprintf("%d|%s|%s", k, row[0], row[1])
		}
		if show(got) != want {
			t.Errorf("row %d is %s, want %s", k, show(got), want)
		}
	}
}
