package compare_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/demo/compare"
	"github.com/concord-db/concord/internal/testcluster"
)

// plain is a table that every engine has, with the same rows.
var plain = map[string]string{
	"postgres": `CREATE TABLE t (id varchar(20) PRIMARY KEY, n numeric(8,2), at timestamptz, doc jsonb, note text, photo bytea);
		INSERT INTO t VALUES ('b', 1.5, '2024-01-02 03:04:05.25+00', '{"b": 1, "a": [1.50, null]}', NULL, '\x00ff'), ('B', 2, NULL, NULL, '', ''), ('a', NULL, '2024-01-02 00:00:00+00', '"x"', 'née "q"', NULL)`,
	"mariadb": `CREATE TABLE t (id varchar(20) COLLATE utf8mb4_bin PRIMARY KEY, n decimal(8,2), at timestamp(6) NULL, doc json, note longtext, photo longblob);
		INSERT INTO t VALUES ('b', 1.5, '2024-01-02 03:04:05.25', '{"a": [1.50,null],"b":1}', NULL, x'00ff'), ('B', 2, NULL, NULL, '', ''), ('a', NULL, '2024-01-02 00:00:00', '"x"', 'née "q"', NULL)`,
}

// plainSides are a side of PostgreSQL and one of MariaDB with those rows, and what
// executes at the second.
func plainSides(t *testing.T) (sides [2]compare.Side, exec func(sql string)) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), testcluster.ForTest(t, testcluster.Options{Version: 15}).DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	if _, err := conn.PgConn().Exec(t.Context(), plain["postgres"]).ReadAll(); err != nil {
		t.Fatal(err)
	}
	server := testcluster.OwnMySQL(t, testcluster.MySQLOptions{Product: testcluster.MariaDB})
	other, err := client.Connect(server.Addr(), "root", "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	exec = func(sql string) {
		t.Helper()
		if _, err := other.Execute(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("CREATE DATABASE shop")
	exec("USE shop")
	exec("SET NAMES utf8mb4")
	create, insert := cutStatement(plain["mariadb"])
	exec(create)
	exec(insert)
	return [2]compare.Side{compare.PlainPostgres{Postgres: compare.Postgres{Conn: conn}}, compare.MySQL{Conn: other}}, exec
}

func cutStatement(sql string) (first, second string) {
	for i := range sql {
		if sql[i] == ';' {
			return sql[:i], sql[i+1:]
		}
	}
	return sql, ""
}

func TestSidesOfDifferentEnginesAreCompared(t *testing.T) {
	sides, exec := plainSides(t)
	look := func() compare.Result {
		t.Helper()
		results, err := compare.All(t.Context(), sides, "public")
		if err != nil || len(results) != 1 || results[0].Table != "public.t" {
			t.Fatalf("%+v, %v", results, err)
		}
		return results[0]
	}
	if r := look(); !r.Equal() || r.Rows != [2]int64{3, 3} {
		t.Fatalf("the same rows are %+v", r)
	}
	for _, c := range []struct{ change, back string }{
		{"UPDATE t SET n = 1.51 WHERE id = 'b'", "UPDATE t SET n = 1.5 WHERE id = 'b'"},
		{"UPDATE t SET at = '2024-01-02 03:04:05.250001' WHERE id = 'b'", "UPDATE t SET at = '2024-01-02 03:04:05.25' WHERE id = 'b'"},
		{`UPDATE t SET doc = '{"a": [1.5, 0], "b": 1}' WHERE id = 'b'`, `UPDATE t SET doc = '{"a": [1.50, null], "b": 1}' WHERE id = 'b'`},
		{"UPDATE t SET note = '' WHERE id = 'b'", "UPDATE t SET note = NULL WHERE id = 'b'"},
		{"UPDATE t SET note = 'NULL' WHERE id = 'b'", "UPDATE t SET note = NULL WHERE id = 'b'"},
		{"UPDATE t SET photo = x'00fe' WHERE id = 'b'", "UPDATE t SET photo = x'00ff' WHERE id = 'b'"},
		{"DELETE FROM t WHERE id = 'B'", "INSERT INTO t VALUES ('B', 2, NULL, NULL, '', '')"},
	} {
		exec(c.change)
		if r := look(); r.Different != 1 {
			t.Errorf("%s: %+v", c.change, r)
		}
		exec(c.back)
		if r := look(); !r.Equal() {
			t.Errorf("%s: %+v", c.back, r)
		}
	}
}

func TestAReadingEndsWhenItIsGivenUp(t *testing.T) {
	sides, exec := plainSides(t)
	// More than the rows read ahead and the buffers of the line hold.
	exec("SET max_recursive_iterations = 400")
	exec("CREATE TABLE many (id int PRIMARY KEY, note varchar(200))")
	exec(`INSERT INTO many WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 299)
		SELECT a.i * 300 + b.i, repeat('x', 200) FROM n a, n b`)
	gone := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	rows, err := sides[1].Open(ctx, compare.Table{Schema: "public", Name: "many", Key: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatalf("no row: %v", rows.Err())
	}
	cancel(gone)
	read := 1
	for rows.Next() {
		read++
	}
	if !errors.Is(rows.Err(), gone) || read == 300*300 {
		t.Errorf("%d rows and %v; want it to end before its end with %v", read, rows.Err(), gone)
	}
}
