package simulation

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seeds is how many worlds a test runs; CONCORD_SEEDS overrides it.
func seeds(t *testing.T, n uint64) uint64 {
	t.Helper()
	if s := os.Getenv("CONCORD_SEEDS"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("CONCORD_SEEDS: %v", err)
		}
		return v
	}
	if testing.Short() {
		return n / 10
	}
	return n
}

// options are those of one seed: numbers of sites and policies take turns.
func options(seed uint64) Options {
	all := Policies()
	return Options{Seed: seed, Sites: []int{2, 3, 5}[seed%3], Policy: &all[seed/3%uint64(len(all))]}
}

// Whatever applications, clocks, the bus and crashes do, every site ends with the same
// rows, each the fold of its writes.
func TestSitesConverge(t *testing.T) {
	var transactions, conflicts, crashes int
	for seed := uint64(1); seed <= seeds(t, 2000); seed++ {
		r := Run(t.Context(), options(seed))
		if r.Err != nil {
			o := options(seed)
			o.Trace = true
			t.Fatalf("seed %d, %d sites, %s:\n%s\n%v", seed, r.Sites, r.Policy, strings.Join(Run(t.Context(), o).Trace, "\n"), r.Err)
		}
		transactions, conflicts, crashes = transactions+r.Transactions, conflicts+r.Conflicts, crashes+r.Crashes
	}
	t.Logf("%d transactions, %d conflicts, %d crashes", transactions, conflicts, crashes)
	if conflicts == 0 || crashes == 0 {
		t.Error("nothing happened in these worlds")
	}
}

// A seed replays exactly: a failure can be looked at.
func TestASeedReplaysExactly(t *testing.T) {
	for seed := uint64(1); seed <= 60; seed++ {
		o := options(seed)
		o.Trace = true
		a, b := Run(t.Context(), o), Run(t.Context(), o)
		for i := range a.Trace {
			if i >= len(b.Trace) || a.Trace[i] != b.Trace[i] {
				t.Fatalf("seed %d: line %d of the trace is\n%s\nand then\n%s", seed, i, a.Trace[i], b.Trace[min(i, len(b.Trace)-1)])
			}
		}
		if a.Conflicts != b.Conflicts || a.Parked != b.Parked {
			t.Fatalf("seed %d recorded %d conflicts and parked %d, then %d and %d", seed, a.Conflicts, a.Parked, b.Conflicts, b.Parked)
		}
	}
}

// Each rule of the design, broken, is noticed by the oracle that guards it.
func TestEveryMutationIsNoticed(t *testing.T) {
	guards := map[Mutation]Oracle{
		NoFence:          Rows,
		WindowForgotten:  Rows,
		ClockNotRaised:   Rows,
		CutTooMuch:       Rows,
		MarkDropped:      Rows,
		SeenIgnored:      Rows,
		Pairwise:         Rows,
		ReleasedTooEarly: Agents,
		CheckpointApart:  Ledger,
		EchoKept:         Published,
		RowLost:          Counts,
		RecordLost:       Conflicts,
		CheckpointBack:   Checkpoints,
		HeartbeatsLost:   Window,
		CopyStops:        Rest,
		RowsUnasked:      Rest,
		RowNotWhole:      Rest,
		ImageSummed:      Rows,
		SumRounded:       Rows,
		BaseMoved:        Rows,
		BaseForgotten:    Rows,
		SidesSwapped:     Rows,
		FailureDecided:   Parks,
		CausesIgnored:    Totals,
		ClaimsIgnored:    Rows,
		LesserClaim:      Rows,
		ClaimsHidden:     Rows,
		SpilledLost:      Rows,
	}
	for _, m := range Mutations {
		t.Run(string(m), func(t *testing.T) {
			guard, ok := guards[m]
			if !ok {
				t.Fatal("no oracle guards this rule")
			}
			for seed := uint64(1); seed <= 2000; seed++ {
				o := options(seed)
				o.Mutation, o.Small = m, m == SpilledLost
				if r := Run(t.Context(), o); r.Failed[guard] {
					t.Logf("noticed by seed %d, %d sites, %s: %v", seed, r.Sites, r.Policy, strings.SplitN(r.Err.Error(), "\n", 2)[0])
					return
				}
			}
			t.Error("2000 seeds did not notice")
		})
	}
}
