package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// writtenTypes are the column types and SQL expressions of values that an application
// stores. key: it can be part of a replication key.
var writtenTypes = []struct {
	name   string
	column string
	only   flavor
	key    bool
	values []string
}{
	{name: "tinyint", column: "TINYINT", key: true, values: []string{"-128", "0", "127"}},
	{name: "tinyint unsigned", column: "TINYINT UNSIGNED", key: true, values: []string{"255", "0"}},
	{name: "boolean", column: "BOOLEAN", key: true, values: []string{"TRUE", "FALSE"}},
	{name: "smallint", column: "SMALLINT", key: true, values: []string{"-32768", "32767"}},
	{name: "mediumint", column: "MEDIUMINT UNSIGNED", key: true, values: []string{"16777215", "0"}},
	{name: "int zerofill", column: "INT(8) ZEROFILL", key: true, values: []string{"42", "0", "4294967295"}},
	{name: "bigint", column: "BIGINT", key: true, values: []string{"-9223372036854775808", "9223372036854775807", "9007199254740993"}},
	{name: "bigint unsigned", column: "BIGINT UNSIGNED", key: true, values: []string{"18446744073709551615", "18446744073709551614", "9223372036854775808", "0"}},
	{name: "decimal", column: "DECIMAL(65,30)", key: true, values: []string{"12345678901234567890123456789012345.123456789012345678901234567890", "-0.000000000000000000000000000001", "0"}},
	{name: "numeric", column: "NUMERIC(5,2)", key: true, values: []string{"-999.99", "1.50"}},
	{name: "float", column: "FLOAT", values: []string{"0.1", "3.4028234e38", "-1.17549435e-38", "16777217", "1e20", "0.30000001192092896", "123456.7"}},
	{name: "double", column: "DOUBLE", values: []string{"0.1", "1.7976931348623157e308", "2.2250738585072014e-308", "0.30000000000000004", "1e20", "9007199254740993", "123456789.123456789"}},
	{name: "bit", column: "BIT(1)", key: true, values: []string{"b'1'", "b'0'"}},
	{name: "bit 64", column: "BIT(64)", key: true, values: []string{"0xFFFFFFFFFFFFFFFF", "0x0000000000000001", "0x8000000000000000"}},
	{name: "bit 12", column: "BIT(12)", key: true, values: []string{"b'101010101010'", "b'1'"}},
	{name: "year", column: "YEAR", key: true, values: []string{"'2026'", "0", "1901", "2155"}},
	{name: "date", column: "DATE", key: true, values: []string{"'2026-07-31'", "'0000-00-00'", "'2026-00-00'", "'2026-02-31'", "'9999-12-31'"}},
	{name: "time", column: "TIME", key: true, values: []string{"'23:59:59'", "'-838:59:59'", "'838:59:59'"}},
	{name: "time 6", column: "TIME(6)", key: true, values: []string{"'-00:00:00.000001'", "'12:34:56.789'", "'-838:59:58.999999'"}},
	{name: "datetime", column: "DATETIME", key: true, values: []string{"'2026-07-31 23:59:59'", "'0000-00-00 00:00:00'"}},
	{name: "datetime 6", column: "DATETIME(6)", key: true, values: []string{"'2026-07-31 23:59:59.123456'", "'1000-01-01 00:00:00.000001'", "'2026-10-25 02:30:00.5'"}},
	{name: "timestamp", column: "TIMESTAMP NULL DEFAULT NULL", key: true, values: []string{"'2026-07-31 23:59:59'", "'1970-01-01 00:00:01'", "'0000-00-00 00:00:00'"}},
	{name: "timestamp 6", column: "TIMESTAMP(6) NULL DEFAULT NULL", key: true, values: []string{"'2038-01-19 03:14:07.999999'", "'2026-10-25 01:30:00.1'"}},
	{name: "char", column: "CHAR(10) CHARACTER SET utf8mb4", key: true, values: []string{"'abc'", "'it''s'", `'\\ " \n'`, "''"}},
	{name: "varchar", column: "VARCHAR(50) CHARACTER SET utf8mb4", key: true, values: []string{"'abc'", "'trailing  '", "'\U0001F600 é 日本'", "'NULL'", "';DROP TABLE a; --'"}},
	{name: "varchar binary", column: "VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", key: true, values: []string{"'a'", "'A'"}},
	{name: "latin1", column: "VARCHAR(50) CHARACTER SET latin1", key: true, values: []string{"'é'", "'€uro'", "0x81"}},
	{name: "ucs2", column: "VARCHAR(50) CHARACTER SET ucs2", key: true, values: []string{"'é日'", "''"}},
	{name: "sjis", column: "VARCHAR(50) CHARACTER SET sjis", key: true, values: []string{"'日本表'", "_sjis 0x955C"}},
	{name: "text", column: "TEXT CHARACTER SET utf8mb4", values: []string{"'abc'", "repeat('é', 30000)"}},
	{name: "mediumtext", column: "MEDIUMTEXT", values: []string{"repeat('long ''text\\\\', 200000)"}},
	{name: "binary", column: "BINARY(8)", key: true, values: []string{"0x0001275C00FF", "'abc'", "''"}},
	{name: "varbinary", column: "VARBINARY(20)", key: true, values: []string{"0x00", "0x275C5C27", "0xFFFE00", "''", "0xC3"}},
	{name: "blob", column: "LONGBLOB", values: []string{"0x00275C1A0D0A22", "repeat(0x00FF275C, 100000)"}},
	{name: "enum", column: "ENUM('a', 'b''c', 'é', '') CHARACTER SET utf8mb4", key: true, values: []string{"'a'", "'b''c'", "'é'", "''"}},
	{name: "set", column: "SET('x', 'y', 'z')", key: true, values: []string{"'x,z'", "''", "'y'"}},
	{name: "json", column: "JSON", values: []string{`'{"a": [1, 2.50, null, "é\\\\n\\""], "b": {}}'`, "'1'", "'null'", `'18446744073709551615'`}},
	{name: "point", column: "POINT", values: []string{"ST_GeomFromText('POINT(1 -2.5)')", "ST_GeomFromText('POINT(1 2)', 4326)"}},
	{name: "geometry", column: "GEOMETRY", values: []string{"ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')", "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,2 2))')"}},
	{name: "vector", column: "VECTOR(3)", only: mySQL, values: []string{"TO_VECTOR('[1,2.5,-3]')"}},
	{name: "uuid", column: "UUID", only: mariaDB, key: true, values: []string{"'123e4567-e89b-12d3-a456-426614174000'", "'00000000-0000-0000-0000-000000000000'"}},
	{name: "inet6", column: "INET6", only: mariaDB, key: true, values: []string{"'2001:db8::ff00:42:8329'", "'::'"}},
	{name: "inet4", column: "INET4", only: mariaDB, key: true, values: []string{"'192.0.2.1'"}},
	{name: "invisible", column: "INT INVISIBLE DEFAULT 7", values: []string{"1"}},
}

