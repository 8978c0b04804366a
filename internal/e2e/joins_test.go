package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A fourth site is added to three that run: the file of each gets its section, and the
// agents start again one by one, under load. The streams still hold everything, so the
// new site fills from them, and writes itself.
func TestASiteIsAddedToThreeThatRun(t *testing.T) {
	o := pairOptions{versions: []int{15, 18}, schema: loadSchema + onceSchema}
	m := newMesh(t, 4, o)
	all := m.sites
	dir := filepath.Dir(all[0].config)
	m.sites = all[:3]
	configure := func(s *site, sites []*site) {
		if err := os.WriteFile(s.config, []byte(configuration(s, sites, dir, o)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var loads []*load
	for i, s := range m.sites {
		configure(s, m.sites)
		s.start()
		loads = append(loads, startLoad(t, s, 2, uint64(i+1), 30*time.Millisecond))
	}
	eventually(t, 60*time.Second, "the three replicate", func() bool {
		return all[0].one("SELECT count(*) FROM (SELECT site FROM ledger GROUP BY 1 HAVING count(*) > 30) x") == "3"
	})
	for _, s := range all[:3] {
		configure(s, all)
		s.stop()
		s.start()
	}
	m.sites = all
	all[3].start()
	loads = append(loads, startLoad(t, all[3], 2, 4, 30*time.Millisecond))
	eventually(t, 60*time.Second, "what the new site writes is at the first", func() bool {
		return all[0].one("SELECT count(*) > 30 FROM ledger WHERE site = '"+all[3].name+"'") == "t"
	})
	var commits []int64
	for _, l := range loads {
		commits = append(commits, l.end())
	}
	for _, s := range all {
		for _, l := range s.status().Links {
			if strings.Contains(l.State, "needs") || l.State == "stopped" {
				t.Logf("%s from %s: %s %s", s.name, l.From, l.State, l.Reason)
			}
		}
	}
	m.drain(60 * time.Second)
	m.requireEqual()
	m.requireLedger(commits...)
	m.requireOnce()
}
