package conflict

import (
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// Where the window keeps versions only, the latest write of a site hides those before it:
// they decide nothing. But a local write that came between a fence and the commit of what
// was applied must be recorded, also when the application wrote the key again before
// anyone looked. So while a key is to be looked at again the window keeps that write.

// watch is on a key that was applied without a row that could be locked.
type watch struct {
	first, last *Tx // of what was applied
	met         latest
	image       []change.Value // that met left; nil: not known
	found       bool
}

func (x *watch) note(l *latest) {
	if !x.last.Saw(l.tx) && !l.tx.Saw(x.first) {
		if x.found && x.met.tx != l.tx {
			x.image = nil
		}
		x.met, x.found = *l, true
		x.met.next = nil
	}
}

// Watch keeps the last local write of k that es, the writes of a peer that are about to be
// committed, do not know, until Unwatch. Keys with lists need none.
func (w *Window) Watch(k Key, es []*Write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.traffic(es[0].Table).versionsOnly {
		return
	}
	x := &watch{first: es[0].Tx, last: es[len(es)-1].Tx}
	w.latest.each(k, func(l *latest) {
		if l.tx.Origin == w.self {
			x.note(l)
		}
	})
	if w.watched == nil {
		w.watched = map[Key][]*watch{}
	}
	w.watched[k] = append(w.watched[k], x)
}

// Unwatch ends a Watch.
func (w *Window) Unwatch(k Key, es []*Write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	xs := w.watched[k]
	i := slices.IndexFunc(xs, func(x *watch) bool { return x.first == es[0].Tx })
	if i < 0 {
		return
	}
	if xs = slices.Delete(xs, i, i+1); len(xs) == 0 {
		delete(w.watched, k)
	} else {
		w.watched[k] = xs
	}
}

// watchLocal shows a local write to those who watch its key.
func (w *Window) watchLocal(k Key, wr *Write) {
	if len(w.watched) == 0 {
		return
	}
	for _, x := range w.watched[k] {
		w.latest.each(k, func(l *latest) {
			if l.tx.Origin == w.self {
				x.note(l)
			}
		})
		if x.found && x.met.tx == wr.Tx {
			x.image = Overlay(x.image, wr.Image)
		}
	}
}

// watchedImage is the image of a write that is kept so; nil: not known.
func (w *Window) watchedImage(k Key, tx *Tx) []change.Value {
	for _, x := range w.watched[k] {
		if x.found && x.met.tx == tx {
			return x.image
		}
	}
	return nil
}

// eachWatched calls f for the writes that are kept although a later one of their site is
// there.
func (w *Window) eachWatched(k Key, f func(*latest)) {
	if len(w.watched) == 0 {
		return
	}
	for _, x := range w.watched[k] {
		hidden := x.found
		w.latest.each(k, func(l *latest) {
			hidden = hidden && l.tx != x.met.tx
		})
		if hidden {
			f(&x.met)
		}
	}
}
