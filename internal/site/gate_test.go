package site

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// What runs behind a gate begins when it opens, is told when it shuts, and begins
// again when it opens again.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := newGate()
		inside, began := 0, 0
		done := make(chan error, 1)
		go func() {
			done <- g.while(ctx, func(ctx context.Context) error {
				inside, began = inside+1, began+1
				<-ctx.Done()
				inside--
				return ctx.Err()
			})
		}()
		expect := func(what string, wantInside, wantBegan int) {
			t.Helper()
			synctest.Wait()
			if inside != wantInside || began != wantBegan {
				t.Errorf("%s: %d inside, %d begun, want %d and %d", what, inside, began, wantInside, wantBegan)
			}
		}
		expect("before it is set", 0, 0)
		g.openUnlessDecided()
		expect("open", 1, 1)
		g.set(true)
		expect("opened twice", 1, 1)
		g.set(false)
		expect("shut", 0, 1)
		g.openUnlessDecided()
		expect("shut, and decided", 0, 1)
		g.set(true)
		expect("open again", 1, 2)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("its end: %v", err)
		}
	})
}

func TestWhatEndsBehindAGateEndsIt(t *testing.T) {
	g := newGate()
	g.set(true)
	failed := errors.New("failed")
	if err := g.while(t.Context(), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}
