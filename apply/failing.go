package apply

import (
	"context"
	"time"
)

// A window that cannot read what it has spilled may have answered as if it had held
// nothing. So every commit asks it before whether all its answers stood; and since it
// will not get well, Run ends with the error: the caller makes another agent with another
// window, which is rebuilt.

// windowFails returns what is wrong with the window; nil: nothing is.
func (a *Agent) windowFails() error { return a.o.Window.Err() }

// commit commits what does not move the checkpoint, unless the window has failed.
func (a *Agent) commit(ctx context.Context, tx Tx) error {
	if err := a.windowFails(); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// watchWindow ends with the error once the window has failed, though no change arrives.
func (a *Agent) watchWindow(ctx context.Context) error {
	for {
		if err := a.windowFails(); err != nil {
			for _, l := range a.links {
				l.fail(err)
			}
			return err
		}
		if sleep(ctx, time.Second) != nil {
			return nil //nolint:nilerr // ctx has ended
		}
	}
}
