package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A column that only one side has stops its table, with a message that names it;
// the other tables go on, and when the column exists the table catches up by itself.
func TestMissingColumnHoldsOneTable(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: loadSchema})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	p.a.exec("ALTER TABLE accounts ADD COLUMN note text")
	p.a.exec("UPDATE accounts SET note = 'noted', balance = 11 WHERE id = 1; UPDATE accounts SET note = 'too' WHERE id = 2; INSERT INTO notes VALUES (9, 'goes on', 1)")
	p.quiesce(60 * time.Second)
	if got := p.b.one("SELECT count(*) FROM notes WHERE id = 9"); got != "1" {
		t.Error("a table with nothing amiss has stopped too")
	}
	var status struct {
		Links []struct {
			Held []struct{ Table, Message string }
		}
	}
	body, _, err := p.b.get("/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Links) != 1 || len(status.Links[0].Held) != 1 || status.Links[0].Held[0].Table != "public.accounts" || !strings.Contains(status.Links[0].Held[0].Message, "note") {
		t.Errorf("the status does not name the table and the column: %s", body)
	}
	// Meanwhile this side writes a row that waits: its later write stands.
	p.b.exec("UPDATE accounts SET balance = 22 WHERE id = 2")
	p.b.kill() // what waits is remembered
	p.b.start()
	p.quiesce(60 * time.Second)
	p.b.exec("ALTER TABLE accounts ADD COLUMN note text")
	eventually(t, 60*time.Second, "the table has caught up", func() bool {
		return p.b.one("SELECT coalesce(note, '') || balance FROM accounts WHERE id = 1") == "noted11"
	})
	p.quiesce(60 * time.Second)
	p.requireEqual()
	if got := p.b.one("SELECT note || balance FROM accounts WHERE id = 2"); got != "too22" {
		t.Errorf("row 2 is %q, want the one side's column and the other side's later balance", got)
	}
}

// A second agent of a site ends at once and says why; the first goes on.
func TestSecondAgentOfASite(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	moved := filepath.Join(t.TempDir(), "moved.toml")
	file, err := os.ReadFile(p.a.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(moved, []byte(strings.ReplaceAll(string(file), p.a.bus, freeAddr(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{p.a.config: "another agent of this site", moved: "uses the data directory"} {
		out, code := p.run(&site{config: config}, "run", "--site", "mumbai", "--http", freeAddr(t))
		if code != 2 || !strings.Contains(out, want) {
			t.Errorf("a second agent: exit %d, does not say %q\n%s", code, want, out)
		}
	}
	p.a.exec("UPDATE accounts SET balance = 5 WHERE id = 5")
	p.quiesce(60 * time.Second)
	p.requireEqual()
}

// A change that the database refuses is parked with its reason; when the cause is
// mended a person applies it, and both sites end equal.
func TestParkedChangeIsAppliedByAPerson(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema})
	p.b.exec("ALTER TABLE accounts ADD CONSTRAINT solvent CHECK (balance >= 0)")
	p.a.start()
	p.b.start()
	p.a.exec("UPDATE accounts SET balance = -1 WHERE id = 1; UPDATE accounts SET balance = 44 WHERE id = 2")
	p.quiesce(60 * time.Second)
	out, code := p.run(p.b, "parked", "list", "--site", "pune")
	if code != 1 || !strings.Contains(out, "solvent") {
		t.Errorf("parked list: exit %d\n%s", code, out)
	}
	if got := p.b.one("SELECT balance FROM accounts WHERE id = 2"); got != "44" {
		t.Error("what came with the refused change has not been applied")
	}
	p.b.exec("ALTER TABLE accounts DROP CONSTRAINT solvent")
	p.mustRun(p.b, "parked", "apply", "1", "--site", "pune", "--yes")
	p.quiesce(60 * time.Second)
	p.requireEqual()
	if got := p.b.one("SELECT balance FROM accounts WHERE id = 1"); got != "-1" {
		t.Errorf("balance %s after the parked change was applied", got)
	}
	p.mustRun(p.b, "parked", "list", "--site", "pune")
}

// A refused insert makes no row: what follows on the link must not wait for one.
func TestARefusedInsertDoesNotHoldUpItsLink(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema})
	p.b.exec("ALTER TABLE accounts ADD CONSTRAINT solvent CHECK (balance >= 0)")
	p.a.start()
	p.b.start()
	p.a.exec("INSERT INTO accounts VALUES (1001, -1, 'new', 'mumbai')")
	p.a.exec("UPDATE accounts SET id = 1002, balance = -1 WHERE id = 3") // the same by a key that moves
	p.a.exec("UPDATE accounts SET balance = 44 WHERE id = 2")
	p.quiesce(60 * time.Second)
	out, code := p.run(p.b, "parked", "list", "--site", "pune")
	if code != 1 || strings.Count(out, "solvent") < 2 {
		t.Errorf("parked list: exit %d\n%s", code, out)
	}
	if got := p.b.one("SELECT balance FROM accounts WHERE id = 2"); got != "44" {
		t.Error("what came after the refused changes has not been applied")
	}
	if got := p.b.one("SELECT count(*) FROM accounts WHERE id IN (3, 1001, 1002)"); got != "1" {
		t.Errorf("%s rows where only the row that was not moved belongs", got)
	}
}

// Each wrong situation has one clear message with its remedy.
func TestWrongSituationsAreNamed(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema})
	for _, c := range []struct {
		name    string
		prepare string
		undo    string
		says    []string
	}{
		{"a table without a key", "CREATE TABLE keyless (v text)", "DROP TABLE keyless", []string{"public.keyless", "PRIMARY KEY"}},
		{"the slot is gone", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots", "", []string{"slot", "new-epoch"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.a.exec(c.prepare)
			out, code := p.run(p.a, "doctor", "--site", "mumbai")
			if code != 1 {
				t.Errorf("doctor: exit %d", code)
			}
			for _, s := range c.says {
				if !strings.Contains(out, s) {
					t.Errorf("doctor does not say %q:\n%s", s, out)
				}
			}
			p.a.exec(c.undo)
		})
	}
	if out, code := p.run(p.a, "run", "--site", "delhi"); code != 2 || !strings.Contains(out, "delhi") {
		t.Errorf("an unknown site: exit %d, %s", code, out)
	}
	if err := p.a.cluster.Stop(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if out, code := p.run(p.a, "init", "--site", "mumbai"); code != 2 || !strings.Contains(out, "connect") {
		t.Errorf("a database that is down: exit %d, %s", code, out)
	}
}
