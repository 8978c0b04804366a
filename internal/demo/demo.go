package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/concord-db/concord/internal/demo/agents"
)

// Options say how the demo runs.
type Options struct {
	Dir      string        // of everything the demo keeps; made when it is not there
	DB       Databases     // of the sites; Postgres when empty
	For      time.Duration // how long the load writes; 0: until ctx ends
	Program  string        // path of concord
	Rate     float64       // transactions per second that the load attempts at each site
	Out      io.Writer     // what people read
	Terminal bool          // Out is one: the table is drawn in place
}

// catchUp is how long the sides have to catch up when nothing is written any more.
const catchUp = 2 * time.Minute

// minimumLoad is how long the load must have run to promise conflicts.
const minimumLoad = 5 * time.Second

var (
	// ErrDifferent says that the two databases are not equal.
	ErrDifferent = errors.New("the two sides are different")
	// ErrNoConflict says that the load ran for a while without a conflict: equal
	// sides prove little then.
	ErrNoConflict = errors.New("there was no conflict, so that equal sides prove little")
)

// demo is a running demo.
type demo struct {
	o       Options
	sites   [2]*site
	config  string
	writing *writing

	// changing is held while agents or servers are started or ended, and while the
	// sides are compared: one of these at a time.
	changing sync.Mutex
}

// Run plays the demo: it starts everything, writes until ctx ends or for o.For, waits
// until both sides have caught up, compares them, says so on o.Out and ends what it
// started. hard ends all of it at once, without a comparison. The error is
// ErrDifferent or ErrNoConflict when the demo went well and the answer is no.
func Run(ctx, hard context.Context, o Options) (v Verdict, err error) {
	unlock, err := lock(o.Dir)
	if err != nil {
		return v, err
	}
	defer unlock()
	if o.DB == "" {
		o.DB = Postgres
	}
	d := &demo{o: o}
	defer func() { err = errors.Join(err, d.stop(context.WithoutCancel(hard))) }()

	starting, cancel := either(ctx, hard)
	defer cancel()
	if err := d.start(starting); err != nil {
		return v, err
	}
	wrote, err := d.play(ctx, hard)
	if err != nil {
		return v, err
	}
	fmt.Fprintf(o.Out, "\nThe load has ended. Waiting until each side has what the other wrote …\n")
	ending, cancel := context.WithTimeoutCause(hard, catchUp, fmt.Errorf("it did not catch up within %s", catchUp))
	defer cancel()
	if v, err = verify(ending, d.sites, o.DB); err != nil {
		if hard.Err() != nil {
			err = context.Cause(hard)
		}
		return v, err
	}
	v.Print(o.Out)
	switch {
	case !v.Equal():
		return v, ErrDifferent
	case v.Conflicts[0]+v.Conflicts[1] == 0 && wrote > minimumLoad:
		return v, ErrNoConflict
	}
	return v, nil
}

// play lets the load write until ctx ends or for the time of the options, shows what
// happens and takes orders meanwhile. It returns how long that was.
func (d *demo) play(ctx, hard context.Context) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := either(ctx, hard)
	defer cancel()
	if d.o.For > 0 {
		ctx, cancel = context.WithTimeout(ctx, d.o.For)
		defer cancel()
	}
	control, err := listen()
	if err != nil {
		return 0, err
	}
	state := State{DB: d.o.DB, Config: d.config, Control: control.address(), Token: control.token}
	for i, s := range d.sites {
		state.Sites[i] = SiteState{Name: s.name, DSN: s.dsn, HTTP: s.http, Log: s.agent.LogFile()}
	}
	if err := state.write(d.o.Dir); err != nil {
		control.close()
		return 0, err
	}
	fmt.Fprint(d.o.Out, "\nFirst a few conflicts on purpose: two transactions that cannot know of each other.\n\n")
	if err := (&Client{state: state}).Conflict(ctx, d.o.Out); err != nil && ctx.Err() == nil {
		control.close()
		return 0, errors.Join(err, removeState(d.o.Dir))
	}
	d.writing = newWriting(&load{db: d.o.DB, sites: d.sites, rate: d.o.Rate})
	d.writing.start(ctx)
	served := make(chan error, 1)
	go func() { served <- control.serve(ctx, d) }()
	d.greet()
	d.show(ctx, began)
	// No order is taken from here on; one that is under way is cut short.
	err = errors.Join(<-served, removeState(d.o.Dir))
	d.writing.stop()
	if hard.Err() != nil {
		err = errors.Join(context.Cause(hard), err)
	}
	return time.Since(began), err
}

// either returns a context that ends with the first of two.
func either(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}

// stop ends agents and servers: the agents first, so that each has a database until
// its end.
func (d *demo) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	each := func(f func(*site) error) error {
		var errs [2]error
		var wait sync.WaitGroup
		for i, s := range d.sites {
			if s != nil {
				wait.Go(func() { errs[i] = f(s) })
			}
		}
		wait.Wait()
		return errors.Join(errs[:]...)
	}
	return errors.Join(
		each(func(s *site) error {
			if s.agent == nil {
				return nil
			}
			return s.agent.Stop(ctx)
		}),
		each(func(s *site) error { return s.stopServer(ctx) }),
	)
}

// newAgent prepares a site's agent.
func (d *demo) newAgent(s *site) *agents.Agent {
	return agents.New(agents.Options{Program: d.o.Program, Config: d.config, Site: s.name, HTTP: s.http, Log: agentLog(d.o.Dir, s.name)})
}
