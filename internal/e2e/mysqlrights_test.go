package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// The agents connect as an account that has what concord init --grants prints and nothing
// more: conflicts in both directions, a truncate, a large transaction, a parked change
// that a person applies as the same account, and doctor has no complaint.
func TestLeastPrivilegeOnMySQL(t *testing.T) {
	// The two products have no way in common to compare texts without case.
	keys := strings.NewReplacer("varchar(60) PRIMARY", "varchar(60) COLLATE utf8mb4_bin PRIMARY", "varchar(40) PRIMARY", "varchar(40) COLLATE utf8mb4_bin PRIMARY")
	p := newPair(t, pairOptions{
		products: engines{testcluster.MariaDB, testcluster.MySQL}, mysql: keys.Replace(mysqlSchema), rules: mysqlRules,
	})
	for _, s := range p.sites {
		p.grantMySQL(s, "concord_agent")
	}
	p.b.exec("ALTER TABLE ledger ADD CONSTRAINT solvent CHECK (amount > -1000000)")
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	for _, s := range p.sites {
		if out, code := p.run(s, "doctor", "--site", s.name); code != 0 {
			t.Errorf("doctor at %s: exit %d\n%s", s.name, code, out)
		}
		if n := s.one("SELECT count(*) FROM information_schema.processlist WHERE user = 'concord_agent'"); n == "0" {
			t.Errorf("%s: the agent does not connect as its account", s.name)
		}
	}
	seed := uint64(time.Now().UnixNano())
	la, lb := startMySQLLoad(t, p.a, 2, seed), startMySQLLoad(t, p.b, 2, seed+1)
	<-time.After(time.Duration(scale()) * time.Second)
	p.a.exec("TRUNCATE accounts")
	p.b.exec("INSERT INTO ledger WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 200) SELECT concat('large-', a.n, '-', b.n), 1 FROM n a, n b")
	commits := la.end() + lb.end()
	p.quiesce(60 * time.Second)
	p.requireEqual()
	if commits == 0 || p.a.one("SELECT count(*) > 0 FROM concord.conflict") != "1" {
		t.Error("two sites wrote the same rows at once, and no conflict was recorded")
	}

	p.a.exec("INSERT INTO ledger VALUES ('debt', -2000000)")
	p.quiesce(30 * time.Second)
	if out, code := p.run(p.b, "parked", "list", "--site", "pune"); code != 1 || !strings.Contains(out, "solvent") {
		t.Fatalf("parked list: exit %d\n%s", code, out)
	}
	p.b.exec("ALTER TABLE ledger DROP CONSTRAINT solvent")
	p.mustRun(p.b, "parked", "apply", "1", "--site", "pune", "--yes")
	p.quiesce(30 * time.Second)
	p.requireEqual()
}

// grantMySQL makes the account that the agents of s connect as, by the statements that
// concord init --grants prints, gives it a password, and lets the configuration name it.
func (p *mesh) grantMySQL(s *site, user string) {
	p.t.Helper()
	s.exec(p.mustRun(s, "init", "--grants", "--role", user, "--site", s.name))
	s.exec("ALTER USER '" + user + "'@'%' IDENTIFIED BY 'Agent-1-pw' ACCOUNT UNLOCK")
	file, err := os.ReadFile(s.config)
	if err != nil {
		p.t.Fatal(err)
	}
	named := strings.ReplaceAll(string(file), s.dsn, strings.Replace(s.dsn, "root@", user+":Agent-1-pw@", 1))
	if err := os.WriteFile(s.config, []byte(named), 0o600); err != nil {
		p.t.Fatal(err)
	}
}
