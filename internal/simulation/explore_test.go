package simulation

import (
	"testing"

	"github.com/concord-db/concord/conflict"
)

// The first of what can happen in some small worlds: the command explore does all.
func TestWhateverCanHappenEndsWell(t *testing.T) {
	states, steps, histories := 0, 0, 0
	for _, p := range Plans()[:6] {
		x := Explore(t.Context(), p, Faults{}, None, 400)
		if x.Err != nil {
			t.Fatalf("%v\n%v", x.Err, x.History)
		}
		states, steps, histories = states+x.States, steps+x.Steps, histories+x.Histories
	}
	p := Plan{Table: policyTable, Sites: [3]int{0, 1, 0}, Acts: [3]Act{Put0, Delete0, Put1}, Clocks: [3]int{1, 2, 3}}
	faulty := Explore(t.Context(), p, Faults{Crashes: 1, Duplicates: 1, Compactions: 1}, None, 1000)
	if faulty.Err != nil {
		t.Fatalf("%v\n%v", faulty.Err, faulty.History)
	}
	for _, kind := range []string{"commit", "read", "publish", "deliver", "apply", "restart", "crash agents", "duplicate", "compact"} {
		if faulty.Kinds[kind] == 0 {
			t.Errorf("in %d steps there was no %q", faulty.Steps, kind)
		}
	}
	if histories == 0 {
		t.Error("nothing came to its end")
	}
	t.Logf("%d states, %d steps, %d ends; with a crash and a duplicate, the first %d states, %d steps", states, steps, histories, faulty.States, faulty.Steps)
}

// What the design rests on, broken, is found within the smallest worlds.
func TestExploringNoticesBrokenRules(t *testing.T) {
	for _, c := range []struct {
		mutation Mutation
		plan     Plan
	}{
		{NoFence, Plan{Table: policyTable, Policy: conflict.Policy{Base: conflict.FirstWriteWins}, Sites: [3]int{0, 1, 0}, Acts: [3]Act{Put0, Put0, Put1}, Clocks: [3]int{1, 2, 3}}},
		{Pairwise, Plan{Table: policyTable, Policy: conflict.Policy{Base: conflict.FirstWriteWins}, Sites: [3]int{0, 1, 0}, Acts: [3]Act{Put0, Put0, Put0}, Clocks: [3]int{1, 2, 3}}},
		{ClaimsHidden, Plan{Table: namesTable, Sites: [3]int{0, 1, 0}, Acts: [3]Act{Take1, Take0, Put0}, Clocks: [3]int{1, 2, 3}}},
		{CutTooMuch, Plan{Table: policyTable, Policy: conflict.Policy{Base: conflict.FirstWriteWins}, Sites: [3]int{1, 0, 1}, Acts: [3]Act{Put0, Put0, Put0}, Clocks: [3]int{1, 2, 3}}},
		{MarkDropped, Plan{Table: policyTable, Sites: [3]int{0, 1, 0}, Acts: [3]Act{Put0, Put0, Put1}, Clocks: [3]int{1, 2, 3}}},
	} {
		x := Explore(t.Context(), c.plan, Faults{Compactions: 1}, c.mutation, 30000)
		if x.Err == nil {
			t.Errorf("%s: not noticed in %d runs, whole %v", c.mutation, x.Runs, x.Whole)
			continue
		}
		t.Logf("%s: noticed in run %d: %v", c.mutation, x.Runs, x.History)
	}
}
