package testcluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/concord-db/concord/internal/testcluster"
)

// onEachProduct runs a test on a server of its own of each product.
func onEachProduct(t *testing.T, o testcluster.MySQLOptions, f func(t *testing.T, s *testcluster.MySQLServer)) {
	for _, product := range testcluster.Products(t) {
		t.Run(string(product), func(t *testing.T) {
			o.Product = product
			f(t, testcluster.OwnMySQL(t, o))
		})
	}
}

func connectMySQL(t *testing.T, addr string) *client.Conn {
	t.Helper()
	conn, err := client.Connect(addr, "root", "", "")
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func text(t *testing.T, conn *client.Conn, sql string) string {
	t.Helper()
	r, err := conn.Execute(sql)
	if err != nil {
		t.Fatalf("executing %q: %v", sql, err)
	}
	if r.Resultset == nil || r.RowNumber() == 0 {
		return ""
	}
	var row []string
	for i := range r.ColumnNumber() {
		v, err := r.GetString(0, i)
		if err != nil {
			t.Fatal(err)
		}
		row = append(row, v)
	}
	return strings.Join(row, "|")
}

// What replication needs is set on every server, and no two take each other for the same.
func TestMySQLServersAreReadyToReplicate(t *testing.T) {
	uuids := map[string]bool{}
	onEachProduct(t, testcluster.MySQLOptions{Durable: true, Settings: map[string]string{"max-connections": "77"}}, func(t *testing.T, s *testcluster.MySQLServer) {
		conn := connectMySQL(t, s.Addr())
		want := fmt.Sprintf("1|ROW|FULL|FULL|1|1|77|%d|utf8mb4|+0", s.Port())
		got := text(t, conn, "SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@sync_binlog, @@innodb_flush_log_at_trx_commit, @@max_connections, @@server_id, @@character_set_server, TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP, NOW()) + 0")
		if strings.TrimSuffix(got, "|0") != strings.TrimSuffix(want, "|+0") {
			t.Errorf("settings are %s, want %s", got, want)
		}
		if s.Product() == testcluster.MySQL {
			other := testcluster.OwnMySQL(t, testcluster.MySQLOptions{Product: testcluster.MySQL})
			for _, c := range []*client.Conn{conn, connectMySQL(t, other.Addr())} {
				uuids[text(t, c, "SELECT @@server_uuid, @@gtid_mode")] = true
			}
			if len(uuids) != 2 {
				t.Errorf("two servers are %v", uuids)
			}
		}
	})
}

// A killed server comes back on the same port with what was committed; one that is stopped
// is gone; a paused one answers nothing until it goes on.
func TestAMySQLServerIsKilledPausedAndStopped(t *testing.T) {
	onEachProduct(t, testcluster.MySQLOptions{}, func(t *testing.T, s *testcluster.MySQLServer) {
		conn := connectMySQL(t, s.Addr())
		text(t, conn, "CREATE DATABASE shop")
		text(t, conn, "CREATE TABLE shop.t (id int PRIMARY KEY)")
		text(t, conn, "INSERT INTO shop.t VALUES (1), (2)")
		port := s.Port()
		if err := s.Kill(); err != nil || s.Running() {
			t.Fatalf("killing: %v, running %t", err, s.Running())
		}
		if err := s.Start(t.Context()); err != nil || s.Port() != port {
			t.Fatalf("starting again: %v, on port %d, not %d", err, s.Port(), port)
		}
		conn = connectMySQL(t, s.Addr())
		if got := text(t, conn, "SELECT count(*) FROM shop.t"); got != "2" {
			t.Errorf("%s rows after the kill", got)
		}

		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		answer := make(chan error, 1)
		go func() {
			_, err := conn.Execute("SELECT 1")
			answer <- err
		}()
		select {
		case err := <-answer:
			t.Fatalf("a paused server answers: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := <-answer; err != nil {
			t.Errorf("after going on: %v", err)
		}

		s.Set("max-connections", "55")
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := text(t, connectMySQL(t, s.Addr()), "SELECT @@max_connections"); got != "55" {
			t.Errorf("max_connections is %s after the restart", got)
		}
		dir := s.Dir()
		if err := errors.Join(s.Stop(t.Context()), s.Close()); err != nil || s.Running() {
			t.Errorf("stopping: %v", err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	})
}

func TestAMySQLServerWithAWrongClock(t *testing.T) {
	onEachProduct(t, testcluster.MySQLOptions{Faketime: "+10m"}, func(t *testing.T, s *testcluster.MySQLServer) {
		conn := connectMySQL(t, s.Addr())
		at, err := time.Parse(time.DateTime, text(t, conn, "SELECT DATE_FORMAT(UTC_TIMESTAMP, '%Y-%m-%d %H:%i:%s')"))
		if off := time.Until(at); err != nil || off < 9*time.Minute || off > 11*time.Minute {
			t.Errorf("its clock is %v off: %v", off, err)
		}
	})
}

// A line between a client and the server can be cut.
func TestALineToAMySQLServerIsCut(t *testing.T) {
	onEachProduct(t, testcluster.MySQLOptions{}, func(t *testing.T, s *testcluster.MySQLServer) {
		proxy, err := testcluster.NewProxy(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer proxy.Close()
		conn := connectMySQL(t, proxy.Addr())
		text(t, conn, "SELECT 1")
		proxy.Cut()
		if _, err := conn.Execute("SELECT 1"); err == nil {
			t.Error("a query passes a line that is cut")
		}
		proxy.Heal()
		text(t, connectMySQL(t, proxy.Addr()), "SELECT 1")
	})
}

func TestAMySQLServerThatCannotStartSaysWhy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, product := range testcluster.Products(t) {
		_, err := testcluster.StartMySQL(ctx, testcluster.MySQLOptions{Product: product, Settings: map[string]string{"no-such-setting": "1"}})
		if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
			t.Errorf("%s: %v", product, err)
		}
	}
	if _, err := testcluster.StartMySQL(ctx, testcluster.MySQLOptions{Product: "oracle"}); err == nil || !strings.Contains(err.Error(), "neither mariadb nor mysql") {
		t.Errorf("an unknown product: %v", err)
	}
}
