package mysql

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/concord-db/concord/internal/change"
)

func TestWhatAStatementOfTheLogIs(t *testing.T) {
	for _, c := range []struct {
		sql  string
		kind statementKind
		name string
	}{
		{"BEGIN", statementBegin, ""},
		{"begin work", statementBegin, ""},
		{"START TRANSACTION", statementBegin, ""},
		{"COMMIT", statementCommit, ""},
		{"ROLLBACK", statementRollback, ""},
		{"SAVEPOINT `a b`", statementSavepoint, "a b"},
		{"ROLLBACK TO `a b`", statementRollbackTo, "a b"},
		{"rollback to savepoint S1", statementRollbackTo, "s1"},
		{"RELEASE SAVEPOINT s", statementNothing, ""},
		{"XA START X'61',X'',1", statementBegin, ""},
		{"XA END X'61',X'',1", statementNothing, ""},
		{"XA COMMIT X'61',X'',1", statementCommit, ""},
		{"XA ROLLBACK X'61',X'',1", statementCommit, ""},
		{"TRUNCATE TABLE `t`", statementTruncate, "`t`"},
		{"truncate shop.t", statementTruncate, "shop.t"},
		{"/* x */ -- y\n# z\n TRUNCATE t", statementTruncate, "t"},
		{"INSERT INTO t VALUES (1)", statementWrite, ""},
		{"/*!40101 UPDATE t SET a = 1 */", statementWrite, ""},
		{"(DELETE FROM t)", statementWrite, ""},
		{"WITH x AS (SELECT 1) UPDATE t SET a = 1", statementWrite, ""},
		{"LOAD DATA INFILE 'x' INTO TABLE t", statementWrite, ""},
		{"# Dummy event replacing event type 160 that slave cannot handle.", statementNothing, ""},
		{"ALTER TABLE t ADD c int", statementSchema, ""},
		{"/*! ALTER TABLE t ADD c int */", statementSchema, ""},
		{"CREATE TABLE `t` (a int) START TRANSACTION", statementSchema, ""},
		{"\x00\xff?", statementSchema, ""},
		{"START SLAVE", statementSchema, ""},
		{"DROP TEMPORARY TABLE IF EXISTS t", statementNothing, ""},
		{"DROP TABLE t", statementSchema, ""},
		{"GRANT SELECT ON *.* TO x", statementNothing, ""},
	} {
		if got := classify(c.sql); got.kind != c.kind || got.name != c.name {
			t.Errorf("%q is %+v, want %d %q", c.sql, got, c.kind, c.name)
		}
	}
}

func TestTablesThatStatementsName(t *testing.T) {
	for sql, want := range map[string][2]string{
		"t":                 {"shop", "t"},
		"`a``b`":            {"shop", "a`b"},
		"x . `t` WAIT 5":    {"x", "t"},
		"/* c */ `x`.t":     {"x", "t"},
		"t /* generated */": {"shop", "t"},
	} {
		if schema, name := tableName(sql, "shop"); schema != want[0] || name != want[1] {
			t.Errorf("%q names %s.%s, want %s.%s", sql, schema, name, want[0], want[1])
		}
	}
}

func TestStatementsThatHideRows(t *testing.T) {
	for sql, want := range map[string]bool{
		"ALTER TABLE t TRUNCATE PARTITION p":                true,
		"alter table t\n drop partition p":                  true,
		"ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u":   true,
		"ALTER TABLE t IMPORT TABLESPACE":                   true,
		"ALTER TABLE t DISCARD PARTITION p TABLESPACE":      true,
		"ALTER TABLE t ADD PARTITION (PARTITION p)":         false,
		"ALTER TABLE t ADD COLUMN drop_partition_count int": false,
	} {
		if got := unlogged.MatchString(sql); got != want {
			t.Errorf("%q hides rows: %v, want %v", sql, got, want)
		}
	}
}

