package conflict

import "github.com/concord-db/concord/internal/change"

// Freeze makes the window keep everything it holds now and all that comes, until
// Thaw: changes that wait (for a table to be altered) will be decided against it.
// It returns, per origin, the bound below which nothing is held. A second call
// returns the same bounds.
func (w *Window) Freeze() change.Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen == nil {
		w.frozen = change.Seen{w.self: w.bound(w.self)}
		for _, p := range w.peers {
			w.frozen[p] = w.bound(p)
		}
	}
	return w.frozen.Clone()
}

// FreezeAt is Freeze after a restart, with the bounds remembered.
func (w *Window) FreezeAt(low change.Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = low.Clone()
}

// Thaw ends Freeze.
func (w *Window) Thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = nil
}
