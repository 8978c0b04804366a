package e2e

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Capture and apply of each site run as two processes; kill -9 of each of the four at
// random moments under conflicting load: equal, nothing twice, nothing missing.
func TestSplitRoles(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: loadSchema + onceSchema})
	var all []*process
	for _, s := range []*site{p.a, p.b} {
		all = append(all, s.agent("capture at "+s.name, "--role", "capture"), s.agent("apply at "+s.name, "--role", "apply"))
	}
	for _, a := range all {
		a.start()
	}
	p.quiesce(60 * time.Second)
	for _, a := range all {
		eventually(t, 20*time.Second, a.name+" is ready", func() bool {
			_, code, err := a.get("/readyz")
			return err == nil && code == 200
		})
		if st := a.status(); st.State != "running" || st.Next != "nothing to do" || len(st.Links) != 1 || st.Links[0].State != "streaming" {
			t.Errorf("%s: %+v", a.name, st)
		}
	}
	seed := uint64(time.Now().UnixNano())
	la := startLoad(t, p.a, 3, seed, 2*time.Millisecond)
	lb := startLoad(t, p.b, 3, seed+1, 2*time.Millisecond)
	r := rand.New(rand.NewPCG(seed, 99))
	for range scale() {
		for _, i := range r.Perm(len(all)) {
			<-time.After(time.Duration(300+r.IntN(700)) * time.Millisecond)
			all[i].kill()
			<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
			all[i].start()
		}
	}
	ca, cb := la.end(), lb.end()
	p.quiesce(120 * time.Second)
	p.requireEqual()
	p.requireLedger(ca, cb)
	p.requireOnce()
	if p.a.one("SELECT count(*) > 0 FROM concord.conflict") != "t" {
		t.Error("two sites wrote the same rows at once, and no conflict was recorded")
	}
}
