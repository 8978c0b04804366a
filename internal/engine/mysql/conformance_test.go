package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/enginetest"
	"github.com/concord-db/concord/internal/testcluster"
)

// TestConformance runs the suite. A server is one site: the two sites of a test are the
// same two servers of a product each time, emptied.
func TestConformance(t *testing.T) {
	for _, product := range testcluster.Products(t) {
		t.Run(string(product), func(t *testing.T) {
			byName := map[change.Site]*testcluster.MySQLServer{}
			flavor := mySQL
			if product == testcluster.MariaDB {
				flavor = mariaDB
			}
			enginetest.Run(t, enginetest.Fixture{
				New: func(inner *testing.T, o enginetest.SiteOptions) *enginetest.Site {
					if o.Own {
						return conformanceSite(inner, testcluster.OwnMySQL(inner, testcluster.MySQLOptions{Product: product, Durable: true}), o)
					}
					if byName[o.Name] == nil {
						byName[o.Name] = testcluster.OwnMySQL(t, testcluster.MySQLOptions{Product: product})
					}
					return conformanceSite(inner, byName[o.Name], o)
				},
				Types:   conformanceTypes(flavor),
				Dialect: conformanceDialect,
			})
		})
	}
}

var conformanceDialect = enginetest.Dialect{
	Numbers: func(n int) string {
		var terms, from []string
		for digit, place := 0, 1; place <= n; digit, place = digit+1, place*10 {
			terms = append(terms, fmt.Sprintf("%d * d%d.d", place, digit))
			from = append(from, fmt.Sprintf("(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS d%d", digit))
		}
		return fmt.Sprintf("(SELECT n FROM (SELECT 1 + %s AS n FROM %s) AS x WHERE n <= %d) AS s", strings.Join(terms, " + "), strings.Join(from, ", "), n)
	},
	Bytes: func(n int, seed string) string {
		return fmt.Sprintf("left(repeat(sha2(%s, 256), %d), %d)", seed, n/64+1, n)
	},
	KeepsLog: true,
	Widen:    func(table, column string) string { return "ALTER TABLE " + table + " MODIFY " + column + " bigint" },
	Audit:    []string{"CREATE TRIGGER note AFTER INSERT ON main FOR EACH ROW BEGIN IF " + applyVariable + " IS NULL THEN INSERT INTO audit VALUES (NEW.id); END IF; END"},
}

