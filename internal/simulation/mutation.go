package simulation

import (
	"context"
	"math/rand/v2"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Mutation is one rule of the design, broken: the oracles must notice.
type Mutation string

// The mutations. None breaks nothing.
const (
	None             Mutation = ""
	NoFence          Mutation = "no fence"
	WindowForgotten  Mutation = "window forgotten"
	ClockNotRaised   Mutation = "clock not raised by marks"
	CutTooMuch       Mutation = "compaction without its second condition"
	MarkDropped      Mutation = "a mark dropped"
	SeenIgnored      Mutation = "seen ignored"
	Pairwise         Mutation = "pairwise decisions instead of the fold"
	ReleasedTooEarly Mutation = "log released before it is stored"
	CheckpointApart  Mutation = "checkpoint not in the same transaction"
	EchoKept         Mutation = "replicated transactions published"
	RowLost          Mutation = "a row change lost on its way"
	RecordLost       Mutation = "a conflict not recorded"
	CheckpointBack   Mutation = "a checkpoint moved back"
	HeartbeatsLost   Mutation = "heartbeats not published"
	CopyStops        Mutation = "a relay that stops"
	RowsUnasked      Mutation = "rows that changes wait for not asked for"
	RowNotWhole      Mutation = "a row published again without its large values"
	ImageSummed      Mutation = "a counter set to the image instead of changed by the difference"
	SumRounded       Mutation = "a sum rounded"
	BaseMoved        Mutation = "a fold begun at the row before its last write"
	BaseForgotten    Mutation = "a rule told what was there at the end as what both knew"
	SidesSwapped     Mutation = "a rule given older and newer the wrong way round at one site"
	FailureDecided   Mutation = "a rule that failed overruled instead of parked"
	CausesIgnored    Mutation = "an effect applied before its cause"
	ClaimsIgnored    Mutation = "rows with one value of a unique key decided one by one"
	LesserClaim      Mutation = "a value of a unique key given to the lesser claim"
	ClaimsHidden     Mutation = "claims of a unique key not seen at one site"
	SpilledLost      Mutation = "a write lost in the store of the window"
)

// Mutations lists all but None.
var Mutations = []Mutation{
	NoFence, WindowForgotten, ClockNotRaised, CutTooMuch, MarkDropped, SeenIgnored,
	Pairwise, ReleasedTooEarly, CheckpointApart, EchoKept, RowLost, RecordLost,
	CheckpointBack, HeartbeatsLost, CopyStops, RowsUnasked, RowNotWhole,
	ImageSummed, SumRounded, BaseMoved, BaseForgotten, SidesSwapped, FailureDecided, CausesIgnored,
	ClaimsIgnored, LesserClaim, ClaimsHidden, SpilledLost,
}

// rules are the window's at a site.
func (m Mutation) rules(at change.Site) conflict.Rules {
	r := conflict.DefaultRules()
	if twist := m.fold(at); twist != nil {
		r.Fold = twist
	}
	if joint := m.joint(at); joint != nil {
		r.Joint = joint
	}
	switch m {
	case CutTooMuch:
		r.Cut = func(writes []*conflict.Write, everyoneSaw func(*conflict.Write) bool) int {
			n := 0
			for n < len(writes) && everyoneSaw(writes[n]) {
				n++
			}
			return n
		}
	case Pairwise:
		r.Fold = func(p conflict.Policy, base conflict.State, writes []*conflict.Write, arrived int) conflict.State {
			if arrived < 0 {
				return conflict.Fold(p, base, writes)
			}
			var others []*conflict.Write
			for i, w := range writes {
				if i != arrived {
					others = append(others, w)
				}
			}
			if len(others) == 0 {
				return conflict.Fold(p, base, writes)
			}
			state := conflict.Fold(p, base, others)
			mine, last := writes[arrived], others[len(others)-1]
			if mine.Tx.Version().Less(last.Tx.Version()) {
				state.Image = conflict.Overlay(state.Image, mine.Image)
				return p.Step(state, last, []*conflict.Write{mine})
			}
			return p.Step(state, mine, []*conflict.Write{last})
		}
	}
	return r
}

// twist changes what capture reads of the log.
func (m Mutation) twist(r *rand.Rand) func(*capture.Event) {
	switch m {
	case ClockNotRaised:
		return func(e *capture.Event) { e.Mark.HLC = 0 }
	case MarkDropped:
		return func(e *capture.Event) {
			if e.Kind == capture.Replicated && r.IntN(3) == 0 {
				*e = capture.Event{Kind: capture.Progress, Position: e.Position}
			}
		}
	case HeartbeatsLost:
		return func(e *capture.Event) {
			if !e.Heartbeat.IsZero() {
				*e = capture.Event{Kind: capture.Progress, Position: e.Position}
			}
		}
	case EchoKept:
		return func(e *capture.Event) {
			if e.Kind == capture.Replicated && r.IntN(3) == 0 {
				e.Kind = capture.Local
				e.CommitTime = start
			}
		}
	}
	return nil
}

// log is what apply and the window are told of a stream.
func (m Mutation) log(f *frames) apply.Log {
	switch m {
	case SeenIgnored:
		return twistedLog{f, func(t *change.Transaction) {
			all := change.Seen{}
			for _, o := range []change.Site{"s0", "s1", "s2", "s3", "s4"} {
				all[o] = 1 << 40
			}
			t.Seen = all
		}}
	case WindowForgotten:
		return twistedLog{f, func(t *change.Transaction) { t.Rows = nil }}
	}
	return f
}

// lose takes a row change out of the transactions handed to apply.
func (m Mutation) lose(r *rand.Rand, txs []change.Transaction) []change.Transaction {
	if m != RowLost || r.IntN(3) > 0 {
		return txs
	}
	out := append([]change.Transaction(nil), txs...)
	t := &out[r.IntN(len(out))]
	if n := len(t.Rows); n > 0 {
		t.Rows = t.Rows[:n-1]
	}
	return out
}

// twistedLog changes every transaction read.
type twistedLog struct {
	*frames
	twist func(*change.Transaction)
}

func (l twistedLog) Open(ctx context.Context, epoch uint32, after uint64) (change.FrameReader, error) {
	r, err := l.frames.Open(ctx, epoch, after)
	return twistedReader{r, l.twist}, err
}

type twistedReader struct {
	change.FrameReader
	twist func(*change.Transaction)
}

func (r twistedReader) Next(ctx context.Context) (*change.Frame, error) {
	f, err := r.FrameReader.Next(ctx)
	if err != nil {
		return nil, err
	}
	for i := range f.Transactions {
		r.twist(&f.Transactions[i])
	}
	return f, nil
}
