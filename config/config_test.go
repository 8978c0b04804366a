package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
)

func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		cfg, err := Load(file)
		if err != nil {
			t.Errorf("%s:\n%v", file, err)
			continue
		}
		if cfg.Path != file || len(cfg.Warnings) > 1 {
			t.Errorf("%s: path %q, warnings %v", file, cfg.Path, cfg.Warnings)
		}
	}
}

func TestDefaultsAreWhatTheManualSays(t *testing.T) {
	cfg := parse(t, sites+rule("public.*"))
	want := Defaults{
		Conflict: Policy{Base: LastWriteWins}, OnError: Park,
		MaxClockDrift: time.Hour, FenceTimeout: time.Second, MaxLag: 10 * time.Second,
		StreamMaxBytes: 10_000_000_000, WindowMemory: 128 << 20, ConflictRetention: 30 * 24 * time.Hour, ConflictMax: 1_000_000,
	}
	if cfg.Defaults != want {
		t.Errorf("got %+v, want %+v", cfg.Defaults, want)
	}
	if got := cfg.Sites[1].Data; got != "data/pune" {
		t.Errorf("data of pune is %q", got)
	}
	if got := cfg.Sites[1].Bus; !got.Embedded() || got.Address() != "10.2.0.9:8422" || got.URL() != "nats://10.2.0.9:8422" {
		t.Errorf("bus of pune is %q", got)
	}
}

func TestEveryKeyArrives(t *testing.T) {
	cfg, err := Load("testdata/good/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	pune, ok := cfg.Site("pune")
	if !ok || pune.HTTP != "10.2.0.9:8480" || pune.Bus.Embedded() || pune.Bus.Address() != "" {
		t.Errorf("pune is %+v", pune)
	}
	if want := "tls://10.2.0.21:4222,tls://10.2.0.22:4222,tls://10.2.0.23:4222"; pune.Bus.URL() != want || pune.Bus.String() != want {
		t.Errorf("bus of pune is %q, shown as %q", pune.Bus.URL(), pune.Bus)
	}
	if b := pune.Bus; b.Credentials != "/etc/concord/nats.creds" || b.CA != "/etc/concord/nats-ca.pem" || b.Replicas != 3 || !b.SyncAlways {
		t.Errorf("bus of pune is %q %d %v", b.Credentials, b.Replicas, b.SyncAlways)
	}
	mumbai, _ := cfg.Site("mumbai")
	if mumbai.PasswordFile != "/run/credentials/concord/postgres" || mumbai.Data != "/var/lib/concord" {
		t.Errorf("mumbai is %+v", mumbai)
	}
	if mumbai.WindowMemory != 512<<20 || pune.WindowMemory != 128<<20 {
		t.Errorf("window_memory is %d and %d", mumbai.WindowMemory, pune.WindowMemory)
	}
	if d := mumbai.DSN; d.Engine() != "postgres" || d.Database() != "shop" || d.User() != "concord" || d.HasPassword() {
		t.Errorf("dsn of mumbai is %s", d)
	}
	if _, ok := cfg.Site("delhi"); ok {
		t.Error("there is a site that is not in the file")
	}
	if got := cfg.Peers("mumbai"); !reflect.DeepEqual(got, []change.Site{"pune"}) {
		t.Errorf("peers of mumbai are %v", got)
	}
	if got := cfg.Names(); !reflect.DeepEqual(got, []change.Site{"mumbai", "pune"}) {
		t.Errorf("sites are %v", got)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings: %v", cfg.Warnings)
	}
}

// One file is read from any directory: relative paths in it start where it is.
func TestRelativePathsStartAtTheFile(t *testing.T) {
	cfg, err := Parse("/etc/concord/concord.toml", []byte(text(`cluster = "shop"`, `[site.a]`,
		`dsn = "postgres://h/shop"`, `http = "h:1"`, `bus = "h:2"`, `password_file = "../secret/a"`,
		`[site.b]`, `dsn = "postgres://i/shop"`, `http = "i:1"`, `bus = "i:2"`, `data = "b"`)+rule("public.*")))
	if err != nil {
		t.Fatal(err)
	}
	a, b := cfg.Sites[0], cfg.Sites[1]
	if a.PasswordFile != "/etc/secret/a" || a.Data != "/etc/concord/data/a" || b.Data != "/etc/concord/b" {
		t.Errorf("got %q %q %q", a.PasswordFile, a.Data, b.Data)
	}
}

func TestLoadTellsTroubleFromProblems(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.toml"))
	var problems Errors
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &problems) {
		t.Errorf("a missing file gives %v", err)
	}
	_, err = Load(write(t, dir, "bad.toml", "cluster = 1\n", 0o644))
	if !errors.As(err, &problems) || problems[0].File != filepath.Join(dir, "bad.toml") {
		t.Errorf("a wrong file gives %v", err)
	}
	_, err = Load(write(t, dir, "big.toml", strings.Repeat("#\n", maxFileBytes), 0o644))
	if !errors.As(err, &problems) || !strings.Contains(err.Error(), "right file") {
		t.Errorf("a file of %d bytes gives %v", 2*maxFileBytes, err)
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"none", sites + rule("public.*"), ""},
		{"the same pattern twice", sites + rule("public.*") + rule("public.*"),
			`8:9: "public.*" never decides: "public.*" in the [[table]] on line 4 matches the same tables first`},
		{"an exclusion too late", sites + rule("*.*") + rule("public.audit_*", "exclude = true"),
			`8:9: "public.audit_*" never decides: "*.*" in the [[table]] on line 4`},
		{"one of several", sites + rule("public.a*") + text(`[[table]]`, `match = ["app.x", "public.ab", "app.x"]`),
			`8:19: "public.ab" never decides`},
		{"twice in one rule", sites + text(`[[table]]`, `match = ["app.x", "public.ab", "app.?"]`), ""},
		{"narrower first", sites + rule("public.a") + rule("public.*"), ""},
		{"other schema", sites + rule("public.*") + rule("app.x"), ""},
		{"a bus on loopback beside one that is not",
			strings.Replace(sites, "10.1.0.9:8422", "127.0.0.1:8422", 1) + rule("public.*"),
			`2:89: site pune cannot connect to this bus`},
		{"all on one machine", strings.NewReplacer("10.1.0.9:8422", "127.0.0.1:1", "10.2.0.9:8422", "localhost:2").Replace(sites) + rule("public.*"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parse(t, tt.file)
			var got []string
			for _, w := range cfg.Warnings {
				got = append(got, w.String())
				if w.Remedy == "" || w.Excerpt == "" {
					t.Errorf("no remedy or excerpt: %+v", w)
				}
			}
			if all := strings.Join(got, "\n"); !strings.Contains(all, tt.want) || tt.want == "" && all != "" {
				t.Errorf("got %s, want %s", all, tt.want)
			}
		})
	}
}

func TestReadablePasswordsAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "open", "secret\n", 0o640)
	write(t, dir, "closed", "secret\n", 0o400)
	with := func(key string) string {
		return text(`cluster = "shop"`, `[site.a]`, `http = "h:1"`, `bus = "h:2"`, key) + rule("public.*")
	}
	const plain = `dsn = "postgres://u@h/d"`
	for _, tt := range []struct {
		name, file, want string
		mode             os.FileMode
	}{
		{"file for the agent only", with(plain + "\npassword_file = \"closed\""), "", 0o644},
		{"file that others read", with(plain + "\npassword_file = \"open\""), "6:1: password_file can be read by other users (mode 0640)", 0o644},
		{"file of another site", with(plain + "\npassword_file = \"elsewhere\""), "", 0o644},
		{"in the dsn, others read", with(`dsn = "postgres://u:secret@h/d"`), "5:1: the dsn has a password in it and this file can be read", 0o644},
		{"in the dsn, for the agent only", with(`dsn = "postgres://u:secret@h/d"`), "", 0o600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Load(write(t, dir, "concord.toml", tt.file, tt.mode))
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if len(cfg.Warnings) > 0 {
					t.Errorf("warnings: %v", cfg.Warnings)
				}
				return
			}
			if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0].String(), tt.want) {
				t.Fatalf("got %v, want %s", cfg.Warnings, tt.want)
			}
			if w := cfg.Warnings[0]; !strings.Contains(w.Remedy, "chmod 600 ") || strings.Contains(w.String(), "secret") {
				t.Errorf("got %s", w)
			}
		})
	}
}
