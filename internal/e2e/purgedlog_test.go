package e2e

import (
	"strings"
	"testing"
	"time"
)

// The log of a server was purged while no agent read it: the site says that transactions
// are missing and what to do, publishes nothing that came after them, and is not ready.
func TestPurgedLogStopsTheSite(t *testing.T) {
	for _, on := range []servers{mariaDB, mySQL} {
		t.Run(on.String(), func(t *testing.T) {
			p := on.pair(t, pairOptions{})
			p.a.start()
			p.b.start()
			p.quiesce(60 * time.Second)
			p.a.kill()
			p.a.exec("INSERT INTO notes VALUES (1, 'lost', 1);\nFLUSH BINARY LOGS;\nINSERT INTO notes VALUES (2, 'after', 1);\nFLUSH BINARY LOGS")
			files := p.a.query("SHOW BINARY LOGS")
			last, _, _ := strings.Cut(files[len(files)-1], "|")
			eventually(t, 30*time.Second, "the log is purged", func() bool { // a file that is being read is not
				p.a.exec("PURGE BINARY LOGS TO '" + last + "'")
				return len(p.a.query("SHOW BINARY LOGS")) == 1
			})
			p.a.start()
			eventually(t, 30*time.Second, "mumbai says that it needs a copy", func() bool {
				c := p.a.status().Capture
				return c.State == "needs_copy" && strings.Contains(c.Reason, "purged") && strings.Contains(c.Reason, "--new-epoch")
			})
			if _, code, err := p.a.get("/readyz"); err != nil || code != 503 {
				t.Errorf("readyz of a site whose log was purged: %d, %v", code, err)
			}
			if n := p.b.one("SELECT count(*) FROM notes"); n != "0" {
				t.Errorf("%s rows arrived, one of those before them was purged", n)
			}
		})
	}
}
