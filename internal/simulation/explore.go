package simulation

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
)

// Exploration is what was found of a plan.
type Exploration struct {
	States    int // different ones between two steps
	Steps     int // transitions out of them, as far as they are not known to lead nowhere
	Histories int // that came to their end, judged there
	Runs      int // of the world from its beginning
	// Kinds counts what happened, by its label without the site.
	Kinds map[string]int
	// Whole is false when the limit came first.
	Whole bool
	// Err is what the oracles noticed; nil: all is well. History leads there.
	Err     error
	History []string
}

// Explore lets everything happen that can happen in the world of a plan, in every order,
// over the production code: commits, reading the log, publishing, deliveries, application
// with commits, reading and crashes at each of its points, restarts. limit bounds the runs;
// 0: none.
//
// A world cannot be copied, so each history is run from its beginning: a run is the
// answers to the questions that it asked. After a run the last answer that has a next one
// is replaced by it, and what came behind is forgotten (depth first). A state that was
// met before, however it came about, is not gone on from: all that can follow was seen
// or is about to be.
func Explore(ctx context.Context, p Plan, f Faults, m Mutation, limit int) Exploration {
	x := &explorer{plan: p, faults: f, mutation: m, met: map[uint64]bool{}, out: Exploration{Kinds: map[string]int{}}}
	for ctx.Err() == nil && (limit == 0 || x.out.Runs < limit) {
		x.run(ctx)
		if x.out.Err != nil {
			break
		}
		for n := len(x.path); n > 0 && x.path[n-1].taken == x.path[n-1].of-1; n = len(x.path) {
			x.path = x.path[:n-1]
		}
		if len(x.path) == 0 {
			x.out.Whole = true
			break
		}
		x.path[len(x.path)-1].taken++
	}
	x.out.States = len(x.met)
	return x.out
}

type explorer struct {
	plan     Plan
	faults   Faults
	mutation Mutation
	met      map[uint64]bool // fingerprints
	path     []turn
	at       int // of path, in the run under way
	labels   []string
	out      Exploration
}

// turn is a question and the answer under way.
type turn struct{ taken, of int }

// choose answers as the path says, and behind its end with the first option.
func (x *explorer) choose(labels []string) int {
	if len(labels) == 1 {
		return 0
	}
	if x.at == len(x.path) {
		x.path = append(x.path, turn{of: len(labels)})
	}
	taken := x.path[x.at].taken
	x.at++
	if label := labels[taken]; label != "go on" {
		x.labels = append(x.labels, label)
		if x.at == len(x.path) { // else it was counted in an earlier run
			_, kind, _ := strings.Cut(label, " ")
			x.out.Kinds[kind]++
		}
	}
	return taken
}

// run runs the world along the path and on to an end, or to a state that was met before.
func (x *explorer) run(ctx context.Context) {
	x.at, x.labels = 0, nil
	x.out.Runs++
	defer func() {
		if p := recover(); p != nil {
			x.wrong(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	e := newExplored(newWorld(ctx, Options{Seed: 1, Sites: 2, NoFaults: true, Mutation: x.mutation}), &x.plan, x.faults)
	e.choose = x.choose
	for len(e.w.failures) == 0 {
		options := e.options()
		if len(options) == 0 {
			break
		}
		if x.at == len(x.path) {
			h := e.fingerprint()
			if x.met[h] {
				return
			}
			x.met[h] = true
		}
		labels := make([]string, len(options))
		for i, o := range options {
			labels[i] = o.label
		}
		taken := x.choose(labels)
		if len(options) == 1 {
			x.labels = append(x.labels, labels[0])
		}
		options[taken].do()
		if x.at == len(x.path) {
			x.out.Steps++
		}
		if e.idle {
			return
		}
	}
	x.out.Histories++
	if err := e.end(); err != nil {
		x.wrong(err)
	}
}

func (x *explorer) wrong(err error) {
	x.out.Err = fmt.Errorf("%s: %w", x.plan.String(), err)
	x.out.History = append([]string(nil), x.labels...)
}
