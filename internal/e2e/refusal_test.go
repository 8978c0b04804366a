package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// What keeps a site from running is said once, with what to do, by every command that
// meets it: init, doctor, and the agent itself, which goes on trying and shows it. The
// agent of a site that was never prepared says that.
func TestRefusalsNameTheirRemedy(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema})
	replica := testcluster.Own(t, testcluster.Options{Version: 15, Settings: map[string]string{"wal_level": "replica"}})
	if err := replica.CreateDatabase(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	p.a.exec("CREATE ROLE poor LOGIN; CREATE TABLE keyless (v text)")
	for _, c := range []struct {
		name   string
		dsn    string
		says   string
		remedy string
	}{
		{"wal_level is replica", replica.DSN("shop"), "wal_level is replica", "ALTER SYSTEM SET wal_level = logical"},
		{"a role without rights", p.a.cluster.DSNFor("poor", "shop"), "permission denied", "init --grants"},
		{"a table without a key", p.a.dsn, "public.keyless has no usable key", "ADD PRIMARY KEY"},
		{"a database that does not exist", strings.Replace(p.a.dsn, "/shop", "/nowhere", 1), `database "nowhere" does not exist`, "dsn"},
		{"a role that does not exist", p.a.cluster.DSNFor("nobody", "shop"), `role "nobody" does not exist`, "check the role"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, err := os.ReadFile(p.a.config)
			if err != nil {
				t.Fatal(err)
			}
			s := &site{t: t, name: "mumbai", config: filepath.Join(t.TempDir(), "concord.toml")}
			if err := os.WriteFile(s.config, []byte(strings.Replace(string(file), p.a.dsn, c.dsn, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, code := p.run(s, "init", "--site", "mumbai")
			// A role that is poor may still find that nothing is left to be done.
			if c.says != "permission denied" {
				if code != 2 || strings.Count(out, "\n") != 1 || !strings.Contains(out, c.says) || !strings.Contains(out, c.remedy) {
					t.Errorf("init: exit %d, want one message with %q and %q\n%s", code, c.says, c.remedy, out)
				}
			}
			out, code = p.run(s, "doctor", "--site", "mumbai")
			if code != 1 || !strings.Contains(out, c.says) || !strings.Contains(out, c.remedy) {
				t.Errorf("doctor: exit %d, want %q and %q\n%s", code, c.says, c.remedy, out)
			}
			agent := s.agent("agent that is refused")
			agent.start()
			defer agent.kill()
			eventually(t, 30*time.Second, "a reason in the status", func() bool {
				text, _, err := agent.get("/v1/status")
				says := strings.Contains(text, strings.ReplaceAll(c.says, `"`, `\"`)) && strings.Contains(text, c.remedy)
				unprepared := c.dsn == replica.DSN("shop") && strings.Contains(text, "not prepared; run concord init --site mumbai")
				return err == nil && (says || unprepared)
			})
			if _, code, err := agent.get("/readyz"); err != nil || code != 503 {
				t.Errorf("readyz of an agent that is refused: %d, %v", code, err)
			}
		})
	}
}
