package apply

import (
	"context"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// settleDirty makes rows the fold of their writes where that could be open: after a
// restart, for every key in the window with writes that did not know each other.
// It is a replicated transaction that does not move the checkpoint.
func (l *Link) settleDirty(ctx context.Context, c Checkpoint) error {
	var works []*keyWork
	l.agent.o.Window.Dirty(func(t *change.Table, k conflict.Key, image []change.Value) {
		works = append(works, &keyWork{key: k, table: t, image: image})
	})
	return l.settleKeys(ctx, c, works)
}

// settleRechecks looks again at keys that were written without a lock, once capture
// has read the mark of what wrote them: a local write that reached the log before
// that mark is in the window now, and versioned later.
func (l *Link) settleRechecks(ctx context.Context, c Checkpoint) error {
	var works []*keyWork
	l.mu.Lock()
	for k, r := range l.recheck {
		if l.agent.o.Window.SelfHasSeen(l.from, r.seq) {
			works = append(works, &keyWork{key: k, table: r.table, image: r.image})
			delete(l.recheck, k)
		}
	}
	l.mu.Unlock()
	return l.settleKeys(ctx, c, works)
}

func (l *Link) hasRechecks() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.recheck) > 0
}

func (l *Link) settleKeys(ctx context.Context, c Checkpoint, works []*keyWork) error {
	for _, k := range works {
		g := &group{keys: []*keyWork{k}, byKey: map[conflict.Key]*keyWork{k.key: k}}
		release, err := l.agent.keys.reserve(ctx, g)
		if err != nil {
			return err
		}
		err = l.settleKey(ctx, c, k)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Link) settleKey(ctx context.Context, c Checkpoint, k *keyWork) error {
	if _, ok := l.agent.o.Window.State(k.table, k.key); !ok || l.agent.park.blocks(k.table, k.key) {
		return nil
	}
	c.Previous = c.Seq
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	current, err := tx.Read(ctx, k.table, [][]change.Value{k.image})
	if err != nil {
		return err
	}
	k.current = current[0]
	p, err := tx.LogPosition(ctx)
	if err != nil {
		return err
	}
	if err := l.askFence(ctx, p, 0, l.agent.o.FenceTimeout); err != nil {
		return err
	}
	state, ok := l.agent.o.Window.State(k.table, k.key)
	if !ok || sameImage(state, k.current) {
		return nil
	}
	w, ok := writeFor(k, state)
	if !ok {
		return nil
	}
	if _, err := tx.Write(ctx, []Write{w}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