// conformanceTypes are the types of this engine with the values at their edges.
func conformanceTypes(f flavor) []enginetest.Type {
	ints := func(sql string, values ...string) enginetest.Type {
		return enginetest.Type{SQL: sql, Kind: change.KindInt, Values: values, Keys: values}
	}
	all := []enginetest.Type{
		ints("TINYINT", "-128", "0", "127"), ints("TINYINT UNSIGNED", "0", "255"), ints("BOOLEAN", "0", "1"),
		ints("SMALLINT", "-32768", "32767"), ints("MEDIUMINT", "-8388608", "8388607"), ints("MEDIUMINT UNSIGNED", "16777215"),
		ints("INT", "-2147483648", "2147483647"), ints("INT UNSIGNED", "4294967295"), ints("INT(8) ZEROFILL", "0", "42"),
		ints("BIGINT", "-9223372036854775808", "9223372036854775807", "9007199254740993"),
		ints("BIGINT UNSIGNED", "0", "9223372036854775808", "18446744073709551615"),
		ints("YEAR", "'2026'", "1901", "2155", "0"),
		{SQL: "DECIMAL(65,30)", Kind: change.KindDecimal, Values: []string{"0", "-0.1", "12345678901234567890123456789012345.123456789012345678901234567890"}, Keys: []string{"1.5", "-0.000000000000000000000000000001"}},
		{SQL: "NUMERIC(10,0)", Kind: change.KindDecimal, Values: []string{"0", "-9999999999"}, Keys: []string{"1", "2"}},
		{SQL: "FLOAT", Kind: change.KindFloat, Values: []string{"0", "0.1", "-1.5e10", "3.4028234e38", "1.17549435e-38", "16777217", "123456.7"}},
		{SQL: "DOUBLE", Kind: change.KindFloat, Values: []string{"0", "0.1", "0.30000000000000004", "1.7976931348623157e308", "2.2250738585072014e-308", "9007199254740993", "123456789.12345679"}},
		{SQL: "BIT(1)", Kind: change.KindBytes, Values: []string{"b'0'", "b'1'"}, Keys: []string{"b'0'", "b'1'"}},
		{SQL: "BIT(12)", Kind: change.KindBytes, Values: []string{"b'101010101010'", "b'1'"}, Keys: []string{"b'1'", "b'10'"}},
		{SQL: "BIT(64)", Kind: change.KindBytes, Values: []string{"0xFFFFFFFFFFFFFFFF", "b'1'"}, Keys: []string{"0xFFFFFFFFFFFFFFFF", "0x8000000000000000"}},
		{SQL: "DATE", Kind: change.KindDate, Values: []string{"'2026-07-31'", "'0000-00-00'", "'2026-00-00'", "'1000-01-01'", "'9999-12-31'"}, Keys: []string{"'2026-07-31'", "'0000-00-00'"}},
		{SQL: "TIME", Kind: change.KindTime, Values: []string{"'00:00'", "'23:59:59'"}, Keys: []string{"'00:00'", "'23:59:59'"}},
		{SQL: "TIME(6)", Kind: change.KindTime, Values: []string{"'12:34:56.789'", "'00:00:00.000001'"}, Keys: []string{"'12:34:56.789'"}},
		{SQL: "DATETIME", Kind: change.KindTimestamp, Values: []string{"'2026-07-31 23:59:59'", "'0000-00-00 00:00:00'"}, Keys: []string{"'2026-07-31 23:59:59'"}},
		{SQL: "DATETIME(6)", Kind: change.KindTimestamp, Values: []string{"'2026-07-31 23:59:59.123456'", "'1000-01-01'", "'9999-12-31 23:59:59.999999'"}, Keys: []string{"'2026-07-31 23:59:59.123456'", "'2026-07-31'"}},
		{SQL: "DATETIME(3)", Kind: change.KindTimestamp, Values: []string{"'2026-07-31 23:59:59.12'"}},
		{SQL: "TIMESTAMP NULL", Kind: change.KindTimestampTZ, Values: []string{"'2026-07-31 23:59:59'", "'0000-00-00 00:00:00'", "'1971-01-01'"}},
		{SQL: "TIMESTAMP(6) NULL", Kind: change.KindTimestampTZ, Values: []string{"'2026-10-25 01:30:00.1'", "'2038-01-18 03:14:07.999999'"}},
		{SQL: "CHAR(10) COLLATE utf8mb4_bin", Kind: change.KindPaddedText, Values: []string{"''", "'abc'", "'0123456789'"}, Keys: []string{"''", "'a'", "'A'"}},
		{SQL: "VARCHAR(60) COLLATE utf8mb4_bin", Kind: change.KindPaddedText, Values: []string{"''", "'trailing  '", "'NULL'", `'it''s "\\" \n\0'`, "'é 漢 🙂'"}, Keys: []string{"'a'", "'A'", "'é'"}},
		{SQL: "VARCHAR(60) COLLATE utf8mb4_general_ci", Kind: change.KindFoldedText, Values: []string{"'MiXed'", "''"}, Keys: []string{"'MiXed'", "'other'"}},
		{SQL: "VARCHAR(60) CHARACTER SET latin1", Kind: change.KindFoldedText, Values: []string{"'é'", "'€uro'"}, Keys: []string{"'e1'", "'ä2'"}},
		{SQL: "VARCHAR(60) CHARACTER SET ucs2", Kind: change.KindFoldedText, Values: []string{"'é漢'"}},
		{SQL: "TEXT", Kind: change.KindFoldedText, Values: []string{"''", "repeat('é', 30000)"}},
		{SQL: "LONGTEXT COLLATE utf8mb4_bin", Kind: change.KindPaddedText, Values: []string{"repeat('x''', 100000)"}},
		{SQL: "BINARY(8)", Kind: change.KindBytes, Values: []string{"0x0001275C00FF", "'abc'", "''"}, Keys: []string{"'a'", "0x00FF"}},
		{SQL: "VARBINARY(20)", Kind: change.KindBytes, Values: []string{"''", "0x00", "0x275C5C27", "0xFFFE00"}, Keys: []string{"''", "0x00", "0x0000", "0xFF5C"}},
		{SQL: "LONGBLOB", Kind: change.KindBytes, Values: []string{"''", "repeat(0x00FF275C, 50000)"}},
		{SQL: "ENUM('a', 'b''c', 'é')", Kind: change.KindEnum, Values: []string{"'a'", "'b''c'", "'é'"}, Keys: []string{"'a'", "'é'"}},
		{SQL: "SET('x', 'y', 'z')", Kind: change.KindNative, Values: []string{"'x,z'", "''", "'y'"}, Keys: []string{"'x'", "'x,y'"}},
		{SQL: "POINT", Kind: change.KindBytes, Values: []string{"ST_GeomFromText('POINT(1 -2.5)')", "ST_GeomFromText('POINT(1 2)', 4326)"}},
		{SQL: "GEOMETRY", Kind: change.KindBytes, Values: []string{"ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')", "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,2 2))')"}},
	}
	json := []string{`'{"b": 1,  "a": [null, 2.50], "a": 2}'`, `'"\\u00e9\\n"'`, "'null'", "'18446744073709551615'", "'[0.1, 1e300, -0.0]'"}
	if f == mariaDB {
		return append(all,
			enginetest.Type{SQL: "JSON", Kind: change.KindJSON, Values: json},
			enginetest.Type{SQL: "UUID", Kind: change.KindUUID, Values: []string{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"}, Keys: []string{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000000'"}},
			enginetest.Type{SQL: "INET6", Kind: change.KindNative, Values: []string{"'2001:db8::ff00:42:8329'", "'::'"}, Keys: []string{"'::1'", "'::2'"}},
			enginetest.Type{SQL: "INET4", Kind: change.KindNative, Values: []string{"'192.0.2.1'"}, Keys: []string{"'10.0.0.1'"}})
	}
	return append(all,
		enginetest.Type{SQL: "JSON", Kind: change.KindJSONB, Values: append(json, `(SELECT JSON_OBJECT('d', DATE'2026-07-31', 't', TIMESTAMP'2026-07-31 12:00:00.5', 'n', 1.5))`)},
		enginetest.Type{SQL: "VARCHAR(60) COLLATE utf8mb4_0900_bin", Kind: change.KindText, Values: []string{"'a '"}, Keys: []string{"'a'", "'a '"}},
		enginetest.Type{SQL: "VECTOR(3)", Kind: change.KindBytes, Values: []string{"TO_VECTOR('[1,2.5,-3]')"}})
}

