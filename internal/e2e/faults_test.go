package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// scale reads how much longer than in CI a scenario runs: CONCORD_E2E_SCALE.
func scale() int {
	n, err := strconv.Atoi(os.Getenv("CONCORD_E2E_SCALE"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// Rows written at either site reach the other, in both directions, and nothing
// comes back.
func TestBothDirections(t *testing.T) {
	p := newPair(t, pairOptions{versions: [2]int{15, 18}, schema: loadSchema})
	p.a.start()
	p.b.start()
	p.a.exec("UPDATE accounts SET balance = 7 WHERE id = 1; INSERT INTO notes VALUES (1, 'from mumbai', 1.5)")
	p.b.exec("UPDATE accounts SET balance = 9 WHERE id = 2; DELETE FROM accounts WHERE id = 3")
	p.quiesce(60 * time.Second)
	p.requireEqual()
	if got := p.b.one("SELECT balance FROM accounts WHERE id = 1"); got != "7" {
		t.Errorf("pune has balance %s, want 7", got)
	}
	p.a.stop()
	p.b.stop()
}

// kill -9 of either agent at random moments under conflicting load: equal, nothing
// twice, nothing missing.
func TestKillAgents(t *testing.T) {
	for _, versions := range [][2]int{{15, 15}, {18, 18}} {
		t.Run("postgres "+strconv.Itoa(versions[0]), func(t *testing.T) {
			p := newPair(t, pairOptions{versions: versions, schema: loadSchema + onceSchema})
			p.a.start()
			p.b.start()
			seed := uint64(time.Now().UnixNano())
			la := startLoad(t, p.a, 3, seed, 2*time.Millisecond)
			lb := startLoad(t, p.b, 3, seed+1, 2*time.Millisecond)
			r := rand.New(rand.NewPCG(seed, 99))
			kills := 8 * scale()
			for range kills {
				<-time.After(time.Duration(200+r.IntN(1200)) * time.Millisecond)
				s := p.a
				if r.IntN(2) == 0 {
					s = p.b
				}
				s.kill()
				<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
				s.start()
			}
			ca, cb := la.end(), lb.end()
			p.quiesce(120 * time.Second)
			p.requireEqual()
			p.requireLedger(ca, cb)
			p.requireOnce()
			t.Logf("%d kills, %d + %d transactions, conflicts %s + %s", kills, ca, cb,
				p.a.one("SELECT count(*) FROM concord.conflict"), p.b.one("SELECT count(*) FROM concord.conflict"))
		})
	}
}

// A database server crashes (all its processes, SIGKILL) under load and comes
// back: commits of apply that it forgot are applied again.
func TestKillDatabase(t *testing.T) {
	p := newPair(t, pairOptions{versions: [2]int{18, 15}, schema: loadSchema + onceSchema})
	p.a.start()
	p.b.start()
	seed := uint64(time.Now().UnixNano())
	la := startLoad(t, p.a, 3, seed, time.Millisecond)
	lb := startLoad(t, p.b, 3, seed+1, time.Millisecond)
	for i := range 2 * scale() {
		<-time.After(2 * time.Second)
		s := []*site{p.a, p.b}[i%2]
		if err := s.cluster.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.cluster.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(time.Second)
	ca, cb := la.end(), lb.end()
	p.quiesce(120 * time.Second)
	p.requireEqual()
	p.requireLedger(ca, cb)
	p.requireOnce()
}

// The line between the sites is cut and mended again and again under load.
func TestCutBus(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema + onceSchema})
	p.a.start()
	p.b.start()
	seed := uint64(time.Now().UnixNano())
	la := startLoad(t, p.a, 2, seed, 2*time.Millisecond)
	lb := startLoad(t, p.b, 2, seed+1, 2*time.Millisecond)
	for range 3 * scale() {
		<-time.After(time.Second)
		p.a.proxy.Cut()
		p.b.proxy.Cut()
		<-time.After(time.Second)
		p.a.proxy.Heal()
		<-time.After(300 * time.Millisecond)
		p.b.proxy.Heal()
	}
	ca, cb := la.end(), lb.end()
	p.quiesce(120 * time.Second)
	p.requireEqual()
	p.requireLedger(ca, cb)
	p.requireOnce()
	if p.a.one("SELECT count(*) > 0 FROM concord.conflict") != "t" {
		t.Error("two sites wrote the same rows while cut off from each other, and no conflict was recorded")
	}
}

// The peer's database is stopped under load: the origin's log is released all the
// same (the relay keeps storing), lag tells the truth, and it catches up by itself.
func TestPeerDatabaseDown(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	if err := p.b.cluster.Stop(t.Context(), testcluster.Immediate); err != nil {
		t.Fatal(err)
	}
	la := startLoad(t, p.a, 3, 1, time.Millisecond)
	<-time.After(time.Duration(4*scale()) * time.Second)
	ca := la.end()
	before := p.a.one("SELECT pg_current_wal_lsn()")
	eventually(t, 30*time.Second, "the slot at mumbai is released up to what was written", func() bool {
		return p.a.one("SELECT confirmed_flush_lsn >= '"+before+"' FROM pg_replication_slots") == "t"
	})
	l, err := p.b.lag()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Links) != 1 || l.Links[0].LagSeconds < 2 || l.Links[0].State == "streaming" {
		t.Errorf("lag at pune while its database is down: %+v", l)
	}
	if err := p.b.cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.quiesce(120 * time.Second)
	p.requireEqual()
	p.requireLedger(ca)
}

// The whole peer site is gone: the origin's stream holds what it needs, the link
// never shows lag 0, nothing is lost when it returns.
func TestPeerSiteDown(t *testing.T) {
	p := newPair(t, pairOptions{schema: loadSchema})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	p.b.kill()
	la := startLoad(t, p.a, 3, 1, time.Millisecond)
	<-time.After(3 * time.Second)
	ca := la.end()
	l, err := p.a.lag()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Links) != 1 || l.Links[0].LagSeconds < 1 || l.Links[0].State == "streaming" {
		t.Errorf("lag at mumbai while pune is gone: %+v", l)
	}
	p.b.start()
	p.quiesce(120 * time.Second)
	p.requireEqual()
	p.requireLedger(ca)
}
