package conflict

import "github.com/concord-db/concord/internal/change"

// dispute gives a decision that a rule would have to make to a person when the sites
// would not decide alike. What knew of everything is decided by nobody: it follows.
func (w *Window) dispute(t *change.Table, d Decision) Decision {
	if d.Known || d.Joint || len(d.Met) == 0 {
		return d
	}
	if err := w.disputed(t); err != nil {
		d.Err = err
	}
	return d
}

// disputedWith is dispute for rows that are decided together: mine met what it did not
// know on one of them.
func (w *Window) disputedWith(mine *Tx, t *change.Table, lists [][]*Write) error {
	for _, writes := range lists {
		for _, h := range writes {
			if h.Tx.Origin != mine.Origin && !mine.Saw(h.Tx) && !h.Tx.Saw(mine) {
				return w.disputed(t)
			}
		}
	}
	return nil
}
