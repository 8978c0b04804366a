// Command explore lets everything happen that can happen in small worlds: two sites, two
// keys, three transactions, and as many faults as asked for, in every order, over the
// production code. It stops with exit code 1 at the first history that goes wrong, and
// prints it.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/concord-db/concord/internal/simulation"
)

func main() {
	debug.SetGCPercent(800) // a world is small and soon garbage as a whole
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

type options struct {
	first, count, workers, limit int
	faults                       simulation.Faults
	mutation                     simulation.Mutation
	list                         bool
}

func read(args []string, plans int) (o options, err error) {
	f := flag.NewFlagSet("explore", flag.ContinueOnError)
	f.IntVar(&o.first, "first", 0, "the first world")
	f.IntVar(&o.count, "count", plans, "how many worlds; they are in an order that makes any part of them a fair sample")
	f.IntVar(&o.workers, "workers", 1, "how many are explored at once")
	f.IntVar(&o.limit, "limit", 0, "runs for each world; 0: until everything has happened")
	f.IntVar(&o.faults.Crashes, "crashes", 0, "crashes of agents, databases and buses in one history, at most")
	f.IntVar(&o.faults.Duplicates, "duplicates", 0, "frames delivered twice in one history, at most")
	f.IntVar(&o.faults.Compactions, "compactions", 0, "times that a window is shortened as far as it can be, in one history, at most")
	f.BoolVar(&o.list, "list", false, "print the worlds")
	mutation := f.String("mutation", "", "break a rule: "+fmt.Sprint(simulation.Mutations))
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.mutation = simulation.Mutation(*mutation)
	switch {
	case o.mutation != simulation.None && !slices.Contains(simulation.Mutations, o.mutation):
		return o, fmt.Errorf("unknown mutation %q", *mutation)
	case o.first < 0 || o.first >= plans:
		return o, fmt.Errorf("first: there are worlds 0 to %d", plans-1)
	case o.workers < 1 || o.count < 1:
		return o, fmt.Errorf("workers and count: at least 1")
	}
	o.count = min(o.count, plans-o.first)
	return o, nil
}

func run(ctx context.Context, args []string) int {
	plans := simulation.Plans()
	o, err := read(args, len(plans))
	if err != nil {
		fmt.Fprintln(os.Stderr, "explore:", err)
		return 2
	}
	if o.list {
		for i := range plans[o.first : o.first+o.count] {
			fmt.Println(o.first+i, plans[o.first+i].String())
		}
		return 0
	}
	t := &totals{began: time.Now(), want: o.count, kinds: map[string]int{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan int)
	var g sync.WaitGroup
	for range o.workers {
		g.Go(func() {
			for i := range next {
				x := simulation.Explore(ctx, plans[i], o.faults, o.mutation, o.limit)
				if ctx.Err() == nil && t.add(i, &x) {
					cancel()
				}
			}
		})
	}
	for i := o.first; i < o.first+o.count && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	g.Wait()
	return t.print()
}

// totals adds up what was found.
type totals struct {
	mu                                                sync.Mutex
	began, printed                                    time.Time
	want, worlds, whole, states, steps, histories, at int
	runs                                              int
	kinds                                             map[string]int
	wrong                                             *simulation.Exploration
}

// add reports whether a world went wrong.
func (t *totals) add(i int, x *simulation.Exploration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.worlds++
	if x.Whole {
		t.whole++
	}
	t.states, t.steps, t.histories, t.runs = t.states+x.States, t.steps+x.Steps, t.histories+x.Histories, t.runs+x.Runs
	for kind, n := range x.Kinds {
		t.kinds[kind] += n
	}
	if x.Err != nil && t.wrong == nil {
		t.wrong, t.at = x, i
	}
	if time.Since(t.printed) > 2*time.Second {
		t.printed = time.Now()
		t.line()
	}
	return x.Err != nil
}

func (t *totals) line() {
	took := time.Since(t.began)
	left := time.Duration(float64(took) / float64(max(t.worlds, 1)) * float64(t.want-t.worlds)).Round(time.Second)
	fmt.Printf("%d of %d worlds, %d whole, %.0f runs/s, %s left: %d states, %d steps, %d ends\n",
		t.worlds, t.want, t.whole, float64(t.runs)/took.Seconds(), left, t.states, t.steps, t.histories)
}

func (t *totals) print() int {
	t.line()
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(t.kinds)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, t.kinds[k]))
	}
	fmt.Printf("what happened: %s\ntook %s\n", strings.Join(kinds, ", "), time.Since(t.began).Round(time.Millisecond))
	if t.wrong == nil {
		return 0
	}
	fmt.Printf("\nworld %d went wrong: %v\n\nwhat happened:\n  %s\n", t.at, t.wrong.Err, strings.Join(t.wrong.History, "\n  "))
	return 1
}