// TestEveryTypeIsReadAndWrittenExactly: the image of a row that an application stored,
// written to another table of the same columns, makes the same row: inserted, updated
// from another one, and put.
func TestEveryTypeIsReadAndWrittenExactly(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn)
		for _, c := range writtenTypes {
			if c.only != "" && c.only != b.app.flavor {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				b.t = t
				b.run("DROP TABLE IF EXISTS a, b, k, k2", "CREATE TABLE a (id INT PRIMARY KEY, v "+c.column+")", "CREATE TABLE b LIKE a")
				for i, v := range append(c.values, "NULL") {
					b.run(fmt.Sprintf("INSERT INTO a (id, v) VALUES (%d, %s)", i+1, v))
				}
				from, to := b.shape("a"), b.shape("b")
				var keys [][]change.Value
				for i := range len(c.values) + 1 {
					keys = append(keys, imageOf(fmt.Sprint(i+1), "~"))
				}
				read := func(shape *change.Table, tx apply.Tx) [][]change.Value {
					images, err := tx.Read(b.ctx, shape, keys)
					if err != nil {
						t.Fatalf("reading: %v", err)
					}
					return images
				}
				same := func(how string) {
					t.Helper()
					b.holds("SELECT count(*) FROM a JOIN b USING (id) WHERE a.v <=> b.v", fmt.Sprint(len(keys)))
					tx := b.begin()
					defer tx.Rollback(b.ctx)
					before, after := read(from, tx), read(to, tx)
					for i := range before {
						if before[i] == nil || shown(before[i]) != shown(after[i]) {
							t.Errorf("%s: %.100q came back as %.100q", how, shown(before[i]), shown(after[i]))
						}
					}
				}
				tx := b.begin()
				images := read(from, tx)
				var writes []apply.Write
				for _, image := range images {
					writes = append(writes, insertOf(to, image))
				}
				b.write(tx, writes...)
				b.commit(tx)
				same("inserted")

				tx = b.begin()
				writes = writes[:0]
				for i, image := range images { // each from the one beside it
					other := []change.Value{keys[i][0], images[(i+1)%len(images)][1]}
					b.write(tx, updateOf(to, other))
					writes = append(writes, updateOf(to, image))
				}
				if missing := b.write(tx, writes...); missing != "[]" {
					t.Errorf("updating: missing = %s", missing)
				}
				b.commit(tx)
				same("updated")

				tx = b.begin()
				writes = writes[:0]
				for i, image := range images {
					other := []change.Value{keys[i][0], images[(i+1)%len(images)][1]}
					b.write(tx, as(apply.Put, updateOf(to, other)))
					writes = append(writes, as(apply.Put, updateOf(to, image)))
				}
				b.write(tx, writes...)
				b.commit(tx)
				same("put")
				if c.key {
					b.findsByKey(c.column, c.values)
				}
			})
		}
	})
}

