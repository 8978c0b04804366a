package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A log without REPLICA IDENTITY FULL lacks the large values that an update left alone. An
// update that brings back a row which another site deleted, or that wins against a change
// of the large value, waits for its row: its origin publishes it again, and every site ends
// with it whole. No trigger fires for that, and nothing is left parked.
func TestARowThatTheLogLacksIsPublishedAgain(t *testing.T) {
	m := newMesh(t, 3, pairOptions{versions: []int{15, 18}, schema: `CREATE TABLE marker (id text PRIMARY KEY);
		CREATE TABLE docs (id int PRIMARY KEY, small text, big text, raw bytea, tags text[], note char(6000), twice int GENERATED ALWAYS AS (id * 2) STORED);
		ALTER TABLE docs ALTER big SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL, ALTER tags SET STORAGE EXTERNAL, ALTER note SET STORAGE EXTERNAL;
		CREATE TABLE fired (n int PRIMARY KEY);
		CREATE SEQUENCE fires;
		CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('fires'); RETURN NULL; END$$;
		CREATE TRIGGER fire AFTER UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION fire();`,
		rules: "[[table]]\nmatch = \"public.fired\"\nexclude = true\n\n[[table]]\nmatch = \"public.*\"\n"})
	mumbai, pune := m.sites[0], m.sites[1]
	mumbai.exec(`INSERT INTO docs SELECT i, 'first', repeat(md5(i::text), 10000), decode(repeat('00ff27', 50000), 'hex'), array_fill('x ''y"'::text, ARRAY[3000]), 'padded' FROM generate_series(1, 6) i`)
	for _, s := range m.sites {
		s.start()
	}
	m.quiesce(60 * time.Second)
	cut := func(f func()) {
		t.Helper()
		for _, s := range m.sites {
			s.proxy.Cut()
		}
		f()
		for _, s := range m.sites {
			s.proxy.Heal()
		}
		m.settleAwaited(60 * time.Second)
		m.quiesce(60 * time.Second)
		m.requireEqual()
	}
	one := func(s *site, query, want string) {
		t.Helper()
		if got := s.one(query); got != want {
			t.Errorf("%s: %s is %.100s, want %.100s", s.name, query, got, want)
		}
	}

	cut(func() { // the update is later than the delete
		pune.exec("DELETE FROM docs WHERE id IN (1, 2)")
		mumbai.exec("UPDATE docs SET small = 'kept' WHERE id = 1")
	})
	for _, s := range m.sites {
		one(s, "SELECT small || length(big) || length(raw) || cardinality(tags) || twice FROM docs WHERE id = 1", "kept32000015000030002")
		one(s, "SELECT count(*) FROM docs WHERE id = 2", "0")
	}
	cut(func() { // the later update left alone what the earlier one changed
		mumbai.exec("UPDATE docs SET big = repeat('m', 100000) WHERE id = 3")
		pune.exec("UPDATE docs SET small = 'later' WHERE id = 3")
	})
	for _, s := range m.sites {
		one(s, "SELECT small || (big = repeat(md5('3'), 10000)) FROM docs WHERE id = 3", "latertrue")
	}
	cut(func() { // and is deleted again before anyone has asked
		pune.exec("DELETE FROM docs WHERE id = 4")
		mumbai.exec("UPDATE docs SET small = 'kept' WHERE id = 4")
		mumbai.exec("DELETE FROM docs WHERE id = 4")
	})
	cut(func() { // three sites
		pune.exec("DELETE FROM docs WHERE id = 5")
		mumbai.exec("UPDATE docs SET small = 'kept' WHERE id = 5")
		m.sites[2].exec("UPDATE docs SET small = 'last' WHERE id = 6")
	})
	for _, s := range m.sites {
		one(s, "SELECT string_agg(id || small, ' ' ORDER BY id) FROM docs", "1kept 3later 5kept 6last")
	}
	healed := 0
	out, _ := m.run(mumbai, "status", "-o", "json")
	for part := range strings.SplitSeq(out, `"healed_rows": `) {
		n := 0
		fmt.Sscan(part, &n)
		healed += n
	}
	if healed < 4 { // two rows at two sites at least
		t.Errorf("%d parked changes were settled by their row:\n%s", healed, out)
	}
	// Applications fired what fired, at their own sites.
	one(mumbai, "SELECT last_value FROM fires", "4")
	one(pune, "SELECT last_value FROM fires", "1")
	mumbai.exec("TRUNCATE docs")
	m.quiesce(60 * time.Second)
	m.requireEqual()
}

// settleAwaited waits until no site has anything parked.
func (m *mesh) settleAwaited(timeout time.Duration) {
	m.t.Helper()
	var last []string
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		m.quiesce(timeout)
		last = nil
		for _, s := range m.sites {
			if rows := s.one("SELECT string_agg(origin || ':' || seq || ' ' || reason || ' ' || message, '; ') FROM concord.parked"); rows != "" {
				last = append(last, fmt.Sprintf("%s: %s", s.name, rows))
			}
		}
		if last == nil {
			return
		}
	}
	m.t.Fatalf("changes are still parked:\n%s", strings.Join(last, "\n"))
}
