package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// A conflict with a local write that came between a fence and the commit is recorded
// after the commit, and a crash may come before that. So what the window was rebuilt
// with is looked at like keys that could not be locked; whether a conflict was recorded
// the database tells. It reaches as far back as the window.

// findings are the last applied writes of keys, of one origin, that the window was
// brought up to date with.
type findings struct {
	works map[conflict.Key]recheck
}

func newFindings() *findings { return &findings{works: map[conflict.Key]recheck{}} }

// note takes the keys of a transaction, or of a part of one, in order.
func (f *findings) note(g *group) {
	for _, k := range g.keys {
		if _, had := f.works[k.key]; had || len(f.works) < recheckLimit {
			f.works[k.key] = recheck{work: k, seq: g.last().Seq, found: true}
		}
	}
}

// expect makes the link look at what was found once capture has read the log.
func (l *Link) expect(f *findings) {
	if _, ok := l.agent.target.(Recorder); !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(f.works), compareKeys)
	for _, k := range keys {
		l.recheck = append(l.recheck, f.works[k])
	}
}

// unrecorded returns those of the works whose conflict is not recorded yet, and forgets
// the others.
func (l *Link) unrecorded(ctx context.Context, found []*keyWork) ([]*keyWork, error) {
	target, ok := l.agent.target.(Recorder)
	if !ok || len(found) == 0 {
		return nil, nil
	}
	var met []Conflict
	var of []*keyWork
	for _, k := range found {
		since, _ := l.metSince(k)
		for _, c := range since {
			met, of = append(met, c), append(of, k)
		}
	}
	recorded, err := target.Recorded(ctx, met)
	if err != nil {
		return nil, fmt.Errorf("asking which conflicts are recorded: %w", err)
	}
	var lacking, known []*keyWork
	for i, k := range of {
		if recorded[i] || l.agent.park.blocks(k.table, k.key) {
			known = append(known, k)
		} else {
			lacking = append(lacking, k)
		}
	}
	l.dropRechecks(known...)
	return lacking, nil
}

// enterAgain puts an applied transaction of a peer into the window again. Whether its
// rows had been locked is not known any more: as if not.
func enterAgain(w *conflict.Window, t *change.Transaction, accepts func(*change.Table) bool) *group {
	g := newGroup([]change.Transaction{*t}, accepts)
	g.enterTruncates(w)
	if t.More || t.Part > 0 {
		enterPart(w, g, func(*keyWork) bool { return true })
		return g
	}
	for _, k := range g.keys {
		w.Applied(k.table, k.key, k.es, false)
	}
	return g
}
