package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Options configure an Agent. Zero values take the defaults named.
type Options struct {
	Site change.Site

	// Window is shared with capture in one process.
	Window *conflict.Window
	// FeedWindow says that capture runs in another process: the agent feeds the
	// window itself from the site's own stream.
	FeedWindow bool

	// Own is the site's own stream, Logs the local copies of the peers' streams.
	Own  Log
	Logs map[change.Site]Log

	// Policy gives the policy of a table.
	Policy func(*change.Table) conflict.Policy
	// NoteRules is told the rules that come with a peer's frames, before anything of the
	// frame is applied; an error is tried again. The window asks what follows from them
	// (conflict.WindowOptions.Disputed: an ErrRulesDiffer). nil: nobody asks.
	NoteRules func(ctx context.Context, from change.Site, rules change.Rules) error
	// Accepts says whether a table is replicated from an origin to here, by the
	// rules of this site. nil: all are.
	Accepts func(t *change.Table, from change.Site) bool
	// OneWay says that no application writes the table here: its groups need no
	// fence. nil: none is.
	OneWay func(t *change.Table, from change.Site) bool

	// Rows asks a site to publish rows again, whole, and returns its replies in the order of
	// the requests (GiveRows there). nil: nobody can be asked.
	Rows func(ctx context.Context, of change.Site, requests []change.RowRequest) ([]change.RowReply, error)

	// Stop: a change that the database refuses stops the link instead of being
	// parked.
	Stop bool

	GroupRows    int           // row changes in one target transaction; 4000. Up to eight times as many where keys are contended
	FenceTimeout time.Duration // locks are held no longer than this for a fence; 1 s
	MaxDrift     time.Duration // refuse frames whose clock is further ahead; 0: any
	SchemaRetry  time.Duration // between looks whether a missing column has come; 1 s
	CausalWait   time.Duration // for what an origin had applied of others to come here first; 10 s

	Logger *slog.Logger
	// Hook is called at named points of the path to a commit; the simulation crashes
	// there. nil in production.
	Hook func(point string) error
	// Pause waits between the tries of a group; the simulation lets the world go on
	// instead. nil: it waits d, or until ctx ends.
	Pause func(ctx context.Context, d time.Duration) error
}

// Agent applies the changes of all peers to one database. Make it with New; Run
// may be called once.
type Agent struct {
	target Target
	fence  Fence
	o      Options
	log    *slog.Logger

	keys  *reservations
	links map[change.Site]*Link
	park  *parkedKeys

	progress progress

	round int // of asking for rows
	asked map[conflict.Key]asked

	mu      sync.Mutex
	rebuilt bool
}

// New returns an agent that writes to target and asks fence before it commits. It
// connects nothing.
func New(target Target, fence Fence, o Options) *Agent {
	if o.GroupRows == 0 {
		o.GroupRows = 4000
	}
	if o.FenceTimeout == 0 {
		o.FenceTimeout = time.Second
	}
	if o.CausalWait == 0 {
		o.CausalWait = 10 * time.Second
	}
	if o.SchemaRetry == 0 {
		o.SchemaRetry = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Hook == nil {
		o.Hook = func(string) error { return nil }
	}
	if o.Pause == nil {
		o.Pause = sleep
	}
	if o.Accepts == nil {
		o.Accepts = func(*change.Table, change.Site) bool { return true }
	}
	if o.OneWay == nil {
		o.OneWay = func(*change.Table, change.Site) bool { return false }
	}
	a := &Agent{target: target, fence: fence, o: o, log: o.Logger, keys: newReservations(), park: newParkedKeys()}
	a.links = map[change.Site]*Link{}
	for from, log := range o.Logs {
		a.links[from] = newLink(a, from, log)
	}
	return a
}

// Link returns the link from a peer; nil when there is none.
func (a *Agent) Link(from change.Site) *Link { return a.links[from] }

// peers lists the other sites in order.
func (a *Agent) peers() []change.Site { return slices.Sorted(maps.Keys(a.links)) }

// Status returns a snapshot of every link.
func (a *Agent) Status() []LinkStatus {
	var out []LinkStatus
	for _, l := range a.links {
		out = append(out, l.Status())
	}
	return out
}

// Rebuild brings the window to where it was: it reads what the checkpoints say is
// applied and takes the writes that may still be in flight from the site's own
// copies of the streams. It must return before capture feeds the window, and
// before Run. A second call does nothing.
func (a *Agent) Rebuild(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rebuilt {
		return nil
	}
	points, err := a.target.Checkpoints(ctx)
	if err != nil {
		return fmt.Errorf("reading checkpoints: %w", err)
	}
	if err := rebuild(ctx, a, points); err != nil {
		return fmt.Errorf("rebuilding the window: %w", err)
	}
	if err := a.windowFails(); err != nil {
		return fmt.Errorf("rebuilding the window: %w", err)
	}
	for from, l := range a.links {
		l.mu.Lock()
		l.status.Applied = points[from]
		l.mu.Unlock()
	}
	if err := a.park.load(ctx, a.target); err != nil {
		return fmt.Errorf("reading parked changes: %w", err)
	}
	a.rebuilt = true
	return nil
}

// Run applies until ctx ends, and then returns nil. Faults are retried, what needs
// a person is shown in Status. When the window has failed it returns that error
// (conflict.ErrStore), and another agent with another window is to be made. It rebuilds the window first if that was not done.
func (a *Agent) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := a.Rebuild(ctx)
		if err == nil {
			break
		}
		for _, l := range a.links {
			l.fail(err)
		}
		if errors.Is(err, conflict.ErrStore) {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range a.links {
		g.Go(func() error { return l.run(ctx) })
	}
	if a.o.FeedWindow {
		g.Go(func() error { return feedWindow(ctx, a) })
	}
	g.Go(func() error { return a.followParked(ctx) })
	g.Go(func() error { return a.askForRows(ctx) })
	g.Go(func() error { return a.watchWindow(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// followParked notices what a person applied or discarded.
func (a *Agent) followParked(ctx context.Context) error {
	for sleep(ctx, 2*time.Second) == nil {
		if !a.park.any() {
			continue
		}
		if err := a.park.load(ctx, a.target); err != nil && ctx.Err() == nil {
			a.log.Warn("reading parked changes", "error", err)
		}
	}
	return nil
}

// TrimBounds returns, per origin (this site's own stream included), the seq up to
// which neither apply nor the window needs the stored stream any more. What was
// applied is counted only when it had been applied for longer than a crash of the
// database could take back: callers hold each answer back for a minute.
func (a *Agent) TrimBounds() map[change.Site]uint64 {
	out := map[change.Site]uint64{a.o.Site: a.o.Window.Low(a.o.Site)}
	for from, l := range a.links {
		out[from] = min(a.o.Window.Low(from), l.Status().Applied.Seq)
		for _, h := range l.Holds() {
			out[from] = min(out[from], h.From-1)
		}
		if out[from] > 0 {
			out[from]-- // the frame of the checkpoint itself carries seen, for the next rebuild
		}
	}
	return out
}
