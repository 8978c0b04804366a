package apply

import (
	"slices"
	"sort"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// group is consecutive whole transactions of one origin that become one target
// transaction, with the changes of each key folded to their net effect.
type group struct {
	txs  []change.Transaction
	keys []*keyWork // in key order: two agents lock rows in the same order
	rows int        // row changes, those left out included

	// exact: the group is one transaction that must be executed in its own order: it
	// truncates, or moves a key.
	exact bool
	// passing: one transaction takes a value of a unique key and a later one gives it up.
	// The whole group would never hold the value, and an application could take it
	// unnoticed: they are settled one by one.
	passing bool
	// wiped: the truncates of the transaction; nil when there are none.
	wiped conflict.Wiped
	// accepts tells which tables the group is about: held changes that are applied at
	// last are of a table that the link otherwise leaves out.
	accepts func(*change.Table) bool
	// skipped row changes: tables that are not replicated here by this site's rules.
	skipped int

	// link is whose group it is when it has no transactions.
	link change.Site
	// lacked: the group was held back because these columns were missing here.
	lacked []string

	byKey    map[conflict.Key]*keyWork
	reserved []conflict.Key // see reserves
	token    *token         // of what is reserved
	buf      []byte
}

// keyWork is what a group does to one key.
type keyWork struct {
	key   conflict.Key
	table *change.Table
	image []change.Value // names the row: only key columns count
	es    []*conflict.Write
	first change.Op      // the first write's: tells whether the row existed before
	final []change.Value // after the last write, with what earlier ones carry; nil: no row
	rows  int            // row changes folded into it

	decision conflict.Decision
	current  []change.Value // the row as read and locked; only in the settled path
	read     bool
	vacated  []change.Value // the row was taken away for a moment; it was this
	written  bool           // a row was made where there was none: its key is locked
}

// op is the net operation of the whole group on the key; 0: nothing is left of it.
func (k *keyWork) op() change.Op {
	existed := k.first != change.Insert
	switch {
	case existed && k.final != nil:
		return change.Update
	case existed:
		return change.Delete
	case k.final != nil:
		return change.Insert
	}
	return 0
}

func (g *group) first() *change.Transaction { return &g.txs[0] }
func (g *group) last() *change.Transaction  { return &g.txs[len(g.txs)-1] }

// hlc is the greatest clock of the group: an origin's clock only grows.
func (g *group) hlc() uint64 { return g.last().HLC }

// mustBeExact reports whether a transaction cannot be folded with others.
func mustBeExact(t *change.Transaction) bool {
	for i := range t.Rows {
		if t.Rows[i].Op == change.Truncate || t.Rows[i].MovesKey() {
			return true
		}
	}
	return false
}

// newGroup folds txs, which are whole, of one origin and in order. accepts tells
// which tables are replicated here.
func newGroup(txs []change.Transaction, accepts func(*change.Table) bool) *group {
	g := &group{txs: txs, accepts: accepts, exact: len(txs) == 1 && mustBeExact(&txs[0])}
	n := 0
	for i := range txs {
		n += len(txs[i].Rows)
	}
	g.byKey = make(map[conflict.Key]*keyWork, n)
	slab := make([]keyWork, 0, n)
	for i := range txs {
		slab = g.add(&txs[i], slab)
	}
	sort.Slice(g.keys, func(i, j int) bool { return g.keys[i].key.Less(g.keys[j].key) })
	return g
}

func (g *group) add(t *change.Transaction, slab []keyWork) []keyWork {
	tx := conflict.TxOf(t)
	g.wiped = conflict.LastTruncates(t.Rows)
	var table *change.Table
	accepted := false
	for i := range t.Rows {
		r := &t.Rows[i]
		g.rows++
		if r.Table != table {
			table, accepted = r.Table, g.accepts(r.Table)
		}
		switch {
		case !accepted:
			g.skipped++
		case g.wiped.Covers(i, r): // undone by a truncate of its own transaction
		case r.Op == change.Truncate: // executed in order, decided as a whole
		case r.MovesKey():
			slab = g.note(r.Old, &conflict.Write{Tx: tx, Op: change.Delete, Old: conflict.OldOf(r), Table: r.Table, Wiped: g.wiped.Has(r.Table)}, slab)
			slab = g.note(r.New, &conflict.Write{Tx: tx, Op: change.Insert, Image: r.New, Table: r.Table, Wiped: g.wiped.Has(r.Table)}, slab)
			g.byKey[g.lastKey(r.New, r.Table)].rows-- // one row change, two keys
		default:
			slab = g.note(r.Key(), &conflict.Write{Tx: tx, Op: r.Op, Image: r.New, Old: conflict.OldOf(r), Table: r.Table, Wiped: g.wiped.Has(r.Table)}, slab)
		}
	}
	return slab
}

func (g *group) lastKey(image []change.Value, t *change.Table) conflict.Key {
	var k conflict.Key
	k, g.buf = conflict.KeyOf(t, image, g.buf)
	return k
}

// note adds one write of a key, as the net effect when the transaction has written
// the key before.
func (g *group) note(keyImage []change.Value, e *conflict.Write, slab []keyWork) []keyWork {
	k := g.lastKey(keyImage, e.Table)
	w := g.byKey[k]
	if w == nil {
		if len(slab) == cap(slab) {
			slab = make([]keyWork, 0, 256)
		}
		slab = append(slab, keyWork{key: k, image: keyImage, first: e.Op})
		w = &slab[len(slab)-1]
		g.byKey[k] = w
		g.keys = append(g.keys, w)
	}
	w.table = e.Table
	w.rows++
	if e.Op == change.Delete {
		w.final = nil
	} else {
		w.final = conflict.Overlay(fitting(w, e.Table), e.Image)
	}
	if n := len(w.es); n > 0 && w.es[n-1].Tx == e.Tx {
		w.es[n-1] = w.es[n-1].Then(e)
		return slab
	}
	g.passing = g.passing || len(w.es) > 0 && givesUp(w.es[len(w.es)-1], e)
	w.es = append(w.es, e)
	return slab
}

// givesUp reports whether next lets go of a value of a unique key that e took.
func givesUp(e, next *conflict.Write) bool {
	after := conflict.Claims(next.Table, next.Image)
	for _, c := range conflict.Claims(e.Table, e.Image) {
		if !slices.ContainsFunc(after, func(o conflict.Claimed) bool { return o.Claim == c.Claim }) {
			return true
		}
	}
	return false
}

// fitting returns the image so far when it has the shape of t; a table altered
// within the group begins anew.
func fitting(w *keyWork, t *change.Table) []change.Value {
	if n := len(w.es); n > 0 && w.es[n-1].Table.ID != t.ID {
		return nil
	}
	return w.final
}

// checkpoint is where the group moves its origin's checkpoint.
func (g *group) checkpoint(previous uint64) Checkpoint {
	return Checkpoint{Origin: g.last().Origin, Epoch: g.last().Epoch, Seq: g.last().Seq, HLC: g.hlc(), Previous: previous}
}

// heartbeat returns the latest heartbeat in the group; zero when there is none.
func (g *group) heartbeat() time.Time {
	for i := len(g.txs) - 1; i >= 0; i-- {
		if !g.txs[i].Heartbeat.IsZero() {
			return g.txs[i].Heartbeat
		}
	}
	return time.Time{}
}

// tables lists the shapes that the group writes.
func (g *group) tables() map[*change.Table]bool {
	ts := map[*change.Table]bool{}
	for _, k := range g.keys {
		ts[k.table] = true
	}
	for i := range g.txs {
		if g.exact {
			for j := range g.txs[i].Rows {
				ts[g.txs[i].Rows[j].Table] = true
			}
		}
	}
	return ts
}
