package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Hold is a table of one origin that is held back, because it, or a column, does
// not exist here. Everything else goes on; the table's changes wait in the local
// copy of the stream and are applied from there when what was missing has come.
// It is a row of concord.hold, written in the transaction that first skips a change
// of the table.
type Hold struct {
	Origin  change.Site
	Table   string   // schema.name
	From    uint64   // first seq whose changes of the table are not applied
	Columns []string // what the table lacked; empty: there is no such table
	Message string
	Since   time.Time
	// Low tells, per origin, up to where the window held nothing when the hold began:
	// from there on it must be kept and, after a restart, rebuilt, so that the held
	// changes are decided against everything that was written meanwhile.
	Low change.Seen
}

// Holder is what a Target and its Tx do for holds.
type Holder interface {
	Holds(ctx context.Context) ([]Hold, error)
}

// HoldTx writes holds in the transaction that they belong to.
type HoldTx interface {
	// Hold inserts or updates the hold of an origin's table; From only falls unless
	// moved is set.
	Hold(ctx context.Context, h Hold, moved bool) error
	Unhold(ctx context.Context, origin change.Site, table string) error
}

// holds is a link's set of held tables.
type holds struct {
	byTable map[string]*Hold
	unsaved map[string]bool
	loaded  bool
}

func (l *Link) loadHolds(ctx context.Context) error {
	h, ok := l.agent.target.(Holder)
	if !ok {
		return nil
	}
	all, err := h.Holds(ctx)
	if err != nil {
		return fmt.Errorf("reading held tables: %w", err)
	}
	l.mu.Lock()
	kept := map[string]*Hold{}
	for table := range l.holds.unsaved {
		kept[table] = l.holds.byTable[table]
	}
	for i := range all {
		if all[i].Origin == l.from {
			kept[all[i].Table] = &all[i]
		}
	}
	l.holds.byTable, l.holds.loaded = kept, true
	l.mu.Unlock()
	if len(kept) == 0 {
		l.agent.thaw() // a crash of the database may have taken the last one back
	}
	return nil
}

// held reports whether changes of a table wait.
func (l *Link) held(table string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holds.byTable[table] != nil
}

// Holds returns the tables held back now.
func (l *Link) Holds() []Hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Hold
	for _, h := range l.holds.byTable {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b Hold) int { return int(a.Since.Sub(b.Since)) })
	return out
}

// hold begins to hold a table back from seq on. It reports false when the target
// cannot remember it: then the whole link waits.
func (l *Link) hold(e *SchemaError, seq uint64) bool {
	if _, ok := l.agent.target.(Holder); !ok {
		return false
	}
	low := l.agent.o.Window.Freeze()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holds.byTable == nil {
		l.holds.byTable = map[string]*Hold{}
	}
	if l.holds.unsaved == nil {
		l.holds.unsaved = map[string]bool{}
	}
	h := l.holds.byTable[e.Table]
	if h == nil {
		h = &Hold{Origin: l.from, Table: e.Table, From: seq, Since: time.Now(), Low: low}
		l.holds.byTable[e.Table] = h
		l.log.Warn("table held back", "table", e.Table, "from_seq", seq, "reason", e.Error())
	}
	h.From = min(h.From, seq)
	h.Message = e.Error()
	missing := e.Missing
	if len(missing) == 0 && e.Column != "" {
		missing = []string{e.Column}
	}
	for _, c := range missing {
		if !slices.Contains(h.Columns, c) {
			h.Columns = append(h.Columns, c)
		}
	}
	l.holds.unsaved[e.Table] = true
	return true
}

