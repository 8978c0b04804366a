package mysql

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestAHealthySiteHasNothingToPutRight(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{}, "CREATE TABLE shop.item (id int PRIMARY KEY, n int)")
		for _, c := range db.Doctor(a.ctx) {
			// How durable the server is, and how great its packets, is the test server's.
			if c.Status != site.OK && !slices.Contains([]string{"sync_binlog", "innodb_flush_log_at_trx_commit", "max_allowed_packet"}, c.Name) {
				a.t.Errorf("%+v", c)
			}
			if c.Status != site.OK && c.Remedy == "" {
				a.t.Errorf("%s has no remedy", c.Name)
			}
		}
	})
}

func TestDoctorNamesEachFaultWithItsRemedy(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{Index: 1}, "CREATE TABLE shop.item (id int PRIMARY KEY)")
		a.app.run(
			"CREATE TABLE shop.keyless (x int)",
			"CREATE TABLE shop.old (id int PRIMARY KEY) ENGINE = MyISAM",
			"CREATE TABLE shop.doc (id bigint AUTO_INCREMENT PRIMARY KEY, slug varchar(20) UNIQUE)",
			"CREATE TABLE shop.parts (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2",
			"CREATE TABLE shop.line (id int PRIMARY KEY, doc bigint, CONSTRAINT line_doc FOREIGN KEY (doc) REFERENCES shop.doc (id) ON DELETE CASCADE)",
			"SET SESSION foreign_key_checks = 0", "INSERT INTO shop.line VALUES (7, 99)", "SET SESSION foreign_key_checks = 1",
			"CREATE TRIGGER shop.audit AFTER INSERT ON shop.item FOR EACH ROW SET @x = 1",
			"CREATE TRIGGER shop.guarded AFTER UPDATE ON shop.item FOR EACH ROW IF @concord_applies IS NULL THEN SET @x = 1; END IF",
			"SET GLOBAL time_zone = '+05:30'", "SET GLOBAL sql_mode = ''", "SET GLOBAL binlog_expire_logs_seconds = 3600")
		defer a.app.run("SET GLOBAL time_zone = 'SYSTEM'", "SET GLOBAL sql_mode = DEFAULT", "SET GLOBAL binlog_expire_logs_seconds = 0")
		checks := db.Doctor(a.ctx)
		for _, words := range [][]string{
			{"shop.keyless", "ADD PRIMARY KEY"},
			{"shop.old", "ENGINE = InnoDB"},
			{"shop.doc", "unique index slug"},
			{"shop.doc.id", "auto_increment_increment = 2", "auto_increment_offset = 2"},
			{"shop.parts", "partition"},
			{"line_doc", "for example where id =  7", "insert the parents"},
			{"trigger shop.audit", "@concord_applies IS NULL"},
			{"time_zone", "+05:30"},
			{"sql_mode", "STRICT_TRANS_TABLES"},
			{"binlog_expire_logs_seconds", "1.0 hours"},
		} {
			if finding(checks, words...) == nil {
				a.t.Errorf("no check mentions %q in\n%+v", words, checks)
			}
		}
		if c := finding(checks, "shop.guarded"); c != nil {
			a.t.Errorf("a trigger that leaves the agents alone: %+v", *c)
		}
		// MySQL 9.6 and later log what foreign keys change.
		logged := strings.HasPrefix(a.dsn, "mysql") && finding(checks, "line_doc", "ON DELETE CASCADE") == nil
		if c := finding(checks, "line_doc", "ON DELETE CASCADE", "DROP FOREIGN KEY `line_doc`"); !logged && (c == nil || c.Status != site.Critical) {
			a.t.Errorf("the cascade: %+v", c)
		}
	})
}

