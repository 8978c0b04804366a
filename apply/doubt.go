package apply

import "context"

// A commit whose answer does not come may have succeeded. Then its rows are in the
// database and its writes are not in the window: nobody may decide on those keys until
// it is known. The reservations of a link in doubt are kept until the link has read
// its checkpoint and brought the window up to it.

// commit commits a transaction that moves the link's checkpoint.
func (l *Link) commit(ctx context.Context, tx Tx) error {
	if err := l.agent.windowFails(); err != nil {
		return err
	}
	err := tx.Commit(ctx)
	if err == nil {
		l.certain() // what was in doubt before was not committed: this would be fenced
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = true
	return err
}

// reserve reserves the keys of g. A link that is driven by steps does not wait.
func (l *Link) reserve(ctx context.Context, g *group) (release func(), err error) {
	if l.stepping {
		free, ok := l.agent.keys.tryReserve(g)
		if !ok {
			return nil, ErrBusy
		}
		return func() { l.release(free) }, nil
	}
	free, err := l.agent.keys.reserve(ctx, g)
	if err != nil {
		return nil, err
	}
	return func() { l.release(free) }, nil
}

// turn is reservations.turn. A link that is driven by steps does not wait.
func (l *Link) turn(ctx context.Context, t *token) (done func(), err error) {
	done, ok, err := l.agent.keys.turn(ctx, t, !l.stepping)
	if err == nil && !ok {
		err = errTurn
	}
	return done, err
}

// release gives a reservation back, or keeps it while the link is in doubt.
func (l *Link) release(free func()) {
	l.mu.Lock()
	if l.doubt {
		l.kept = append(l.kept, free)
		free = func() {}
	}
	l.mu.Unlock()
	free()
}

// certain ends the doubt: the window holds what the checkpoint says is committed.
func (l *Link) certain() {
	l.mu.Lock()
	kept := l.kept
	l.doubt, l.kept = false, nil
	l.mu.Unlock()
	for _, free := range kept {
		free()
	}
}