func TestPositionsAreOrdered(t *testing.T) {
	db := New("mysql://x", Options{Site: "a", Cluster: "c"})
	const u, v = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
	for _, c := range []struct {
		a, b change.Position
		want int
	}{
		{"", "", 0},
		{"", u + "/binlog.000001:4/" + u + ":1-5", -1},
		{"nonsense", u + "/binlog.000001:4/" + u + ":1-5", -1},
		{u + "/binlog.000002:4/" + u + ":1-9", u + "/binlog.000001:900/" + u + ":1-5", 1},
		{u + "/binlog.1000000:4/" + u + ":1-9", u + "/binlog.999999:900/" + u + ":1-5", 1},
		{u + "/binlog.000001:9/" + u + ":1-9", u + "/binlog.000001:10/" + u + ":1-9", -1},
		{u + "/binlog.000001:9/" + u + ":1-9", u + "/binlog.000001:9/", 0},
		// Of another server: by what had been read.
		{v + "/binlog.000001:9/" + u + ":1-9," + v + ":1", u + "/binlog.000077:10/" + u + ":1-9", 1},
		{v + "/binlog.000001:9/" + u + ":1-9", u + "/binlog.000077:10/" + u + ":1-9," + u + ":shard:1", -1},
		{"2/binlog.000001:9/0-1-9,1-1-1", "1/binlog.000077:10/0-1-9", 1},
		{"2/binlog.000001:9/0-1-9", "1/binlog.000077:10/0-1-10", -1},
		{"2/binlog.000001:9/0-2-10", "1/binlog.000077:10/0-1-10", 0},
		// A fence on another server is not reached.
		{u + "/binlog.000099:9/" + u + ":1-9", v + "/binlog.000001:4/", -1},
	} {
		if got := db.Compare(c.a, c.b); got != c.want {
			t.Errorf("%s to %s: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := db.Compare(c.b, c.a); got != -c.want {
			t.Errorf("%s to %s: %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}

func TestOffsetsOfLargeFiles(t *testing.T) {
	for _, c := range []struct {
		before uint64
		low    uint32
		want   uint64
	}{
		{4, 100, 100}, {100, 100, 100},
		{1<<32 - 10, 5, 1<<32 + 5},
		{1<<32 + 5, 50, 1<<32 + 50},
		{3<<32 - 1, 0, 3 << 32},
	} {
		if got := widen(c.before, c.low); got != c.want {
			t.Errorf("after %d, %d is %d, want %d", c.before, c.low, got, c.want)
		}
	}
}

// MariaDB 11.4 and later leave the positions of events within transactions out.
func TestEventsWithoutPositionsCountBySize(t *testing.T) {
	gtids, err := parseGTIDs(mariaDB, "0-1-4")
	if err != nil {
		t.Fatal(err)
	}
	a := &assembler{at: position{server: "1", file: "binlog.000001", offset: 300, gtids: "0-1-4"}, gtids: gtids, shape: &shaper{}, relations: map[string]*relation{}}
	p := newParser(mariaDB, a)
	// As it is written, with the checksum that ends every event.
	format := event(replication.FORMAT_DESCRIPTION_EVENT, 0, formatBody())
	if _, _, err := p.event(t.Context(), format); err != nil {
		t.Fatal(err)
	}
	gtid := append(binary.LittleEndian.AppendUint64(nil, 5), 0, 0, 0, 0, 0)
	gtid = append(gtid, make([]byte, 6)...)
	begin := event(replication.MARIADB_GTID_EVENT, 342, gtid)
	xid := event(replication.XID_EVENT, 0, binary.LittleEndian.AppendUint64(nil, 99))
	if _, _, err := p.event(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	ev, ok, err := p.event(t.Context(), xid)
	if err != nil || !ok {
		t.Fatalf("the commit gave no event: %v", err)
	}
	if want := change.Position("1/binlog.000001:369/0-1-5"); ev.Position != want {
		t.Errorf("the position after the commit is %s, want %s", ev.Position, want)
	}
}

// event is one as a server sends it, without a checksum.
func event(typ replication.EventType, end uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(time.Date(2026, 7, 31, 0, 0, 0, 0, time.UTC).Unix()))
	b = append(b, byte(typ))
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(replication.EventHeaderSize+len(body)))
	b = binary.LittleEndian.AppendUint32(b, end)
	b = append(b, 0, 0)
	return append(b, body...)
}

func formatBody() []byte {
	b := binary.LittleEndian.AppendUint16(nil, 4)
	version := make([]byte, 50)
	copy(version, "11.4.2-MariaDB-log")
	b = append(b, version...)
	b = append(b, 0, 0, 0, 0, byte(replication.EventHeaderSize))
	b = append(b, make([]byte, 170)...)
	return append(b, byte(replication.BINLOG_CHECKSUM_ALG_OFF), 0, 0, 0, 0)
}

func TestFiltersThatHideADatabase(t *testing.T) {
	for _, c := range []struct {
		only, never string
		want        bool
	}{
		{"", "", false}, {"shop", "", false}, {"other", "", true}, {"other,shop", "", false}, {"", "shop", true}, {"", "other", false}, {"shop", "shop", false},
	} {
		if got := hides(splitNames(c.only), splitNames(c.never), "shop"); got != c.want {
			t.Errorf("binlog-do-db %q and binlog-ignore-db %q hide shop: %v, want %v", c.only, c.never, got, c.want)
		}
	}
}

// Whatever bytes come, they are values or an error.
func FuzzJSON(f *testing.F) {
	f.Add("\x00\x01\x00\x0c\x00\x0b\x00\x01\x00\x05\x01\x00a")
	f.Add("\x02\x02\x00\x0a\x00\x05\x01\x00\x04\x00\x00")
	f.Fuzz(func(t *testing.T, doc string) {
		if text, err := jsonText(doc); err == nil && text == "" {
			t.Errorf("%q is the empty text", doc)
		}
	})
}

func FuzzValues(f *testing.F) {
	f.Add(byte(246), uint16(0x411e), "\x80\x00\x00")
	f.Add(byte(254), uint16(0xfe04), "\x02ab")
	f.Fuzz(func(t *testing.T, typ byte, meta uint16, data string) {
		var fl field
		fl.read(typ, meta)
		if fl.scale > fl.length && typ == 246 || fl.scale > 6 && typ != 246 {
			return // refused with the table map's description of the column
		}
		c := cursor{s: data}
		if text, err := fl.value(&c); err == nil && len(text) > 1000+10*len(data) {
			t.Errorf("%d bytes became a text of %d", len(data), len(text))
		}
	})
}