func TestDoctorOfASharedAutoIncrement(t *testing.T) {
	for _, c := range []struct {
		name          string
		step, offset  string
		index         int
		status        site.Status
		mentions      string
		otherThanAKey bool
	}{
		{name: "as the server comes", step: "1", offset: "1", status: site.Critical, mentions: "auto_increment_offset = 1"},
		{name: "its own share", step: "2", offset: "1", status: site.OK},
		{name: "its own share in wider steps", step: "4", offset: "3", status: site.OK},
		{name: "the second site's share", step: "2", offset: "2", index: 1, status: site.OK},
		{name: "another site's share", step: "2", offset: "2", status: site.Warning, mentions: "0 modulo 2"},
		{name: "an offset that the server ignores", step: "2", offset: "5", index: 1, status: site.Warning, mentions: "1 modulo 2"},
		{name: "steps that meet", step: "3", offset: "1", status: site.Critical, mentions: "1, 4, 7"},
		{name: "no key", step: "1", offset: "1", status: site.Warning, mentions: "auto_increment_increment = 2", otherThanAKey: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := &tableFacts{schema: "shop", name: "doc", key: []string{"id"}, columns: []columnFacts{{name: "id", sequence: true}}}
			if c.otherThanAKey {
				table.key = []string{"name"}
			}
			e := &examination{
				db: New("mysql://nobody@none/", Options{Index: c.index, Peers: []change.Site{"pune"}}), catalog: &catalog{tables: map[string]*tableFacts{"shop.doc": table}},
				settings: &serverSettings{flavor: mySQL, values: map[string]string{"auto_increment_increment": c.step, "auto_increment_offset": c.offset}},
			}
			if err := e.sequences(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := e.checks[0]; got.Status != c.status || !strings.Contains(got.Detail+got.Remedy, c.mentions) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDoctorOfALogThatDoesNotTell(t *testing.T) {
	s := &serverSettings{flavor: mySQL, values: map[string]string{
		"log_bin": "OFF", "binlog_format": "MIXED", "binlog_row_image": "MINIMAL", "binlog_row_value_options": "PARTIAL_JSON",
		"gtid_mode": "ON_PERMISSIVE", "enforce_gtid_consistency": "WARN", "server_id": "0",
	}}
	var names []string
	for _, f := range s.logFaults() {
		names = append(names, f.name)
		if f.remedy == "" || !strings.Contains(f.detail, f.name) {
			t.Errorf("%+v", f)
		}
	}
	if len(names) != len(s.values) {
		t.Errorf("only %q were found", names)
	}
	good := &serverSettings{flavor: mariaDB, values: map[string]string{"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "server_id": "1"}}
	if faults := good.logFaults(); len(faults) > 0 {
		t.Errorf("%+v", faults)
	}
}

func TestDoctorOfAServerWithWrongSettings(t *testing.T) {
	for _, p := range testcluster.Products(t) {
		t.Run(string(p), func(t *testing.T) {
			settings := map[string]string{"binlog-do-db": "shop", "binlog-row-image": "MINIMAL", "binlog-row-metadata": "MINIMAL", "read-only": "ON", "max-allowed-packet": "1M", "default-time-zone": "+05:30"}
			want := [][]string{
				{"binlog_row_image", "MINIMAL", "'FULL'"}, {"binlog_row_metadata"}, {"log filters", "concord", "binlog_do_db"}, {"read_only", "cannot be applied"},
				{"max_allowed_packet", "1048576 bytes"}, {"time_zone", "+05:30"}, {"sync_binlog"}, {"clock", "is 10m"}, {"site", "concord init --site mumbai"}, {"tables"},
			}
			if p == testcluster.MySQL {
				settings["gtid-mode"], settings["enforce-gtid-consistency"] = "OFF", "OFF"
				settings["binlog-row-value-options"] = "PARTIAL_JSON"
				want = append(want, []string{"gtid_mode", "OFF_PERMISSIVE"}, []string{"enforce_gtid_consistency"}, []string{"binlog_row_value_options"})
			} else {
				settings["log-slave-updates"], settings["gtid-strict-mode"], settings["binlog-format"] = "OFF", "OFF", "MIXED"
				want = append(want, []string{"log_slave_updates", "ON"}, []string{"gtid_strict_mode"}, []string{"binlog_format", "MIXED"})
			}
			s := testcluster.OwnMySQL(t, testcluster.MySQLOptions{Product: p, Settings: settings, Faketime: "+630s"})
			db := New(s.DSN(""), Options{Site: "mumbai", Cluster: "shop", Peers: []change.Site{"pune"}})
			checks := db.Doctor(t.Context())
			for _, words := range want {
				if finding(checks, words...) == nil {
					t.Errorf("no check mentions %q in\n%+v", words, checks)
				}
			}
			if _, err := db.Init(t.Context(), InitOptions{}); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "binlog_row_image") {
				t.Errorf("init: %v, want the settings refused", err)
			}
		})
	}
}

func TestAnUnreachableServerIsOneCheck(t *testing.T) {
	db := New("mysql://nobody:secret@127.0.0.1:1/none", Options{Site: "mumbai", Cluster: "shop"})
	checks := db.Doctor(context.WithoutCancel(t.Context()))
	if len(checks) != 1 || checks[0].Status != site.Critical || strings.Contains(checks[0].Detail, "secret") {
		t.Errorf("%+v", checks)
	}
}
