package config

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// What is accepted here the driver accepts too, and connects to the same.
func TestGoodDSN(t *testing.T) {
	for _, tt := range []struct{ dsn, host, user, database string }{
		{"postgres://concord@10.1.0.5/shop", "10.1.0.5", "concord", "shop"},
		{"postgresql://concord@db.example.org:6432/shop?sslmode=disable", "db.example.org", "concord", "shop"},
		{"postgres://concord@[::1]:5433/shop?sslmode=disable", "::1", "concord", "shop"},
		{"postgres://concord@[::1]/shop?sslmode=disable", "::1", "concord", "shop"},
		{"postgres://a,b/shop?user=concord&sslmode=disable", "a", "concord", "shop"},
		{"postgres://concord@a:1,b:2/shop?target_session_attrs=read-write", "a", "concord", "shop"},
		{"postgres://concord@/shop?host=/var/run/postgresql", "/var/run/postgresql", "concord", "shop"},
		{"postgres:///shop?host=/var/run/postgresql&user=concord", "/var/run/postgresql", "concord", "shop"},
		{"postgres://con%40cord:p%3Aw@h/my%2Fdb?sslmode=disable", "h", "con@cord", "my/db"},
	} {
		d, f := parseDSN(tt.dsn)
		if f != nil {
			t.Errorf("%s: %s", tt.dsn, f.message)
			continue
		}
		if d.User() != tt.user || d.Database() != tt.database {
			t.Errorf("%s: user %q, database %q", tt.dsn, d.User(), d.Database())
		}
		conn, err := Site{Name: "a", DSN: d}.ConnString()
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgconn.ParseConfig(conn)
		if err != nil {
			t.Errorf("%s: %v", conn, err)
			continue
		}
		if got.Host != tt.host || got.User != tt.user || got.Database != tt.database {
			t.Errorf("%s: the driver reads host %q, user %q, database %q", conn, got.Host, got.User, got.Database)
		}
	}
}

func TestWrongDSN(t *testing.T) {
	for _, tt := range []struct{ dsn, message string }{
		{"10.1.0.5/shop", "dsn is not a URL"},
		{"postgre://h/d", `dsn names no known database: its scheme is not postgres, mysql or mariadb; did you mean "postgres"?`},
		{"oracle://h/d", "dsn names no known database: its scheme is not postgres, mysql or mariadb"},
		{"mysql://h/d", "dsn names no user"},
		{"mysql://u@/d", "dsn names no host"},
		{"mysql://u@a,b/d", "dsn names several hosts"},
		{"mysql://u@h:99999/d", "the port in dsn is not a number from 1 to 65535"},
		{"mysql://u@h/a/b", "dsn cannot be read: there is an @ or a / after the host"},
		{"mysql://u@h/d?sslmode=require", `dsn has a parameter "sslmode", which is not known`},
		{"mysql://u@h/d?tls=verify_ca", `tls "verify_ca" in dsn is not known; did you mean "verify-ca"?`},
		{"mariadb://u@h/d?password=x", "dsn has a password among its parameters"},
		{"postgres:///d", "dsn names no host"},
		{"postgres://h", "dsn names no database"},
		{"postgres://h/", "dsn names no database"},
		{"postgres://h/a/b", "dsn cannot be read: there is an @ or a / after the host"},
		{"postgres://u:a/b@h/d", "dsn cannot be read: there is an @ or a / after the host"},
		{"postgres://u:1/b@h", "dsn cannot be read: there is an @ or a / after the host"},
		{"postgres://u:a?b@h/d", "dsn names no database"},
		{"postgres://u:%zz@h/d", "the password in dsn is not encoded as in a URL"},
		{"postgres://%zz@h/d", "the user in dsn is not encoded as in a URL"},
		{"postgres://h/%zz", "the database in dsn is not encoded as in a URL"},
		{"postgres://h:0/d", "the port in dsn is not a number from 1 to 65535"},
		{"postgres://h:65536/d", "the port in dsn is not a number from 1 to 65535"},
		{"postgres://h:/d", "the port in dsn is not a number from 1 to 65535"},
		{"postgres://::1/d", "the host in dsn is not a name or an address"},
		{"postgres://[::z]/d", "the host in dsn is not an address"},
		{"postgres://a,,b/d", "the host in dsn is not a name or an address"},
		{"postgres://h/my db", "dsn has a space or control character in it"},
		{"postgres://h/d?sslmode", "the parameters of dsn are not key=value&key=value"},
		{"postgres://h/d?sslmode=verify_full", `sslmode "verify_full" in dsn is none of PostgreSQL's; did you mean "verify-full"?`},
		{"postgres://u:a@h/d?password=b", "dsn has two passwords"},
		{"postgres://h/d?sslpassword=b", "dsn has the password of a key in it, which is not supported"},
	} {
		_, f := parseDSN(tt.dsn)
		if f == nil || f.message != tt.message || f.remedy == "" {
			t.Errorf("%s: got %+v, want %q", tt.dsn, f, tt.message)
		}
	}
}

func TestGoodDSNOfMySQL(t *testing.T) {
	for _, tt := range []struct{ dsn, engine, user, database, conn string }{
		{"mysql://concord@10.2.0.5/shop", "mysql", "concord", "shop", "mysql://concord@10.2.0.5/shop"},
		{"mariadb://concord@[::1]:3307/shop?tls=verify-ca&tls-ca=%2Fetc%2Fca.pem", "mariadb", "concord", "shop", "mariadb://concord@[::1]:3307/shop?tls=verify-ca&tls-ca=%2Fetc%2Fca.pem"},
		{"mysql://con%40cord:p%3Aw@h", "mysql", "con@cord", "", "mysql://con%40cord:p%3Aw@h/"},
		{"mysql://concord@/shop?socket=/run/mysqld/mysqld.sock", "mysql", "concord", "shop", "mysql://concord@/shop?socket=/run/mysqld/mysqld.sock"},
	} {
		d, f := parseDSN(tt.dsn)
		if f != nil {
			t.Errorf("%s: %s", tt.dsn, f.message)
			continue
		}
		conn, err := Site{Name: "a", DSN: d}.ConnString()
		if err != nil || d.Engine() != tt.engine || d.User() != tt.user || d.Database() != tt.database || conn != tt.conn {
			t.Errorf("%s: %s, user %q, database %q, connects to %s: %v", tt.dsn, d.Engine(), d.User(), d.Database(), conn, err)
		}
	}
}

func TestOneDatabaseIsRecognised(t *testing.T) {
	place := func(s string) string {
		d, f := parseDSN(s)
		if f != nil {
			t.Fatalf("%s: %s", s, f.message)
		}
		return d.place()
	}
	one := place("postgres://u@db/shop")
	for _, same := range []string{"postgresql://v:x@DB:5432/shop?sslmode=disable", "postgres://db/shop"} {
		if place(same) != one {
			t.Errorf("%s is another database", same)
		}
	}
	for _, other := range []string{"postgres://u@db:5433/shop", "postgres://u@db/Shop", "postgres://u@db2/shop"} {
		if place(other) == one {
			t.Errorf("%s is the same database", other)
		}
	}
	if place("mysql://u@h/a") != place("mariadb://v@H:3306/b") || place("mysql://u@h/a") == place("mysql://u@h:3307/a") {
		t.Error("a site of MySQL is a server")
	}
	if place("mysql://u@/a?socket=/s") != place("mysql://u@h/b?tls=disabled&socket=/s") {
		t.Error("a socket is one server")
	}
	if place("postgres://a,b:5432/d") != place("postgres://b,a/d") {
		t.Error("the order of the hosts matters")
	}
}
