package e2e

import (
	"strings"
	"testing"
	"time"
)

// The agents connect as a role that has what concord init --grants prints and nothing
// more: conflicts in both directions, a truncate, a large transaction, a parked change
// that a person applies as the same role, and doctor has no complaint.
func TestLeastPrivilege(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{18, 15}, schema: loadSchema, role: "concord agent"})
	for _, s := range []*site{p.a, p.b} {
		if got := s.one("SELECT rolsuper::text || rolcreaterole || rolcreatedb || rolbypassrls FROM pg_roles WHERE rolname = 'concord agent'"); got != "falsefalsefalsefalse" {
			t.Fatalf("%s: the role is more than it should be: %s", s.name, got)
		}
		if got := s.one("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = 'concord agent'"); got != "0" {
			t.Fatalf("%s: the role is a member of %s others", s.name, got)
		}
	}
	p.b.exec("ALTER TABLE accounts ADD CONSTRAINT solvent CHECK (balance > -1000000)")
	p.a.exec("INSERT INTO accounts VALUES (1001, 0, 'o', 'mumbai')")
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	for _, s := range []*site{p.a, p.b} {
		if out, code := p.run(s, "doctor", "--site", s.name); code != 0 {
			t.Errorf("doctor at %s: exit %d\n%s", s.name, code, out)
		}
		if n := s.one("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'concord/%' AND usename <> 'concord agent'"); n != "0" {
			t.Errorf("%s: %s sessions of the agent are of another role", s.name, n)
		}
	}
	seed := uint64(time.Now().UnixNano())
	la := startLoad(t, p.a, 2, seed, 2*time.Millisecond)
	lb := startLoad(t, p.b, 2, seed+1, 2*time.Millisecond)
	<-time.After(time.Duration(scale()) * time.Second)
	p.a.exec("TRUNCATE notes")
	p.b.exec("TRUNCATE accounts; INSERT INTO accounts VALUES (1001, 0, 'o', 'pune')")
	p.b.exec("INSERT INTO ledger SELECT 'large', 0, i, repeat('x', 100) FROM generate_series(1, 30000) i")
	ca, cb := la.end(), lb.end()
	p.quiesce(60 * time.Second)
	p.requireEqual()
	p.requireLedger(ca, cb, 30000)
	if p.a.one("SELECT count(*) > 0 FROM concord.conflict") != "t" {
		t.Error("two sites wrote the same rows at once, and no conflict was recorded")
	}

	p.a.exec("UPDATE accounts SET balance = -2000000 WHERE id = 1001")
	p.quiesce(30 * time.Second)
	if out, code := p.run(p.b, "parked", "list", "--site", "pune"); code != 1 || !strings.Contains(out, "solvent") {
		t.Fatalf("parked list: exit %d\n%s", code, out)
	}
	p.b.exec("ALTER TABLE accounts DROP CONSTRAINT solvent")
	p.mustRun(p.b, "parked", "apply", "1", "--site", "pune", "--yes")
	p.quiesce(30 * time.Second)
	p.requireEqual()
}
