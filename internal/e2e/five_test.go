package e2e

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Five sites, each of which replicates with every other, write the same rows while agents
// are killed and lines cut: all end with the same rows, every transaction at each once,
// and each site tells how far it is behind every other.
func TestFiveSitesConverge(t *testing.T) {
	m := newMesh(t, 5, pairOptions{versions: []int{15, 18}, schema: loadSchema + onceSchema + "ALTER TABLE accounts REPLICA IDENTITY FULL;",
		rules: "[[table]]\nmatch = \"public.accounts\"\ncolumns = { balance = \"sum\", \"*\" = \"last_write_wins\" }\n\n[[table]]\nmatch = \"public.*\"\n"})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var loads []*load
	for i, s := range m.sites {
		s.start()
		loads = append(loads, startLoad(t, s, 2, seed+uint64(i), 40*time.Millisecond))
	}
	kills, cuts := m.trouble(rand.New(rand.NewPCG(seed, 99)), time.Duration(8*scale())*time.Second)
	var commits []int64
	for _, l := range loads {
		commits = append(commits, l.end())
	}
	m.drain(60 * time.Second)
	m.requireEqual()
	m.requireLedger(commits...)
	m.requireOnce()
	for _, s := range m.sites {
		l, err := s.lag()
		if err != nil || len(l.Links) != 4 {
			t.Errorf("%s tells of %d links: %v", s.name, len(l.Links), err)
		}
		for _, link := range l.Links {
			if link.State != "streaming" && link.State != "catching_up" {
				t.Errorf("%s from %s: %s", s.name, link.From, link.State)
			}
		}
		if parked := s.one("SELECT count(*) FROM concord.parked"); parked != "0" {
			t.Errorf("%s: %s changes are parked", s.name, parked)
		}
	}
	t.Logf("%v transactions, %d kills, %d cuts, %s conflicts at %s", commits, kills, cuts, m.sites[0].one("SELECT count(*) FROM concord.conflict"), m.sites[0].name)
}