// saveHolds writes holds that no transaction has written yet.
func (l *Link) saveHolds(ctx context.Context, tx Tx) (saved func(), err error) {
	l.mu.Lock()
	var todo []Hold
	for table := range l.holds.unsaved {
		todo = append(todo, *l.holds.byTable[table])
	}
	l.mu.Unlock()
	if len(todo) == 0 {
		return func() {}, nil
	}
	ht, ok := tx.(HoldTx)
	if !ok {
		return nil, errors.New("the target cannot hold tables back")
	}
	for _, h := range todo {
		if err := ht.Hold(ctx, h, false); err != nil {
			return nil, err
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, h := range todo {
			if now := l.holds.byTable[h.Table]; now != nil && now.From == h.From {
				delete(l.holds.unsaved, h.Table)
			}
		}
	}, nil
}

// releaseHolds tries, for each held table, to apply what waited. Nothing else of
// the link is in flight. c is the checkpoint as it stands; it does not move.
func (l *Link) releaseHolds(ctx context.Context, c Checkpoint) error {
	for _, h := range l.Holds() {
		err := l.releaseHold(ctx, c, h)
		var schema *SchemaError
		if err != nil && !errors.As(err, &schema) {
			return fmt.Errorf("applying what waited for table %s: %w", h.Table, err)
		}
	}
	return nil
}

func (l *Link) releaseHold(ctx context.Context, c Checkpoint, h Hold) error {
	var txs []change.Transaction
	rows, before := 0, 0
	flush := func(next uint64, last bool) error {
		err := l.replayHeld(ctx, c, &h, txs, next, last)
		txs, rows = nil, 0
		return err
	}
	var failed error
	err := replay(ctx, l.source, c.Epoch, h.From-1, c.Seq, func(t *change.Transaction) {
		if failed != nil {
			return
		}
		mine := *t
		if t.Part == 0 {
			before = 0
		}
		mine.Before = before
		before += len(t.Rows)
		if !slices.ContainsFunc(t.Rows, func(r change.Row) bool { return r.Table.QualifiedName() == h.Table }) {
			return
		}
		if mustBeExact(&mine) && len(txs) > 0 || rows > 0 && mustBeExact(&txs[0]) {
			failed = flush(mine.Seq, false)
		}
		txs = append(txs, mine)
		if rows += len(mine.Rows); rows >= l.agent.o.GroupRows && !t.More {
			failed = flush(mine.Seq+1, false)
		}
	})
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	if err := flush(c.Seq+1, true); err != nil {
		return err
	}
	l.mu.Lock()
	delete(l.holds.byTable, h.Table)
	delete(l.holds.unsaved, h.Table)
	none := len(l.holds.byTable) == 0
	l.mu.Unlock()
	if none {
		l.agent.thaw()
	}
	l.log.Info("table caught up", "table", h.Table)
	return nil
}

// thaw lets the window forget again once it is known that no link holds a table back.
func (a *Agent) thaw() {
	for _, l := range a.links {
		l.mu.Lock()
		none := l.holds.loaded && len(l.holds.byTable) == 0
		l.mu.Unlock()
		if !none {
			return
		}
	}
	a.o.Window.Thaw()
}

// replayHeld applies waiting changes of one table in a target transaction of their
// own, which also moves the hold.
func (l *Link) replayHeld(ctx context.Context, c Checkpoint, h *Hold, txs []change.Transaction, next uint64, last bool) error {
	c.Previous = c.Seq
	w := settledWay
	for tries := 0; ; tries++ {
		err := l.replayOnce(ctx, c, h, txs, next, last, w)
		var schema *SchemaError
		switch {
		case err == nil:
			h.From = next
			return nil
		case errors.Is(err, errSurprise) && tries < 20:
			continue
		case errors.Is(err, errApart):
		case errors.As(err, &schema), !errors.Is(err, ErrRejected), w == rowWay:
			return err
		}
		if w = rowWay; len(txs) > 1 { // one by one, to find what is refused
			for i := range txs {
				end := i == len(txs)-1
				to := next
				if !end {
					to = txs[i+1].Seq
				}
				if err := l.replayHeld(ctx, c, h, txs[i:i+1], to, last && end); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

func (l *Link) replayOnce(ctx context.Context, c Checkpoint, h *Hold, txs []change.Transaction, next uint64, last bool, w way) error {
	tx, err := l.agent.target.Begin(ctx, c)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	t := try{l: l, tx: tx}
	if len(txs) > 0 {
		t.g = newGroup(txs, l.agent.acceptsOnly(l.from, h.Table))
		t.g.lacked = h.Columns
		if t.g.exact && w < orderedWay {
			w = orderedWay
		}
		release, err := l.reserve(ctx, t.g)
		if err != nil {
			return err
		}
		defer release()
		err = l.execute(ctx, &t, w)
		defer func() { t.joint.end(l) }()
		if err != nil {
			return err
		}
		if err := tx.Record(ctx, t.out.conflicts, t.out.parkedChanges); err != nil {
			return err
		}
		// The window has them before the commit, whose answer may be lost: should they
		// not be committed they come again, and nothing here has forgotten them.
		t.g.enterTruncates(l.agent.o.Window)
		for _, k := range t.g.keys {
			l.agent.o.Window.Applied(k.table, k.key, k.es, false)
		}
	}
	ht, ok := tx.(HoldTx)
	if !ok {
		return errors.New("the target cannot hold tables back")
	}
	if last {
		err = ht.Unhold(ctx, h.Origin, h.Table)
	} else {
		moved := *h
		moved.From = next
		err = ht.Hold(ctx, moved, true)
	}
	if err != nil {
		return err
	}
	if err := l.agent.commit(ctx, tx); err != nil {
		return err
	}
	if len(txs) == 0 {
		return nil
	}
	l.agent.park.add(t.out.parkedChanges)
	l.countRows(&t.out)
	l.awaitRecheck(t.keys(), t.out.unlocked, c.Seq)
	return l.recheckNow(ctx, c, nil)
}

// lackedOnly returns, for a held write that lost against one made while its table
// lacked columns here, the image of those columns alone: at the other sites that
// later write did not touch them either. nil when there are none.
func lackedOnly(k *keyWork, lacked []string) []change.Value {
	if k.final == nil || k.current == nil {
		return nil
	}
	var out []change.Value
	for _, name := range lacked {
		i := k.table.Column(name)
		if i < 0 || k.final[i].State == change.Unchanged {
			continue
		}
		if out == nil {
			out = make([]change.Value, len(k.final))
			for _, j := range k.table.Key {
				out[j] = k.image[j]
			}
		}
		out[i] = k.final[i]
	}
	return out
}

// restoreHolds makes the window keep what held tables need, and returns the holds.
func (a *Agent) restoreHolds(ctx context.Context) ([]Hold, error) {
	h, ok := a.target.(Holder)
	if !ok {
		return nil, nil
	}
	all, err := h.Holds(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	low := change.Seen{}
	for i := range all {
		for o, n := range all[i].Low {
			if have, ok := low[o]; !ok || n < have {
				low[o] = n
			}
		}
	}
	a.o.Window.FreezeAt(low)
	return all, nil
}

// applied tells which tables' changes of t are applied here, given that it is not
// beyond the checkpoint.
func (a *Agent) applied(t *change.Transaction, holds []Hold) func(*change.Table) bool {
	return func(table *change.Table) bool {
		if t.Origin == a.o.Site {
			return true
		}
		name := table.QualifiedName()
		return a.o.Accepts(table, t.Origin) && !slices.ContainsFunc(holds, func(h Hold) bool {
			return h.Origin == t.Origin && h.Table == name && h.From <= t.Seq
		})
	}
}
