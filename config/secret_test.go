package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"
)

// withSecrets has a password in a dsn, in a parameter of a dsn, in the URL of a
// bus, and a token in another.
const withSecrets = `cluster = "shop"
[site.a]
dsn = "postgres://u:tops3cret@h/d?sslmode=require&pasword=tops3cret"
http = "h:1"
bus = "nats://n:tops3cret@h:4222,nats://tops3cret@i:4222/"
[site.b]
dsn = "postgres://h/e?password=tops3cret&application_name=x"
http = "h:2"
bus = "h:3"
[[table]]
match = "public.*"
`

func TestNothingShowsASecret(t *testing.T) {
	cfg := parse(t, withSecrets)
	site := cfg.Sites[0]
	for _, value := range []any{cfg, *cfg, cfg.Sites, site, &site, site.DSN, &site.DSN, site.Bus, &site.Bus, []any{site.DSN},
		map[string]DSN{"x": site.DSN}, struct{ unexported Site }{site}, struct{ unexported *Config }{cfg}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
			if got := fmt.Sprintf(strings.Replace(verb, "%T ", "", 1), value); shows(got) {
				t.Errorf("%s of %T shows it: %s", verb, value, got)
			}
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		if shows(log.String()) {
			t.Errorf("a log of %T shows it: %s", value, log.String())
		}
		data, err := json.Marshal(value)
		if err != nil || shows(string(data)) {
			t.Errorf("JSON of %T shows it or fails: %s, %v", value, data, err)
		}
		if err := fmt.Errorf("connecting to %v: %w", value, fs.ErrClosed); shows(err.Error()) {
			t.Errorf("an error with %T shows it: %s", value, err)
		}
	}
	if got, want := site.DSN.String(), "postgres://u:xxxxx@h/d?sslmode=require&pasword=xxxxx"; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
	if got, want := cfg.Sites[1].DSN.String(), "postgres://h/e?application_name=x&password=xxxxx"; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
	if got, want := site.Bus.String(), "nats://n:xxxxx@h:4222,nats://xxxxx:xxxxx@i:4222/"; got != want {
		t.Errorf("shown as %s, want %s", got, want)
	}
	if got := site.Bus.URL(); strings.Count(got, "tops3cret") != 2 {
		t.Errorf("the bus is connected to as %s", got)
	}
}

// shows reports whether a text has the secret, or most of it, in it: as it is, in
// hexadecimal, or as numbers.
func shows(s string) bool {
	for _, form := range []string{"tops3cret", "746f707333", "746F707333", "116 111 112"} {
		if strings.Contains(s, form) {
			return true
		}
	}
	return false
}

func TestPasswordComesFromTheFirstThatHasOne(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "ok", "from file\n", 0o600)
	write(t, dir, "windows", "from file\r\n", 0o600)
	write(t, dir, "spaces", " x ", 0o600)
	write(t, dir, "empty", "\n", 0o600)
	write(t, dir, "lines", "a\nb\n", 0o600)
	site := func(keys ...string) Site {
		data := text("cluster = \"shop\"", "[site.mum_1]", `http = "h:1"`, `bus = "h:2"`) + text(keys...) + rule("public.*")
		cfg, err := Parse(dir+"/concord.toml", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Sites[0]
	}
	const plain = `dsn = "postgres://u@h/d"`
	t.Setenv("CONCORD_PASSWORD_MUM_1", "from environment")
	for _, tt := range []struct {
		name         string
		site         Site
		want, source string
		err          string
	}{
		{"dsn", site(`dsn = "postgres://u:from%20dsn@h/d"`), "from dsn", "dsn", ""},
		{"file", site(plain, `password_file = "ok"`), "from file", "file " + dir + "/ok", ""},
		{"file with CRLF", site(plain, `password_file = "windows"`), "from file", "file " + dir + "/windows", ""},
		{"spaces count", site(plain, `password_file = "spaces"`), " x ", "file " + dir + "/spaces", ""},
		{"environment", site(plain), "from environment", "environment CONCORD_PASSWORD_MUM_1", ""},
		{"missing file", site(plain, `password_file = "none"`), "", "file " + dir + "/none", "or change password_file"},
		{"empty file", site(plain, `password_file = "empty"`), "", "file " + dir + "/empty", "is empty"},
		{"two lines", site(plain, `password_file = "lines"`), "", "file " + dir + "/lines", "more than one line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.site.Password()
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
			if got := tt.site.PasswordSource(); got != tt.source {
				t.Errorf("source is %q, want %q", got, tt.source)
			}
			if _, err := tt.site.ConnString(); (err == nil) != (tt.err == "") {
				t.Errorf("connection string: %v", err)
			}
		})
	}
}

func TestNoPasswordIsLeftToTheDriver(t *testing.T) {
	cfg := parse(t, sites+rule("public.*"))
	got, err := cfg.Sites[0].ConnString()
	if want := "postgres://concord@10.1.0.5/shop"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if got := cfg.Sites[0].PasswordSource(); got != ".pgpass or PGPASSWORD" {
		t.Errorf("source is %q", got)
	}
}

// The driver reads from the connection string what the file and the password say,
// whatever characters they have.
func TestTheDriverReadsTheConnectionString(t *testing.T) {
	anything := rapid.StringOfN(rapid.RuneFrom([]rune(`az09 :/?#[]@!$&'()*+,;=%"\-._~^|{}<>é漢`)), 1, 12, -1)
	rapid.Check(t, func(rt *rapid.T) {
		user, password := anything.Draw(rt, "user"), anything.Draw(rt, "password")
		database := anything.Draw(rt, "database")
		written := DSN{scheme: "postgres", user: user, hosts: "10.1.0.5:5433", database: database}
		const params = "sslmode=disable&application_name=x%20y"
		inFile := rapid.Bool().Draw(rt, "password in the dsn")
		dsn := written.with("", params)
		if inFile {
			dsn = written.with(password, params)
		} else {
			t.Setenv("CONCORD_PASSWORD_A", password)
		}
		d, f := parseDSN(dsn)
		if f != nil {
			rt.Fatalf("%q: %s", dsn, f.message)
		}
		if s := fmt.Sprintf("%v %+v %#v", d, d, d); inFile && len(password) > 5 && strings.Contains(s, password) && !strings.Contains(written.with("", params), password) {
			rt.Fatalf("%q is shown: %s", password, s)
		}
		conn, err := Site{Name: "a", DSN: d}.ConnString()
		if err != nil {
			rt.Fatal(err)
		}
		got, err := pgconn.ParseConfig(conn)
		if err != nil {
			rt.Fatalf("%q: %v", conn, err)
		}
		if got.User != user || got.Password != password || got.Database != database || got.Host != "10.1.0.5" || got.Port != 5433 {
			rt.Fatalf("%q is read as user %q, password %q, database %q at %s:%d", conn, got.User, got.Password, got.Database, got.Host, got.Port)
		}
	})
}