var shortText = regexp.MustCompile(`\btext\b`)

// agentOf is the account of a site's agents: killing them is killing its sessions.
const agentOf = "agent"

// conformanceSite empties a server and prepares it as a site. It has settings that must
// not matter.
func conformanceSite(t *testing.T, s *testcluster.MySQLServer, o enginetest.SiteOptions) *enginetest.Site {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	connect := func(database string) (*client.Conn, error) { return client.Connect(s.Addr(), "root", "", database) }
	root, err := connect("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	for _, sql := range []string{
		"SET GLOBAL time_zone = '+05:30'",
		"CREATE USER IF NOT EXISTS " + agentOf + "@'%'", "GRANT ALL ON *.* TO " + agentOf + "@'%'",
		"DROP DATABASE IF EXISTS concord", "DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "USE shop", "SET NAMES utf8mb4", "SET sql_mode = ''",
	} {
		if _, err := root.Execute(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for _, sql := range o.Schema {
		sql = shortText.ReplaceAllString(sql, "longtext") // a text holds 64 KiB
		if _, err := root.Execute(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	dsn := strings.Replace(s.DSN(""), "root@", agentOf+"@", 1)
	opts := Options{Site: o.Name, Peers: o.Peers, Cluster: "shop", PartBytes: o.PartBytes, Tables: func(name string) bool { return strings.HasPrefix(name, "shop.") }}
	db := New(dsn, opts)
	t.Cleanup(func() { db.Close(context.Background()) })
	if _, err := db.Init(ctx, InitOptions{}); err != nil {
		t.Fatalf("preparing the site: %v", err)
	}
	// A successor begins with nothing of what its predecessor knew.
	succeed := func(ctx context.Context) *DB {
		db.Close(ctx)
		db = New(dsn, opts)
		return db
	}
	return &enginetest.Site{
		Database: db,
		Connect: func(context.Context) (enginetest.Session, error) {
			c, err := connect("shop")
			if err != nil {
				return nil, err
			}
			for _, sql := range []string{"SET NAMES utf8mb4", "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'", "SET time_zone = '+05:30'"} {
				if _, err := c.Execute(sql); err != nil {
					return nil, err
				}
			}
			return conformanceSession{c}, nil
		},
		Kill: func(ctx context.Context) (enginetest.Database, error) {
			if err := killSessions(ctx, connect, agentOf); err != nil {
				return nil, err
			}
			return succeed(ctx), nil
		},
		Crash: func(ctx context.Context) (enginetest.Database, error) {
			if err := s.Kill(); err != nil {
				return nil, err
			}
			if err := s.Start(ctx); err != nil {
				return nil, err
			}
			return succeed(ctx), nil
		},
	}
}

// killSessions ends the sessions of a user and waits until they are gone.
func killSessions(ctx context.Context, connect func(string) (*client.Conn, error), user string) error {
	c, err := connect("")
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := c.Execute("SELECT id FROM information_schema.processlist WHERE user = '" + user + "'")
		if err != nil {
			return err
		}
		var ids []string
		if err := each(r, func(f *fields) error { ids = append(ids, f.text()); return nil }); err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			_, err := c.Execute("KILL " + id)
			var gone *gomysql.MyError
			if err != nil && (!errors.As(err, &gone) || gone.Code != gomysql.ER_NO_SUCH_THREAD) {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type conformanceSession struct{ c *client.Conn }

func (s conformanceSession) Exec(_ context.Context, sql string) error {
	_, err := s.c.Execute(sql)
	return err
}

func (s conformanceSession) Query(_ context.Context, sql string) ([]string, error) {
	r, err := s.c.Execute(sql)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []string
	err = each(r, func(f *fields) error {
		texts := make([]string, r.ColumnNumber())
		for i := range texts {
			texts[i] = "NULL"
			if s := f.next(); s != nil {
				texts[i] = *s
			}
		}
		all = append(all, strings.Join(texts, "|"))
		return nil
	})
	return all, err
}

func (s conformanceSession) Close(context.Context) error { return s.c.Close() }