// findsByKey makes tables whose key is a column of the type, alone and with another, and
// updates and deletes each row by it.
func (b *targetBench) findsByKey(column string, values []string) {
	b.t.Helper()
	column = strings.ReplaceAll(column, " NULL DEFAULT NULL", " DEFAULT '2000-01-01 00:00:00'") + " NOT NULL"
	for name, key := range map[string]string{"k": "PRIMARY KEY (v)", "k2": "PRIMARY KEY (n, v)"} {
		b.run("CREATE TABLE "+name+" (v "+column+", n INT NOT NULL, touched INT NOT NULL DEFAULT 0, "+key+")",
			"INSERT INTO "+name+" (v, n) VALUES ("+strings.Join(values, ", 1), (")+", 1)")
		shape := b.shape(name)
		tx := b.begin()
		from := b.shape("a")
		var writes, gone []apply.Write
		var keys [][]change.Value
		for i := range values {
			images, err := tx.Read(b.ctx, from, [][]change.Value{imageOf(fmt.Sprint(i+1), "~")})
			if err != nil {
				b.t.Fatal(err)
			}
			v := images[0][1]
			writes = append(writes, updateOf(shape, []change.Value{v, change.TextValue("1"), change.TextValue("5")}))
			gone = append(gone, deleteOf(shape, []change.Value{v, change.TextValue("1"), {}}))
			keys = append(keys, []change.Value{v, change.TextValue("1"), {}})
		}
		if missing := b.write(tx, writes...); missing != "[]" {
			b.t.Errorf("updating by %s: missing = %s", key, missing)
		}
		images, err := tx.Read(b.ctx, shape, keys)
		if err != nil {
			b.t.Fatal(err)
		}
		for i := range images {
			if images[i] == nil || images[i][0] != keys[i][0] || images[i][2].Text != "5" {
				b.t.Errorf("reading by %s: %s for %s", key, shown(images[i]), shown(keys[i]))
			}
		}
		if missing := b.write(tx, gone...); missing != "[]" {
			b.t.Errorf("deleting by %s: missing = %s", key, missing)
		}
		b.commit(tx)
		b.holds("SELECT count(*) FROM "+name, "0")
	}
}
