package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
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
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: loadSchema})
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
	for _, on := range []servers{postgres15, postgres18, mariaDB, mySQL, mixed} {
		t.Run(on.String(), func(t *testing.T) {
			p := on.pair(t, pairOptions{})
			p.a.start()
			p.b.start()
			seed := uint64(time.Now().UnixNano())
			la := startLoad(t, p.a, 3, seed, 2*time.Millisecond)
			lb := startLoad(t, p.b, 3, seed+1, 2*time.Millisecond)
			r := rand.New(rand.NewPCG(seed, 99))
			kills := 8 * scale()
			for range kills {
				<-time.After(time.Duration(200+r.IntN(1200)) * time.Millisecond)
				s := p.sites[r.IntN(2)]
				s.kill()
				<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
				s.start()
			}
			t.Logf("%d kills", kills)
			p.requireAll(la, lb)
		})
	}
}

// requireAll ends the loads and checks that both sites have all of both, once.
func (p *pair) requireAll(loads ...*load) {
	p.t.Helper()
	var commits []int64
	for _, l := range loads {
		commits = append(commits, l.end())
	}
	p.drain(90 * time.Second)
	p.requireEqual()
	p.requireLedger(commits...)
	p.requireOnce()
	for _, s := range p.sites {
		if parked := s.query("SELECT reason, message FROM concord.parked LIMIT 3"); len(parked) > 0 {
			p.t.Errorf("%s: parked: %v", s.name, parked)
		}
	}
	p.t.Logf("%d transactions, conflicts %s + %s", commits,
		p.a.one("SELECT count(*) FROM concord.conflict"), p.b.one("SELECT count(*) FROM concord.conflict"))
}

// A database server crashes (all its processes, SIGKILL) under load and comes back:
// commits of apply that it forgot are applied again. So does one that is stopped in
// order, which makes a server of MySQL begin another file of its log.
func TestKillDatabase(t *testing.T) {
	for _, on := range []servers{{versions: []int{18, 15}}, mariaDB, mySQL, mixed} {
		t.Run(on.String(), func(t *testing.T) {
			p := on.pair(t, pairOptions{})
			p.a.start()
			p.b.start()
			seed := uint64(time.Now().UnixNano())
			la := startLoad(t, p.a, 3, seed, time.Millisecond)
			lb := startLoad(t, p.b, 3, seed+1, time.Millisecond)
			for i := range 2 * scale() {
				<-time.After(2 * time.Second)
				p.sites[i%2].crashServer()
				p.sites[i%2].startServer()
				if i%4 == 1 {
					<-time.After(time.Second)
					p.a.restartServer()
				}
			}
			<-time.After(time.Second)
			t.Logf("%d crashes", 2*scale())
			p.requireAll(la, lb)
		})
	}
}

// The line between the sites is cut and mended again and again under load.
func TestCutBus(t *testing.T) {
	for _, on := range []servers{postgres15, mariaDB, mySQL, mixed} {
		t.Run(on.String(), func(t *testing.T) {
			p := on.pair(t, pairOptions{})
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
			p.requireAll(la, lb)
			if p.a.one("SELECT count(*) FROM concord.conflict") == "0" {
				t.Error("two sites wrote the same rows while cut off from each other, and no conflict was recorded")
			}
		})
	}
}

// The peer's database is stopped under load: the origin's log is released all the
// same (the relay keeps storing), lag tells the truth, and it catches up by itself.
func TestPeerDatabaseDown(t *testing.T) {
	for _, on := range []servers{postgres15, mariaDB, mySQL, mixed} {
		t.Run(on.String(), func(t *testing.T) {
			p := on.pair(t, pairOptions{})
			p.a.start()
			p.b.start()
			p.quiesce(60 * time.Second)
			p.b.crashServer()
			la := startLoad(t, p.a, 3, 1, time.Millisecond)
			<-time.After(time.Duration(4*scale()) * time.Second)
			la.stop()
			la.wg.Wait()
			p.a.logGoes()
			l, err := p.b.lag()
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Links) != 1 || l.Links[0].LagSeconds < 2 || l.Links[0].State == "streaming" {
				t.Errorf("lag at pune while its database is down: %+v", l)
			}
			p.b.startServer()
			p.requireAll(la)
		})
	}
}

// logGoes waits until the site's database may let go of all that was written so far, and
// has it do so where that is a person's business.
func (s *site) logGoes() {
	s.t.Helper()
	if s.mysql == nil {
		before := s.one("SELECT pg_current_wal_lsn()")
		eventually(s.t, 30*time.Second, "the slot at "+s.name+" is released up to what was written", func() bool {
			return s.one("SELECT confirmed_flush_lsn >= '"+before+"' FROM pg_replication_slots") == "t"
		})
		return
	}
	s.exec("FLUSH BINARY LOGS")
	files := s.query("SHOW BINARY LOGS")
	last, _, _ := strings.Cut(files[len(files)-1], "|")
	// A file that is being read is not purged.
	eventually(s.t, 30*time.Second, "the log at "+s.name+" is purged up to "+last, func() bool {
		s.exec("PURGE BINARY LOGS TO '" + last + "'")
		return len(s.query("SHOW BINARY LOGS")) == 1
	})
	s.kill()
	s.start()
}

// The whole peer site is gone: the origin's stream holds what it needs, the link
// never shows lag 0, nothing is lost when it returns.
func TestPeerSiteDown(t *testing.T) {
	for _, on := range []servers{postgres15, mariaDB, mySQL, mixed} {
		t.Run(on.String(), func(t *testing.T) {
			p := on.pair(t, pairOptions{})
			p.a.start()
			p.b.start()
			p.quiesce(60 * time.Second)
			p.b.kill()
			la := startLoad(t, p.a, 3, 1, time.Millisecond)
			<-time.After(time.Duration(3*scale()) * time.Second)
			l, err := p.a.lag()
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Links) != 1 || l.Links[0].LagSeconds < 1 || l.Links[0].State == "streaming" {
				t.Errorf("lag at mumbai while pune is gone: %+v", l)
			}
			p.b.start()
			p.requireAll(la)
		})
	}
}
