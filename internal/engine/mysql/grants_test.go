package mysql

import (
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/engine/site"
)

// The agents' user can do all it needs with what init gives it, and no more: each right
// that is taken away is missed, and doctor names it.
func TestTheAgentsNeedWhatTheyAreGranted(t *testing.T) {
	onEach(t, func(a *admins) {
		a.app.run("DROP USER IF EXISTS agent@'%'", "DROP DATABASE IF EXISTS `shop_b`", "CREATE DATABASE `shop_b`",
			"CREATE TABLE shop.item (id int PRIMARY KEY)", "CREATE TABLE shop_b.item (id int PRIMARY KEY)")
		defer a.app.run("DROP USER IF EXISTS agent@'%'", "DROP DATABASE shop_b")
		admin := a.db(Options{})
		sql, err := admin.Grants(a.ctx, "agent")
		if err != nil {
			a.t.Fatal(err)
		}
		report, err := admin.Init(a.ctx, InitOptions{Role: "agent"})
		if err != nil || !slices.ContainsFunc(report, func(s string) bool { return strings.Contains(s, "locked") }) {
			a.t.Fatalf("init: %q, %v", report, err)
		}
		a.app.run("ALTER USER agent@'%' IDENTIFIED BY 'Agent-1-pw'", "ALTER USER agent@'%' ACCOUNT UNLOCK")
		if report, err := admin.Init(a.ctx, InitOptions{Role: "agent"}); err != nil || len(report) != 1 {
			a.t.Errorf("init again: %q, %v", report, err)
		}
		agent := a.db(Options{})
		agent.dsn = a.as("agent", "Agent-1-pw")
		rights := func() *Check {
			t.Helper()
			checks := agent.Doctor(a.ctx)
			i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == "rights" })
			if i < 0 {
				a.t.Fatalf("doctor says nothing of rights: %+v", checks)
			}
			return &checks[i]
		}
		if c := rights(); c.Status != site.OK {
			a.t.Errorf("with all rights: %+v", *c)
		}
		tables, err := agent.Schema(a.ctx)
		if err != nil || len(tables) != 2 {
			a.t.Errorf("the agent sees %d tables, %v", len(tables), err)
		}
		for _, grant := range sql {
			right, isGrant := strings.CutPrefix(grant, "GRANT ")
			if !isGrant || strings.Contains(right, "session_connect_attrs") {
				continue // everyone may read the attributes of his own user
			}
			rightsOf, on, _ := strings.Cut(right, " ON ")
			for one := range strings.SplitSeq(rightsOf, ", ") {
				if strings.Contains(on, "shop") && one != "TRIGGER" && one != "UPDATE" {
					continue // tables that it may not read it does not see; the others are alike
				}
				a.app.run("REVOKE " + one + " ON " + strings.Replace(on, " TO ", " FROM ", 1))
				if c := rights(); c.Status == site.OK || !strings.Contains(c.Remedy, "GRANT "+one+" ON "+on) {
					a.t.Errorf("without %s on %s: %+v", one, on, *c)
				}
				a.app.run("GRANT " + one + " ON " + on)
			}
		}
		if c := rights(); c.Status != site.OK {
			a.t.Errorf("with all rights again: %+v", *c)
		}
	})
}

// _ in the name of a database is no wildcard, whether the server knows wildcards or not.
func TestRightsAreOfTheDatabaseThatIsMeant(t *testing.T) {
	onEach(t, func(a *admins) {
		modes := []string{"DO 0"}
		if strings.HasPrefix(a.dsn, string(mySQL)) {
			modes = []string{"SET GLOBAL partial_revokes = ON", "SET GLOBAL partial_revokes = OFF"}
		}
		for _, mode := range modes {
			a.app.run(mode, "DROP USER IF EXISTS agent@'%'", "DROP DATABASE IF EXISTS shop_b", "DROP DATABASE IF EXISTS shopxb", "CREATE DATABASE shop_b", "CREATE DATABASE shopxb",
				"CREATE TABLE shop_b.item (id int PRIMARY KEY)", "CREATE TABLE shopxb.item (id int PRIMARY KEY)")
			db := a.db(Options{Tables: func(n string) bool { return n == "shop_b.item" }})
			if _, err := db.Init(a.ctx, InitOptions{Role: "agent@%"}); err != nil {
				a.t.Fatal(err)
			}
			a.app.run("ALTER USER agent@'%' IDENTIFIED BY 'Agent-1-pw' ACCOUNT UNLOCK")
			agent := a.session(a.as("agent", "Agent-1-pw"))
			agent.run("INSERT INTO shop_b.item VALUES (1)")
			if _, err := agent.c.exec(a.ctx, "INSERT INTO shopxb.item VALUES (1)"); errorNumber(err) != 1142 {
				a.t.Errorf("%s: writing another database: %v", mode, err)
			}
			a.app.run("DROP USER agent@'%'", "DROP DATABASE shop_b", "DROP DATABASE shopxb")
		}
	})
}
