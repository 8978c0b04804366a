package demo

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/concord-db/concord/internal/httpapi"
)

func wellSample(name string) sample {
	return sample{
		name: name, transactions: 1234, rows: 5678, rate: 90.4, memory: 33 << 20,
		status: httpapi.Status{Site: name, State: "running", Conflicts: 7, Links: []httpapi.Link{{LagSeconds: 0.0123}}},
	}
}

func TestATableOfTwoSites(t *testing.T) {
	down := sample{name: "pune", transactions: 12, trouble: "the agent is not running: concord demo start pune"}
	got := table(65*time.Second, [2]sample{wellSample("mumbai"), down})
	want := "" +
		"1m5s     TRANSACTIONS   ROWS/S       LAG  CONFLICTS  PARKED     AGENT\n" +
		"mumbai           1234       90     12 ms          7       0    33 MiB\n" +
		"pune               12        0         -          -       -         -\n" +
		"pune: the agent is not running: concord demo start pune\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// It is drawn over itself: it must neither grow nor break lines.
func TestATableKeepsItsSize(t *testing.T) {
	long := wellSample("pune")
	long.trouble = strings.Repeat("a reason\nof many lines ünd wörds ", 20)
	for _, samples := range [][2]sample{{wellSample("mumbai"), wellSample("pune")}, {long, long}} {
		text := table(time.Hour, samples)
		if n := strings.Count(text, "\n"); n != 4 {
			t.Errorf("%d lines:\n%s", n, text)
		}
		for l := range strings.Lines(text) {
			if n := utf8.RuneCountInString(l); n > 80 {
				t.Errorf("a line of %d characters: %s", n, l)
			}
		}
	}
}

func TestALineOfTwoSites(t *testing.T) {
	slow := wellSample("pune")
	slow.status.Links[0].LagSeconds, slow.status.Conflicts = 12.34, -1
	slow.trouble = "capture retrying: no route"
	got := line(4*time.Second, [2]sample{wellSample("mumbai"), slow})
	want := "   4s  mumbai: transactions 1234, 90 rows/s, lag 12 ms, conflicts 7, parked 0, agent 33 MiB;" +
		"  pune: transactions 1234, 90 rows/s, lag 12.3 s, conflicts ?, parked 0, agent 33 MiB; capture retrying: no route"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
