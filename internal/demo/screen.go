package demo

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/concord-db/concord/internal/httpapi"
)

// How often the table is drawn on a terminal, and a line written elsewhere.
const (
	drawEvery = time.Second
	lineEvery = 2 * time.Second
)

// askLimit bounds the asking of an agent, so that one that hangs does not hold up
// the table.
const askLimit = 800 * time.Millisecond

// sample is a site at a moment.
type sample struct {
	name         string
	transactions int64
	rows         int64
	rate         float64 // rows per second since the sample before
	failed       int64
	status       httpapi.Status
	memory       int64  // resident, of the agent, in bytes
	trouble      string // why there is no status, or what is wrong; "" when all is well
}

// greet says where everything is.
func (d *demo) greet() {
	w := d.o.Out
	fmt.Fprintln(w)
	for _, s := range d.sites {
		fmt.Fprintf(w, "%-7s http://%s/   %s\n", s.name, s.http, clientOf(s.dsn))
	}
	fmt.Fprintf(w, "config  %s\n\n", d.config)
	fmt.Fprintln(w, "Both sides are written to, often the same rows. Beside it, in another terminal:")
	fmt.Fprintf(w, "  %s demo conflict | load | verify | kill %s | start %s\n", d.o.Program, names[1], names[1])
	if d.o.For > 0 {
		fmt.Fprintf(w, "It ends after %s, or with Ctrl-C.\n\n", d.o.For)
	} else {
		fmt.Fprint(w, "It ends with Ctrl-C.\n\n")
	}
}

// show shows what happens until ctx ends.
func (d *demo) show(ctx context.Context, began time.Time) {
	every := lineEvery
	if d.o.Terminal {
		every = drawEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last, at := [2]int64{}, time.Now()
	for drawn := false; ; drawn = true {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		samples := d.sample(ctx)
		now := time.Now()
		for i := range samples {
			samples[i].rate = float64(samples[i].rows-last[i]) / now.Sub(at).Seconds()
			last[i] = samples[i].rows
		}
		at = now
		if ctx.Err() != nil {
			return // the agents' answers were cut short
		}
		if !d.o.Terminal {
			fmt.Fprintln(d.o.Out, line(time.Since(began), samples))
			continue
		}
		text := table(time.Since(began), samples)
		if drawn { // over the one before
			fmt.Fprintf(d.o.Out, "\x1b[%dA", strings.Count(text, "\n"))
		}
		fmt.Fprint(d.o.Out, strings.ReplaceAll(text, "\n", "\x1b[K\n"))
	}
}

// sample asks both agents, at the same time.
func (d *demo) sample(ctx context.Context) [2]sample {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var samples [2]sample
	var wait sync.WaitGroup
	for i, s := range d.sites {
		counts := &d.writing.load.counts[i]
		wait.Go(func() {
			m := sample{name: s.name, transactions: counts.transactions.Load(), rows: counts.rows.Load(), failed: counts.failed.Load()}
			memory, err := s.agent.Memory()
			if err == nil { // else it has just ended, which the status tells
				m.memory = memory.Resident
			}
			m.status, err = s.agent.Status(ctx)
			switch {
			case !s.agent.Running():
				m.trouble = "the agent is not running: concord demo start " + s.name
			case err != nil:
				m.trouble = "the agent does not answer"
			default:
				m.trouble = trouble(m.status)
			}
			samples[i] = m
		})
	}
	wait.Wait()
	return samples
}

// trouble says in a few words what is wrong at a site.
func trouble(s httpapi.Status) string {
	if s.State != "running" {
		return s.State + ": " + s.Reason
	}
	if s.Capture.State != "streaming" {
		return "capture " + s.Capture.State + ": " + s.Capture.Reason
	}
	for _, l := range s.Links {
		if l.State != "streaming" && l.State != "catching_up" {
			return "from " + l.From + " " + l.State + ": " + l.Reason
		}
	}
	return ""
}

// lag is the greatest of the site's links.
func (s sample) lag() string {
	if len(s.status.Links) == 0 {
		return "-"
	}
	lag := 0.0
	for _, l := range s.status.Links {
		lag = max(lag, l.LagSeconds)
	}
	if lag < 1 {
		return fmt.Sprintf("%.0f ms", lag*1000)
	}
	return fmt.Sprintf("%.1f s", lag)
}

func count(n int64) string {
	if n < 0 {
		return "?"
	}
	return fmt.Sprint(n)
}

// figures of a site; "-" where its agent did not say.
func (s sample) figures() (lag, conflicts, parked, memory string) {
	if s.status.Site == "" {
		return "-", "-", "-", mebibytes(s.memory)
	}
	return s.lag(), count(s.status.Conflicts), count(s.status.Parked), mebibytes(s.memory)
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// table is what a terminal shows: the same number of lines each time, short enough
// for it to break none.
func table(elapsed time.Duration, samples [2]sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %12s %8s %9s %10s %7s %9s\n", elapsed.Round(time.Second), "TRANSACTIONS", "ROWS/S", "LAG", "CONFLICTS", "PARKED", "AGENT")
	for _, s := range samples {
		lag, conflicts, parked, memory := s.figures()
		fmt.Fprintf(&b, "%-8s %12d %8.0f %9s %10s %7s %9s\n", s.name, s.transactions, s.rate, lag, conflicts, parked, memory)
	}
	var notes []string
	for _, s := range samples {
		if s.trouble != "" {
			notes = append(notes, s.name+": "+strings.Join(strings.Fields(s.trouble), " "))
		}
	}
	note := []rune(strings.Join(notes, "; "))
	if len(note) > 78 {
		note = append(note[:77], '…')
	}
	fmt.Fprintln(&b, string(note))
	return b.String()
}

// line is what a pipe gets.
func line(elapsed time.Duration, samples [2]sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5s", elapsed.Round(time.Second))
	for _, s := range samples {
		lag, conflicts, parked, memory := s.figures()
		fmt.Fprintf(&b, "  %s: transactions %d, %.0f rows/s, lag %s, conflicts %s, parked %s, agent %s;", s.name, s.transactions, s.rate, lag, conflicts, parked, memory)
		if s.trouble != "" {
			b.WriteString(" " + s.trouble + ";")
		}
	}
	return strings.TrimSuffix(b.String(), ";")
}
