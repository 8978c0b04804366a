package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// RowTarget is a Target whose log may leave out values of a row.
type RowTarget interface {
	// Republish writes the row with that key again as it is, as an ordinary local write that
	// the log has whole, and removes parked changes in the same transaction. It reports
	// whether there is such a row; where there is none nothing is done.
	Republish(ctx context.Context, table *change.Table, key []change.Value, parked []Parked) (bool, error)
	// UnparkVacant removes parked changes when there is no row with that key, and reports
	// whether there was none.
	UnparkVacant(ctx context.Context, table *change.Table, key []change.Value, parked []Parked) (bool, error)
}

const (
	// rowsEvery is how long a round of asking for rows takes.
	rowsEvery = time.Second
	// rowsAtOnce is how many rows a site is asked for at once.
	rowsAtOnce = 100
	// rowsRest is how many rounds a row is not asked for again, at most: what was published
	// must first come here.
	rowsRest = 64
)

// asked is when a row is asked for again, in rounds.
type asked struct{ pause, at int }

// askForRows asks for the rows that parked changes wait for until ctx ends.
func (a *Agent) askForRows(ctx context.Context) error {
	for sleep(ctx, rowsEvery) == nil {
		if _, err := a.AskRows(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("asking for rows that changes wait for", "error", err)
		}
	}
	return nil
}

// AskRows is one round of asking the origins for the rows that parked changes wait for,
// each less and less often, and returns how many there are. Run does this all the time;
// simulations that drive links by Step call it. Not to be called concurrently.
func (a *Agent) AskRows(ctx context.Context) (waiting int, err error) {
	target, ok := a.target.(RowTarget)
	if !ok || a.o.Rows == nil {
		return 0, nil
	}
	a.round++
	rows := a.park.awaited()
	due := map[change.Site][]parkedKey{}
	again := map[conflict.Key]asked{}
	for _, row := range rows {
		was := a.asked[row.key]
		if was.at > a.round {
			again[row.key] = was
			continue
		}
		pause := min(max(1, 2*was.pause), rowsRest)
		again[row.key] = asked{pause: pause, at: a.round + pause}
		origin := row.greatest().Origin
		due[origin] = append(due[origin], row)
	}
	a.asked = again
	for _, origin := range a.peers() {
		for all := due[origin]; len(all) > 0; {
			n := min(rowsAtOnce, len(all))
			err = errors.Join(err, a.askSite(ctx, target, origin, all[:n]))
			all = all[n:]
		}
	}
	return len(rows), err
}

// askSite asks one site for rows, and settles what waits for rows that are no more.
func (a *Agent) askSite(ctx context.Context, target RowTarget, origin change.Site, rows []parkedKey) error {
	requests := make([]change.RowRequest, len(rows))
	seen := a.seen()
	for i := range rows {
		r := &requests[i]
		r.Table, r.Key = rowOf(rows[i].table, rows[i].image)
		r.Above, r.Seen = rows[i].greatest(), seen
	}
	replies, err := a.o.Rows(ctx, origin, requests)
	if err != nil {
		return fmt.Errorf("asking %s for %d rows: %w", origin, len(rows), err)
	}
	for i := range min(len(rows), len(replies)) {
		if replies[i] != change.RowGone {
			continue
		}
		// Who had seen all that waits here has no such row. When there is none here either,
		// nothing is left to wait for; else what took it away is still to come.
		gone, err := target.UnparkVacant(ctx, requests[i].Table, requests[i].Key, rows[i].waits)
		if err != nil {
			return fmt.Errorf("settling what waits for a row that is gone: %w", err)
		}
		if gone {
			a.park.settled(map[conflict.Key][]Parked{rows[i].key: rows[i].waits})
		}
	}
	return nil
}

// seen is what has been settled here, the local transactions included.
func (a *Agent) seen() change.Seen {
	seen := change.Seen{a.o.Site: a.o.Window.LocalSeq()}
	for from, l := range a.links {
		seen[from] = l.Status().Applied.Seq
	}
	return seen
}

// GiveRows answers the requests of another site: it publishes rows again, whole. An answer
// is given only when everything that the asking site has seen has been applied here, and
// nothing above what waits there waits here too.
func (a *Agent) GiveRows(ctx context.Context, requests []change.RowRequest) ([]change.RowReply, error) {
	target, ok := a.target.(RowTarget)
	if !ok {
		return nil, fmt.Errorf("%w: the log of this site leaves nothing out", change.ErrRefused)
	}
	replies := make([]change.RowReply, len(requests))
	for i := range requests {
		var err error
		if replies[i], err = a.giveRow(ctx, target, &requests[i]); err != nil {
			return nil, fmt.Errorf("publishing a row of %s again: %w", requests[i].Table.QualifiedName(), err)
		}
	}
	return replies, nil
}

func (a *Agent) giveRow(ctx context.Context, target RowTarget, r *change.RowRequest) (change.RowReply, error) {
	if len(r.Table.Key) == 0 || len(r.Key) != len(r.Table.Columns) {
		return "", fmt.Errorf("%w: the request names no row", change.ErrRefused)
	}
	for o, n := range r.Seen {
		if l := a.links[o]; l != nil && l.Status().Applied.Seq < n {
			return change.RowLater, nil
		}
	}
	key, _ := conflict.KeyOf(r.Table, r.Key, nil)
	var lesser []Parked
	if a.park.blocks(r.Table, key) {
		lesser = a.park.awaits(r.Table, key)
		if len(lesser) == 0 {
			return change.RowLater, nil // a person settles it
		}
		for i := range lesser {
			if r.Above.Less(lesser[i].version()) {
				return change.RowLater, nil
			}
		}
	}
	there, err := target.Republish(ctx, r.Table, r.Key, lesser)
	if err != nil {
		return "", err
	}
	if !there {
		return change.RowGone, nil
	}
	if len(lesser) > 0 {
		a.park.settled(map[conflict.Key][]Parked{key: lesser})
	}
	return change.RowPublished, nil
}
