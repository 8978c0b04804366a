package conflict

import "fmt"

// Err says that the Store has failed: what the Window has answered since is not to be
// relied upon. Nothing decided by it may be committed unless Err is nil afterwards. It
// stays; the remedy is another Window. errors.Is(err, ErrStore).
func (w *Window) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.latest.failed() {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrStore, w.latest.spilled.err)
}

func (s *latestSet) failed() bool { return s.spilled != nil && s.spilled.err != nil }

// room is how many bytes may be in memory before they make a layer. Another as much may be
// on its way into the store.
func (w *Window) room() int64 {
	filters, _ := w.latest.spilled.bytes()
	used := filters
	for _, b := range w.bulk {
		memory, _ := b.bytes()
		used += memory
	}
	return max((w.memory-used)/2, w.memory/16)
}

// unlockWithinBound unlocks, brings what has grown beyond the bound into the store, and
// waits when that goes slower than it grows.
func (w *Window) unlockWithinBound() {
	var wait chan struct{}
	if s := w.latest.spilled; s != nil && s.err == nil && w.latest.bytes > w.memory/16 && w.latest.bytes > w.room() {
		if wait = w.writing; wait == nil {
			w.spill()
		}
	}
	w.mu.Unlock()
	if wait != nil {
		<-wait
	}
}

// spill makes a layer of what is in memory.
func (w *Window) spill() {
	write, written := w.latest.freeze()
	if w.background == nil {
		write()
		written()
		w.mergeSome()
		return
	}
	done := make(chan struct{})
	w.writing = done
	w.background(func() {
		write()
		w.mu.Lock()
		written()
		w.writing = nil
		w.mergeSome()
		w.mu.Unlock()
		close(done)
	})
}

// Memory is what a Window takes.
type Memory struct {
	Bytes        int64 // in memory, about
	SpilledKeys  int   // in the store; those that have expired count until their layer goes
	SpilledBytes int64
}

// Memory tells what the window takes.
func (w *Window) Memory() Memory {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := Memory{Bytes: w.latest.bytes}
	for _, b := range w.bulk {
		memory, stored := b.bytes()
		m.Bytes += memory
		m.SpilledBytes += stored
		for _, r := range b.spilled {
			m.SpilledKeys += r.keys
		}
	}
	for _, l := range w.lists {
		m.Bytes += l.bytes()
	}
	if s := w.latest.spilled; s != nil {
		filters, stored := s.bytes()
		m.Bytes += filters + int64(len(s.frozen))*entryBytes
		m.SpilledKeys += s.len()
		m.SpilledBytes += stored
	}
	return m
}

func (l *list) bytes() int64 {
	n := int64(400)
	for _, wr := range l.writes {
		n += 200
		for i := range wr.Image {
			n += 24 + int64(len(wr.Image[i].Text))
		}
		for i := range wr.Old {
			n += 24 + int64(len(wr.Old[i].Text))
		}
	}
	return n
}
