package compare_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/concord-db/concord/internal/demo/compare"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testcluster.Main(m)) }

const schema = `CREATE TABLE one (id int PRIMARY KEY, v text, f float8);
	CREATE TABLE two ("a B" text, b int, v jsonb, PRIMARY KEY (b, "a B"));
	CREATE TABLE keyless (v text);`

func sides(t *testing.T) [2]*pgx.Conn {
	var conns [2]*pgx.Conn
	for i := range conns {
		c := testcluster.ForTest(t, testcluster.Options{Version: 15})
		conn, err := pgx.Connect(t.Context(), c.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(t.Context()) })
		exec(t, conn, schema)
		conns[i] = conn
	}
	return conns
}

func of(conns [2]*pgx.Conn) [2]compare.Side {
	return [2]compare.Side{compare.Postgres{Conn: conns[0]}, compare.Postgres{Conn: conns[1]}}
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestEveryDifferenceIsFound(t *testing.T) {
	const fill = `INSERT INTO one SELECT i, 'v' || i, i / 3.0 FROM generate_series(1, 1000) i;
		INSERT INTO two SELECT 'x' || i, i % 7, jsonb_build_object('i', i) FROM generate_series(1, 100) i`
	for _, tt := range []struct {
		name      string
		first     string
		second    string
		rows      [2]int64 // of table one
		different int64
		example   compare.Difference
	}{
		{name: "equal", rows: [2]int64{1000, 1000}},
		{
			name: "one column of one row", second: "UPDATE one SET v = 'w' WHERE id = 500", rows: [2]int64{1000, 1000},
			different: 1, example: compare.Difference{Key: "(500)", Rows: [2]string{"(500,v500,166.66666666666666)", "(500,w,166.66666666666666)"}},
		},
		{
			name: "null is not empty", first: "UPDATE one SET v = NULL WHERE id = 7", second: "UPDATE one SET v = '' WHERE id = 7",
			rows: [2]int64{1000, 1000}, different: 1,
			example: compare.Difference{Key: "(7)", Rows: [2]string{"(7,,2.3333333333333335)", `(7,"",2.3333333333333335)`}},
		},
		{
			name: "first row missing here, last missing there", first: "DELETE FROM one WHERE id = 1", second: "DELETE FROM one WHERE id = 1000",
			rows: [2]int64{999, 999}, different: 2,
		},
		{
			name: "the last bit of a float", second: "UPDATE one SET f = 1.0000000000000002 WHERE id = 3", rows: [2]int64{1000, 1000},
			different: 1, example: compare.Difference{Key: "(3)", Rows: [2]string{"(3,v3,1)", "(3,v3,1.0000000000000002)"}},
		},
		{name: "one side empty", second: "TRUNCATE one", rows: [2]int64{1000, 0}, different: 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conns := sides(t)
			for i, more := range []string{tt.first, tt.second} {
				exec(t, conns[i], fill)
				exec(t, conns[i], more)
			}
			results, err := compare.All(t.Context(), of(conns), "public")
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != 2 || results[0].Table != "public.one" || results[1].Table != "public.two" {
				t.Fatalf("compared %+v; want the tables one and two", results)
			}
			if !results[1].Equal() || results[1].Keys != 100 {
				t.Errorf("table two: %+v", results[1])
			}
			one := results[0]
			if one.Rows != tt.rows || one.Different != tt.different || one.Equal() != (tt.different == 0) {
				t.Errorf("table one: %+v; want rows %v, %d different", one, tt.rows, tt.different)
			}
			if tt.example.Key != "" && (len(one.Examples) != 1 || one.Examples[0] != tt.example) {
				t.Errorf("examples %+v; want %+v", one.Examples, tt.example)
			}
			if len(one.Examples) > 5 {
				t.Errorf("%d examples kept", len(one.Examples))
			}
		})
	}
}

func TestSidesWithDifferentTablesAreRefused(t *testing.T) {
	conns := sides(t)
	exec(t, conns[1], "DROP TABLE two")
	if _, err := compare.All(t.Context(), of(conns), "public"); err == nil {
		t.Error("no error although a table is missing on one side")
	}
}
