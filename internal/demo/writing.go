package demo

import (
	"context"
	"sync"
)

// writing is a load that can be stopped and started again.
type writing struct {
	load *load

	mu     sync.Mutex
	cancel context.CancelFunc // nil while nothing is written
	done   chan struct{}
}

func newWriting(l *load) *writing { return &writing{load: l} }

// start lets the load write until stop, or ctx ends. Nothing happens while it writes.
func (w *writing) start(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		return
	}
	ctx, w.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	w.done = done
	go func() {
		defer close(done)
		w.load.run(ctx)
	}()
}

// stop returns when the last transaction of the load has ended.
func (w *writing) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.done
	w.cancel = nil
}
