// Command simulate runs many seeds of the simulation and stops with exit code 1 when
// one of them goes wrong, printing the seed and a trace.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/simulation"
)

func main() {
	debug.SetGCPercent(800) // a world is small and soon garbage as a whole
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// plan is what the flags say.
type plan struct {
	first, seeds uint64
	sites        []int
	policies     []conflict.Policy
	workers      int
	failures     int
	mutation     simulation.Mutation
	trace        bool
	calm         bool
	short        bool
	small        string
}

func read(args []string) (p plan, err error) {
	f := flag.NewFlagSet("simulate", flag.ContinueOnError)
	f.Uint64Var(&p.seeds, "seeds", 10000, "how many seeds to run")
	f.Uint64Var(&p.first, "first", 1, "the first seed")
	f.IntVar(&p.workers, "workers", 1, "how many run at once")
	f.IntVar(&p.failures, "failures", 1, "stop after so many seeds went wrong")
	f.BoolVar(&p.trace, "trace", false, "print the trace of the last seed in any case")
	f.BoolVar(&p.calm, "calm", false, "nothing crashes, nothing is lost")
	f.BoolVar(&p.short, "short", false, "worlds that live a quarter as long")
	f.StringVar(&p.small, "small", "some", "windows with next to no memory: all, none, or some, every fourth seed")
	sites := f.String("sites", "2,3,5", "numbers of sites, each seed takes the next")
	policy := f.String("policy", "all", "the policy of the table with images, or all")
	mutation := f.String("mutation", "", "break a rule: "+fmt.Sprint(simulation.Mutations))
	if err := f.Parse(args); err != nil {
		return p, err
	}
	p.mutation = simulation.Mutation(*mutation)
	if p.mutation != simulation.None && !slices.Contains(simulation.Mutations, p.mutation) {
		return p, fmt.Errorf("unknown mutation %q", *mutation)
	}
	for s := range strings.SplitSeq(*sites, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 2 || n > 5 {
			return p, fmt.Errorf("sites: %q is not a number from 2 to 5", s)
		}
		p.sites = append(p.sites, n)
	}
	if *policy == "all" {
		p.policies = simulation.Policies()
		return p, nil
	}
	for _, one := range simulation.Policies() {
		if one.String() == *policy {
			p.policies = []conflict.Policy{one}
		}
	}
	if p.policies == nil {
		return p, fmt.Errorf("policy: %q is none of %v", *policy, simulation.Policies())
	}
	return p, nil
}

// options are those of one seed: sites and policies take turns.
func (p *plan) options(seed uint64) simulation.Options {
	n := uint64(len(p.sites))
	return simulation.Options{
		Seed: seed, Sites: p.sites[seed%n], Policy: &p.policies[seed/n%uint64(len(p.policies))], Mutation: p.mutation, NoFaults: p.calm, Short: p.short,
		Small: p.small == "all" || p.small == "some" && seed%4 == 3,
	}
}

func run(ctx context.Context, args []string) int {
	p, err := read(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	t := totals{began: time.Now(), want: p.seeds}
	var next atomic.Uint64
	next.Store(p.first)
	again := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g sync.WaitGroup
	for range p.workers {
		g.Go(func() {
			for ctx.Err() == nil {
				seed := next.Add(1) - 1
				if seed >= p.first+p.seeds {
					return
				}
				r := simulation.Run(ctx, p.options(seed))
				if ctx.Err() != nil {
					return // cut off, not wrong
				}
				if t.add(&r) >= p.failures {
					cancel()
				}
			}
		})
	}
	g.Wait()
	t.print()
	for _, seed := range t.wrong {
		o := p.options(seed)
		o.Trace = true
		r := simulation.Run(again, o)
		fmt.Printf("\nseed %d, %d sites, %s:\n%s\n%v\n", seed, r.Sites, r.Policy, strings.Join(r.Trace, "\n"), r.Err)
	}
	if p.trace && len(t.wrong) == 0 {
		o := p.options(p.first + p.seeds - 1)
		o.Trace = true
		fmt.Println(strings.Join(simulation.Run(again, o).Trace, "\n"))
	}
	if len(t.wrong) > 0 {
		return 1
	}
	return 0
}

// totals adds up the runs and prints how they go.
type totals struct {
	mu                                             sync.Mutex
	began, printed                                 time.Time
	want                                           uint64
	seeds, steps, transactions, conflicts, crashes uint64
	parked                                         uint64
	wrong                                          []uint64
}

// add returns how many seeds went wrong so far.
func (t *totals) add(r *simulation.Result) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seeds++
	t.steps += uint64(r.Steps)
	t.transactions += uint64(r.Transactions)
	t.conflicts += uint64(r.Conflicts)
	t.crashes += uint64(r.Crashes)
	t.parked += uint64(r.Parked)
	if r.Err != nil {
		t.wrong = append(t.wrong, r.Seed)
		fmt.Printf("seed %d went wrong: %s\n", r.Seed, firstLine(r.Err))
	}
	if time.Since(t.printed) > 2*time.Second {
		t.printed = time.Now()
		t.line()
	}
	return len(t.wrong)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (t *totals) line() {
	took := time.Since(t.began)
	rate := float64(t.seeds) / took.Seconds()
	left := time.Duration(float64(t.want-t.seeds) / rate * float64(time.Second)).Round(time.Second)
	fmt.Printf("%d of %d seeds, %.0f/s, %s left: %d transactions, %d conflicts, %d crashes, %d parked, %d seeds wrong\n",
		t.seeds, t.want, rate, left, t.transactions, t.conflicts, t.crashes, t.parked, len(t.wrong))
}

func (t *totals) print() {
	t.line()
	fmt.Printf("took %s\n", time.Since(t.began).Round(time.Millisecond))
}
