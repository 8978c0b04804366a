package postgres

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestInitMayBeRunAgainAndFollowsTheConfiguration(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{Tables: func(n string) bool { return !strings.HasSuffix(n, ".aside") }},
			`CREATE TABLE item (id int PRIMARY KEY)`, `CREATE TABLE aside (x int)`, `CREATE SCHEMA "Odd ""name"`,
			`CREATE TABLE "Odd ""name"."T.1" (id int PRIMARY KEY)`)
		again := func() []string {
			t.Helper()
			report, err := f.Init(f.ctx, InitOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return report
		}
		if report := again(); len(report) != 0 {
			t.Errorf("the second run reports %q, want nothing to do", report)
		}
		slot := f.app.text(`SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1`, f.slot())

		f.app.run(`CREATE TABLE later (id int PRIMARY KEY)`)
		f.refused("", change.ErrRefused, "public.later", "concord init")
		if report := again(); len(report) != 1 || !strings.Contains(report[0], "public.later") {
			t.Errorf("reports %q, want the new table", report)
		}
		f.app.run(`ALTER PUBLICATION concord SET (publish = 'insert')`, `ALTER PUBLICATION concord ADD TABLE aside`)
		f.refused("", change.ErrRefused, "public.aside", "every kind of change")
		again()
		f.app.run(`DROP PUBLICATION concord`, `CREATE PUBLICATION concord FOR ALL TABLES`)
		f.refused("", change.ErrRefused, "FOR ALL TABLES")
		again()
		f.open("").close()
		if got := f.app.text(`SELECT start_position FROM concord.site`); got != slot {
			t.Errorf("start position %s, want the slot's own %s", got, slot)
		}
	})
}

