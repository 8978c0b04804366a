package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Two processes of one site on a bus of its operator: one leads, the other stands by,
// says so, and takes over when the first is killed, ends, or loses the database
// session that made it the leader. The site's stream never has two writers at once.
func TestStandbyTakesOver(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: loadSchema + onceSchema, nats: true})
	first, second := p.a.process, p.a.agent("second agent of mumbai")
	first.start()
	p.b.start()
	leads(t, first)
	second.start()
	standsBy(t, second)
	p.statusOfStandby(second)

	seed := uint64(time.Now().UnixNano())
	la := startLoad(t, p.a, 3, seed, 2*time.Millisecond)
	lb := startLoad(t, p.b, 3, seed+1, 2*time.Millisecond)
	for range scale() {
		p.quiesce(30 * time.Second)
		first.kill()
		leads(t, second)
		first.start()
		standsBy(t, first)

		second.stop()
		leads(t, first)
		second.start()
		standsBy(t, second)

		p.a.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'concord/mumbai/lease'")
		eventually(t, 20*time.Second, "one of the two leads again, the other stands by", func() bool {
			a, b := first.status().State, second.status().State
			return a == "running" && b == "standby" || a == "standby" && b == "running"
		})
	}
	ca, cb := la.end(), lb.end()
	p.quiesce(60 * time.Second)
	p.requireEqual()
	p.requireLedger(ca, cb)
	p.requireOnce()
}

func leads(t *testing.T, a *process) {
	t.Helper()
	eventually(t, 20*time.Second, a.name+" leads and is ready", func() bool {
		_, code, err := a.get("/readyz")
		return err == nil && code == 200
	})
}

func standsBy(t *testing.T, a *process) {
	t.Helper()
	eventually(t, 20*time.Second, a.name+" stands by", func() bool { return a.status().State == "standby" })
}

// statusOfStandby checks what a process that stands by says of itself.
func (p *pair) statusOfStandby(a *process) {
	p.t.Helper()
	st := a.status()
	if !strings.Contains(st.Reason, "another agent") || !strings.Contains(st.Reason, "concord/mumbai/lease") || st.Next != "nothing to do" || st.Capture.State != "standby" {
		p.t.Errorf("a standby's status: %+v", st)
	}
	if len(st.Links) != 1 || st.Links[0].State != "standby" {
		p.t.Errorf("a standby's link: %+v", st.Links)
	}
	if body, code, err := a.get("/readyz"); err != nil || code != 503 || !strings.Contains(body, "another agent") {
		p.t.Errorf("a standby's readyz: %d %s %v", code, body, err)
	}
	if _, code, err := a.get("/livez"); err != nil || code != 200 {
		p.t.Errorf("a standby's livez: %d %v", code, err)
	}
	// A person who asks this process learns that nobody needs to do anything.
	file, err := os.ReadFile(p.a.config)
	if err != nil {
		p.t.Fatal(err)
	}
	config := filepath.Join(p.t.TempDir(), "standby.toml")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(string(file), p.a.http, a.http)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, 10*time.Second, "pune is ready too", func() bool {
		_, code, err := p.b.get("/readyz")
		return err == nil && code == 200
	})
	out, code := p.run(&site{config: config}, "status")
	if code != 0 || !strings.Contains(out, "next: nothing to do") || !strings.Contains(out, "standby") {
		p.t.Errorf("concord status: exit %d\n%s", code, out)
	}
}
