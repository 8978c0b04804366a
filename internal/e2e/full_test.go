package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

const fullSchema = `
CREATE TABLE marker (id text PRIMARY KEY);
CREATE TABLE parcel (n int PRIMARY KEY, body text NOT NULL);
`

// fill writes n transactions of about 40 kB that do not compress.
func (s *site) fill(from, n int) {
	s.t.Helper()
	s.exec(fmt.Sprintf(`DO $$ BEGIN FOR i IN %d..%d LOOP
		INSERT INTO parcel SELECT i, string_agg(md5(random()::text), '') FROM generate_series(1, 1250);
		COMMIT;
	END LOOP; END $$`, from, from+n-1))
}

// The peer's whole site is gone for longer than the stream has room: capture stops and
// says so with the remedy, the database holds its log; when the peer comes back all of
// it arrives.
func TestStreamFull(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{18, 15}, schema: fullSchema, defaults: `stream_max_bytes = "1MB"`})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	p.b.kill()
	if err := p.b.cluster.Stop(t.Context(), testcluster.Immediate); err != nil {
		t.Fatal(err)
	}
	p.a.fill(1, 40)
	eventually(t, 20*time.Second, "capture stops at the limit", func() bool { return p.a.status().Capture.State == "stream_full" })
	held := p.a.status().Capture.RetainedBytes
	p.a.fill(101, 20)
	p.staysFull(2 * time.Second)
	if now := p.a.status().Capture.RetainedBytes; held <= 0 || now < held+20*40_000 {
		t.Errorf("the slot held %d bytes of log, and after another 20 transactions of 40 kB %d", held, now)
	}
	back := time.Now()
	if err := p.b.cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.b.start()
	p.quiesce(60 * time.Second)
	t.Logf("%s after the peer came back everything had arrived", time.Since(back).Round(time.Second))
	p.requireEqual()
	if n := p.b.one("SELECT count(*) FROM parcel"); n != "60" {
		t.Errorf("%s parcels arrived, want 60", n)
	}
	p.a.exec("CHECKPOINT") // lets a slot move on; otherwise the server does so every 15 s
	eventually(t, 30*time.Second, "mumbai is ready again and its log is released", func() bool {
		_, code, err := p.a.get("/readyz")
		return err == nil && code == 200 && p.a.status().Capture.RetainedBytes < held
	})
}

// staysFull checks for a while what mumbai says of its full stream.
func (p *pair) staysFull(long time.Duration) {
	p.t.Helper()
	const remedy = "stream_max_bytes"
	for end := time.Now().Add(long); time.Now().Before(end); poll() {
		st := p.a.status()
		if st.Capture.State != "stream_full" || !strings.Contains(st.Capture.Reason, remedy) || !strings.Contains(st.Next, remedy) {
			p.t.Fatalf("the status of a site whose stream is full: %+v", st)
		}
		body, code, err := p.a.get("/readyz")
		if err != nil || code != 503 || !strings.Contains(body, "stream_full") || !strings.Contains(body, remedy) {
			p.t.Fatalf("readyz of a site whose stream is full: %d %s %v", code, body, err)
		}
	}
}

// The line between the sites is cut until the streams of both are full: neither can
// settle what the other holds. A greater limit, which the status names as the remedy,
// lets both go on, and nothing is lost.
func TestBothStreamsFull(t *testing.T) {
	p := newPair(t, pairOptions{versions: []int{15, 18}, schema: fullSchema, defaults: `stream_max_bytes = "1MB"`})
	p.a.start()
	p.b.start()
	p.quiesce(60 * time.Second)
	p.a.proxy.Cut()
	p.b.proxy.Cut()
	p.a.fill(1, 60)
	p.b.fill(101, 60)
	for _, s := range []*site{p.a, p.b} {
		eventually(t, 20*time.Second, s.name+" is full", func() bool { return s.status().Capture.State == "stream_full" })
	}
	p.a.proxy.Heal()
	p.b.proxy.Heal()
	for _, s := range []*site{p.a, p.b} {
		s.stop()
		file, err := os.ReadFile(s.config)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.config, []byte(strings.Replace(string(file), `"1MB"`, `"100MB"`, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		s.start()
	}
	p.quiesce(60 * time.Second)
	p.requireEqual()
	if n := p.b.one("SELECT count(*) FROM parcel"); n != "120" {
		t.Errorf("%s parcels arrived, want 120", n)
	}
}