func TestInitRefusesWhatCannotBeReplicated(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		app := application(t, c.DSN(""))
		app.run(`CREATE TABLE keyless (x int)`, `CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)`,
			`CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE)`,
			`CREATE TABLE nothing (id int PRIMARY KEY)`, `ALTER TABLE nothing REPLICA IDENTITY NOTHING`,
			`CREATE TABLE floating (x float8 PRIMARY KEY)`,
			`CREATE FOREIGN DATA WRAPPER w`, `CREATE SERVER s FOREIGN DATA WRAPPER w`, `CREATE FOREIGN TABLE far (id int) SERVER s`,
			`CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id)`, `CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
			`ALTER TABLE part REPLICA IDENTITY FULL`,
			`CREATE TABLE nullable (x int UNIQUE)`, `ALTER TABLE nullable REPLICA IDENTITY FULL`,
			`CREATE TABLE good (id int PRIMARY KEY)`, `CREATE TEMPORARY TABLE passing (x int)`)
		db := New(c.DSN(""), Options{Site: "mumbai", Cluster: c.Database()})
		_, err := db.Init(app.ctx, InitOptions{})
		if !errors.Is(err, change.ErrRefused) {
			t.Fatalf("init: %v, want a refusal", err)
		}
		for _, n := range []string{"keyless", "unlogged", "deferred", "nothing", "floating", "far", "parts", "nullable"} {
			if !strings.Contains(err.Error(), "public."+n+" ") {
				t.Errorf("%s is not named in\n%v", n, err)
			}
		}
		for _, n := range []string{"public.good", "passing"} {
			if strings.Contains(err.Error(), n) {
				t.Errorf("%s is named in\n%v", n, err)
			}
		}
		if got := app.text(`SELECT count(*)::text FROM pg_replication_slots WHERE database = current_database()`); got != "0" {
			t.Errorf("a refused init left %s slots", got)
		}
	})
}

func TestADatabaseIsOneSiteOfOneCluster(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{})
		other := New(f.dsn, Options{Site: "pune", Cluster: f.opts.Cluster})
		if _, err := other.Init(f.ctx, InitOptions{}); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "mumbai") {
			t.Errorf("init as another site: %v, want a refusal that names the site", err)
		}
		if _, err := other.Open(f.ctx, ""); !errors.Is(err, change.ErrRefused) {
			t.Errorf("opening as another site: %v", err)
		}
	})
}

func TestAnUnpreparedDatabaseSaysWhatToDo(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		db := New(c.DSN(""), Options{Site: "mumbai", Cluster: "x"})
		ctx := testContext(t)
		if _, err := db.Open(ctx, ""); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "concord init --site mumbai") {
			t.Errorf("opening: %v", err)
		}
		if _, err := db.Epoch(ctx); !errors.Is(err, change.ErrRefused) {
			t.Errorf("epoch: %v", err)
		}
		if id, err := db.Identity(ctx); err != nil || id.Site != "" || id.Log != "missing" || !strings.HasPrefix(id.Version, "1") {
			t.Errorf("identity %+v (%v)", id, err)
		}
	})
}

// The role has exactly what Grants prints: nothing else makes the agents work.
func TestTheGrantsAreEnoughAndNothingMore(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		role := "agent_" + c.Database()
		f := prepared(t, c, Options{}, `CREATE SCHEMA shop`, `CREATE TABLE shop.item (id int PRIMARY KEY, note text)`, `REVOKE ALL ON SCHEMA public FROM public`)
		grants, err := f.Grants(f.ctx, role)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.app.run(`DROP OWNED BY `+quote(role), `DROP ROLE `+quote(role)) })
		f.app.run(grants...)
		if got := f.app.text(`SELECT (rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls)::text FROM pg_roles WHERE rolname = $1`, role); got != "false" {
			t.Error("the role has more than it needs")
		}
		agent := New(c.DSNFor(role, ""), f.opts)
		limited := &fixture{DB: agent, t: t, ctx: f.ctx, app: f.app}
		t.Cleanup(func() { agent.Close(f.ctx) })

		l := limited.open("")
		f.app.run(`INSERT INTO shop.item VALUES (1, 'x')`)
		expect(t, all(l.until()), "insert shop.item - -> 1|x")
		if err := agent.Beat(f.ctx, "mumbai", time.Now()); err != nil {
			t.Error(err)
		}
		l.close()
		for _, c := range agent.Doctor(f.ctx) {
			if c.Status == site.Critical {
				t.Errorf("doctor, connected as the role, finds %+v", c)
			}
		}
		if _, err := agent.RetainedBytes(f.ctx); err != nil {
			t.Error(err)
		}
		if report, err := f.Init(f.ctx, InitOptions{Role: role}); err != nil || len(report) != 1 {
			t.Errorf("init with the role: %q %v", report, err)
		}

		// Each statement is needed: without it doctor names exactly that right.
		for _, r := range []struct{ revoke, remedy string }{
			{`REVOKE TRUNCATE ON shop.item FROM ` + quote(role), `GRANT TRUNCATE ON TABLE "shop"."item" TO ` + quote(role)},
			{`REVOKE USAGE ON SCHEMA shop FROM ` + quote(role), `GRANT USAGE ON SCHEMA "shop" TO ` + quote(role)},
			{`REVOKE DELETE ON concord.parked FROM ` + quote(role), `GRANT DELETE ON TABLE "concord"."parked" TO ` + quote(role)},
			{`REVOKE UPDATE (timeline) ON concord.site FROM ` + quote(role), `GRANT UPDATE (timeline) ON TABLE "concord"."site" TO ` + quote(role)},
			{`REVOKE SET ON PARAMETER session_replication_role FROM ` + quote(role), `GRANT SET ON PARAMETER session_replication_role TO ` + quote(role)},
			{`ALTER ROLE ` + quote(role) + ` NOREPLICATION`, `ALTER ROLE ` + quote(role) + ` REPLICATION`},
		} {
			f.app.run(r.revoke)
			if !slices.ContainsFunc(agent.Doctor(f.ctx), func(c Check) bool { return c.Status == site.Critical && c.Remedy == r.remedy }) {
				t.Errorf("after %s doctor does not say %s", r.revoke, r.remedy)
			}
			f.app.run(r.remedy)
		}
		if c.Version() > 15 {
			f.app.run(`REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM ` + quote(role))
			limited.refused("", change.ErrRefused, "pg_replication_origin_session_setup")
		}
		f.app.run(`ALTER ROLE ` + quote(role) + ` NOREPLICATION`)
		if _, err := agent.Open(f.ctx, ""); !errors.Is(err, change.ErrRefused) {
			t.Errorf("opening without REPLICATION: %v, want a refusal", err)
		}
	})
}

func TestNamesOfObjectsAreValidAndApart(t *testing.T) {
	for _, tc := range []struct{ cluster, site, want string }{
		{"shop", "mumbai", "concord_shop_mumbai"},
		{"Shop", "mumbai", "concord_shop_mumbai_"},
		{"shop-1", "mumbai", "concord_shop_1_mumbai_"},
		{strings.Repeat("x", 80), "mumbai", "concord_" + strings.Repeat("x", 40)},
	} {
		got := slotName(tc.cluster, change.Site(tc.site))
		if !strings.HasPrefix(got, tc.want) || len(got) > maxIdentifier {
			t.Errorf("slot of %s, %s is %s (%d)", tc.cluster, tc.site, got, len(got))
		}
	}
	if slotName("a-b", "c") == slotName("a_b", "c") {
		t.Error("two clusters have one slot")
	}
}
