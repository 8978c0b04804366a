package conflict

import (
	"slices"

	"github.com/concord-db/concord/internal/change"
)

// Decision is what should become of a key for the writes of one origin that
// arrived on it.
type Decision struct {
	// Known: the last write knew of everything here; it is applied as it is. When
	// false, Keep, State and Partial tell what the fold makes of the row.
	Known bool
	// Keep: the row stays as it is.
	Keep bool
	// Apart: the writes that arrived must be decided one by one. The last one carries
	// only what it changed, and a write here may have come between it and an earlier
	// one, of which only the last knew.
	Apart bool
	// Joint: the key is tied to others by values of unique keys, and the last write did
	// not know what happened there: the transaction is decided as a whole (DecideJoint),
	// and State tells nothing.
	Joint bool
	// State is the row to bring about; nil: no row. Not when Keep.
	State []change.Value
	// Partial: State lacks a value that some other write may have changed; the row
	// cannot be made without guessing.
	Partial bool
	// Err: a rule could not decide (State.Err), or may not (WindowOptions.Disputed); the
	// writes that arrived wait for a person.
	Err error
	// Met are the true conflicts: pairs of writes that did not know each other.
	Met []Meeting
	// Pairs are the conflicts to be recorded, when anything was met.
	Pairs []Pair
	// Stands names the write whose row this site has, of those in flight, where the window
	// keeps versions only; Lacks has a bit for each column that it does not carry.
	Stands change.Version
	Lacks  uint64
}

// Meeting is a pair of writes on one key of which neither knew the other: one that
// arrived and the greatest one here among those.
type Meeting struct {
	Arrived *Write
	Here    *Write // Image is nil when the window keeps versions only
}

// Decide tells what becomes of key k of table when the writes es arrive: the net
// writes, one per transaction, of consecutive transactions of one origin, in
// order. final is the image after the last of them, with the values that earlier
// ones carry filled in. It changes nothing.
func (w *Window) Decide(table *change.Table, k Key, es []*Write, final []change.Value) Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	if tt.versionsOnly {
		return w.dispute(table, w.decideLatest(tt, k, es, final))
	}
	return w.dispute(table, w.decideList(tt, k, es, final))
}

// decideLatest: the fold of last_write_wins is the greatest version.
func (w *Window) decideLatest(tt *tableTraffic, k Key, es []*Write, final []change.Value) Decision {
	d := Decision{Known: true, State: final}
	last := es[len(es)-1]
	origin := last.Tx.Origin
	unchanged, left := ^uint64(0), ^uint64(0)
	consider := func(tx *Tx, op change.Op, mask, own uint64) {
		if tx.Origin == origin {
			return
		}
		for i := len(es) - 1; i >= 0; i-- {
			e := es[i]
			if e.Tx.Saw(tx) {
				continue
			}
			if i == len(es)-1 {
				d.Known = false
				unchanged &= mask
				if e.Tx.Version().Less(tx.Version()) {
					d.Keep = true
					left &= own
				}
			}
			d.Apart = d.Apart || len(es) > 1 && lacks(last.Image)
			if !tx.Saw(e.Tx) {
				d.Met = meet(d.Met, e, &Write{Tx: tx, Op: op})
			}
			return
		}
	}
	w.eachLatest(tt, k, func(l *latest) { consider(l.tx, l.op, l.unchanged, l.left) })
	if len(d.Met) > 0 {
		w.pairLatest(tt, k, es, &d)
	}
	if d.Keep && last.Op != change.Delete && left&^(&Write{Op: change.Update, Image: final}).UnchangedMask()&columns(final) != 0 {
		// What is later here does not carry all that this write does: not wholly kept.
		d.Keep, d.Partial = false, true
		return d
	}
	if !d.Known && !d.Keep && last.Op != change.Delete {
		lacking := Write{Op: change.Update, Image: final}
		d.Partial = lacking.UnchangedMask()&^unchanged != 0
	}
	return d
}

// eachLatest calls f for all writes of k in flight, of a table of which the window keeps
// versions only: the latest of each origin, those of large transactions, and truncates.
func (w *Window) eachLatest(tt *tableTraffic, k Key, f func(*latest)) {
	w.latest.each(k, f)
	w.eachWatched(k, f)
	for _, b := range w.bulk {
		op, err := b.op(k)
		if err != nil {
			w.latest.spilled.err = err
		}
		if op != 0 {
			f(&latest{tx: b.tx, op: op, left: b.left[tt]})
		}
	}
	for _, t := range tt.truncates {
		f(&latest{tx: t, op: change.Delete})
	}
}

// columns has a bit set for each of the first 64 columns of an image.
func columns(image []change.Value) uint64 {
	if len(image) >= 64 {
		return ^uint64(0)
	}
	return 1<<len(image) - 1
}

// meet keeps, of several meetings, the one with the greatest write here.
func meet(met []Meeting, arrived, here *Write) []Meeting {
	if len(met) == 0 {
		return append(met, Meeting{Arrived: arrived, Here: here})
	}
	if m := &met[0]; m.Here.Tx.Version().Less(here.Tx.Version()) {
		m.Arrived, m.Here = arrived, here
	}
	return met
}

// decideList folds the key's list with the arrived writes in it.
func (w *Window) decideList(tt *tableTraffic, k Key, es []*Write, final []change.Value) Decision {
	d := Decision{Known: true}
	writes, base := w.listWith(tt, k)
	last := es[len(es)-1]
	for _, h := range writes {
		if !last.Tx.Saw(h.Tx) && h.Tx.Version() != last.Tx.Version() {
			d.Known = false
		}
		if len(es) > 1 && h.Tx.Origin != last.Tx.Origin && !es[0].Tx.Saw(h.Tx) && lacks(last.Image) {
			d.Apart = true
		}
		if e := notKnown(es, h); e != nil {
			d.Met = meet(d.Met, e, h)
		}
	}
	if len(d.Met) > 0 {
		d.Pairs = w.pairList(tt, k, es)
	}
	if w.meetsOthers(k, es, !d.Known) {
		d.Known, d.Joint = false, true
		return d
	}
	if d.Known {
		d.State = final
		return d
	}
	if l := w.lists[k]; l != nil && base.past != nil {
		es = es[after(es, l.folded):] // the others are in it
	}
	at := -1
	if len(es) > 0 {
		writes, at = placeAll(writes, es)
	}
	state := w.rules.Fold(w.policy(last.Table), startOf(writes, base), writes, at).in(last.Table)
	d.State, d.Err = state.Image, state.Err
	d.Partial = guesses(d.State, writes)
	return d
}

// startOf is the row before the first write of a list: as the log tells it, since that
// write saw nothing else of the list, or else what was folded away.
func startOf(writes []*Write, folded State) State {
	if folded.past != nil {
		return folded // it did see something else
	}
	if len(writes) > 0 && (writes[0].Old != nil || writes[0].Op == change.Insert) {
		return State{Image: writes[0].Old, Table: writes[0].Table}
	}
	return folded
}

// listWith returns a copy of the key's list with the table's truncates in it as
// deletes, but those that were folded away or whose transaction wrote the key after
// it, and the list's base.
func (w *Window) listWith(tt *tableTraffic, k Key) (writes []*Write, base State) {
	l := w.lists[k]
	if l != nil {
		writes, base = append(writes, l.writes...), l.base
	}
	for _, t := range tt.truncates {
		if l != nil && !l.folded.Less(t.Version()) {
			continue
		}
		if i := slices.IndexFunc(writes, func(wr *Write) bool { return wr.Tx.Version() == t.Version() }); i >= 0 {
			after := *writes[i]
			after.Wiped, writes[i] = true, &after
			continue
		}
		writes, _ = place(writes, &Write{Tx: t, Op: change.Delete, Wiped: true})
	}
	return writes, base
}

func lacks(image []change.Value) bool {
	for i := range image {
		if image[i].State == change.Unchanged {
			return true
		}
	}
	return false
}

// State folds the key's list as it stands: the row as it must be, nil for none. ok
// is false when the key has no list, or its fold is not determined by it (the
// first write's missing values), or the sites would not fold it alike.
func (w *Window) State(table *change.Table, k Key) (state []change.Value, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	if tt.versionsOnly {
		return nil, false
	}
	writes, base := w.listWith(tt, k)
	if len(writes) == 0 || w.disputed(table) != nil {
		return nil, false
	}
	folded := w.rules.Fold(w.policy(table), startOf(writes, base), writes, -1)
	if l := w.lists[k]; l != nil && l.claims != nil {
		if tied := w.tied(map[Key]bool{k: true}, nil); len(tied) > 0 {
			rows := w.component(w.traffic(table), append([]Key{k}, tied...))
			w.jointly(table, rows)
			folded = rows[0].State
		}
	}
	folded = folded.in(table)
	return folded.Image, folded.Err == nil && !lacks(folded.Image)
}

// Applied adds the writes of a peer on key k, just before their target transaction
// commits or right after, while the key is still reserved by the caller. locked
// says that the target row was locked when they were written: every local write
// that follows has then seen them.
func (w *Window) Applied(table *change.Table, k Key, es []*Write, locked bool) {
	w.mu.Lock()
	defer w.unlockWithinBound()
	tt := w.traffic(table)
	last := es[len(es)-1]
	tt.note(last.Tx)
	if tt.versionsOnly {
		if w.onlySelfIsLeft(last.Tx.Origin) && locked {
			return
		}
		for _, e := range es {
			w.latest.put(k, e)
		}
		return
	}
	if w.lists[k] == nil && len(tt.truncates) == 0 && w.frozen == nil && w.onlySelfIsLeft(last.Tx.Origin) && locked && !w.meetsOthers(k, es, false) {
		return
	}
	w.insertAll(k, es)
}

// onlySelfIsLeft reports whether no peer other than origin exists.
func (w *Window) onlySelfIsLeft(origin change.Site) bool {
	for _, p := range w.peers {
		if p != origin {
			return false
		}
	}
	return true
}

// TruncateApplied adds a peer's truncate.
func (w *Window) TruncateApplied(table *change.Table, e *Tx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	tt.note(e)
	w.addTruncate(e, tt, table)
}

// TruncateKeeps tells what a truncate by e makes of the row with key k: keep it as
// it is, or, under a policy with images, which state to bring about (nil: remove).
func (w *Window) TruncateKeeps(table *change.Table, k Key, e *Tx) Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	es := []*Write{{Tx: e, Op: change.Delete, Table: table, Wiped: true}}
	if tt.versionsOnly {
		d := w.dispute(table, w.decideLatest(tt, k, es, nil))
		d.Keep = d.Keep || d.Err != nil
		return d
	}
	d := w.dispute(table, w.decideTruncated(table, k, e))
	d.Keep = d.Err != nil // it waits for a person: nothing is taken away from under them
	return d
}

// decideTruncated is decideList for a truncate by e. Of keys tied together it empties all.
func (w *Window) decideTruncated(table *change.Table, k Key, e *Tx) Decision {
	wipe := func() *Write { return &Write{Tx: e, Op: change.Delete, Table: table, Wiped: true} }
	d := w.decideList(w.traffic(table), k, []*Write{wipe()}, nil)
	l := w.lists[k]
	if d.Known || l == nil || l.claims == nil {
		return d
	}
	tied := w.tied(map[Key]bool{k: true}, nil)
	if len(tied) == 0 {
		return d
	}
	rows := w.component(w.traffic(table), append([]Key{k}, tied...))
	for _, r := range rows {
		r.Writes, _ = place(r.Writes, wipe())
	}
	w.jointly(table, rows)
	state := rows[0].State.in(table)
	d.Joint, d.State, d.Err, d.Partial = false, state.Image, state.Err, guesses(state.Image, rows[0].Writes)
	return d
}

// VersionsOnly reports whether the window keeps no images of the table's writes.
func (w *Window) VersionsOnly(t *change.Table) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.traffic(t).versionsOnly
}

// Dirty lists the keys of tables under a policy with images whose list holds a
// local write that an applied one follows or precedes unknown to it, so that the
// row may differ from the fold: to be settled again after a restart, or when a
// local write reached the log between a fence and the commit that followed it.
func (w *Window) Dirty(f func(table *change.Table, k Key, keyImage []change.Value)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.listKeys(func(*list) bool { return true }) {
		l := w.lists[k]
		var image []change.Value
		mixed := l.base.past != nil
		writes, _ := w.listWith(w.traffic(l.table), k)
		var before known
		for _, wr := range writes {
			if wr.Image != nil {
				image = wr.Image
			}
			mixed = mixed || !before.seenBy(wr.Tx)
			before.add(wr.Tx)
		}
		if mixed && image != nil {
			f(l.table, k, image)
		}
	}
}

// HoldsLists reports whether any key is decided by a fold of images now.
func (w *Window) HoldsLists() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lists) > 0
}

// KeepsApplied reports whether an applied write of origin has to be entered at all:
// with two sites and a locked row every later write here has seen it. (Lists ask
// Applied in any case.)
func (w *Window) KeepsApplied(origin change.Site, locked bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !locked || !w.onlySelfIsLeft(origin) || len(w.lists) > 0 || w.frozen != nil {
		return true
	}
	for _, tt := range w.tables {
		if len(tt.truncates) > 0 {
			return true
		}
	}
	return false
}

// AppliedImage enters a key of a part of a large transaction when its table's
// policy needs images, and says whether it did; other keys go to AppliedBulk.
func (w *Window) AppliedImage(table *change.Table, k Key, es []*Write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	if tt.versionsOnly {
		return false
	}
	for _, e := range es {
		tt.note(e.Tx)
	}
	w.insertAll(k, es)
	return true
}

// AppliedBulk enters keys of a part of a large transaction under last_write_wins.
// left tells which columns some of the writes do not carry. It takes ownership of keys.
func (w *Window) AppliedBulk(table *change.Table, tx *Tx, op change.Op, keys []Key, left uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tt := w.traffic(table)
	tt.note(tx)
	b := w.bulkOf(tx)
	b.left[tt] |= left
	b.add(op, keys)
	w.spillBulk()
}

// Forget takes back what was entered of a large transaction that was not committed.
func (w *Window) Forget(tx *Tx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(func(t *Tx) bool { return t.Origin == tx.Origin && t.Seq == tx.Seq })
}

// KeyWrite is a write with its key.
type KeyWrite struct {
	Key   Key
	Write *Write
}

// LatestAfter lists the keys under last_write_wins whose latest write of origin came
// after seq.
func (w *Window) LatestAfter(origin change.Site, seq uint64) map[Key]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest.after(origin, seq)
}

// Lost takes back what origin's transactions after seq wrote: a crash of the database
// undid them, and they come again. earlier are the writes up to seq, in order, of the
// keys that LatestAfter lists: for those the window had kept nothing but the latest.
func (w *Window) Lost(origin change.Site, seq uint64, earlier []KeyWrite) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version++
	w.latest.lose(origin, seq)
	for _, e := range earlier {
		w.latest.put(e.Key, e.Write)
	}
	w.forget(func(t *Tx) bool { return t.Origin == origin && t.Seq > seq })
}

func (w *Window) forget(gone func(*Tx) bool) {
	w.dropBulk(gone)
	w.dropWrites(func(_ *list, wr *Write) bool { return gone(wr.Tx) })
	for _, tt := range w.tables {
		tt.truncates = slices.DeleteFunc(tt.truncates, gone)
	}
}

// SelfHasSeen reports whether capture here has read the mark of origin's seq.
func (w *Window) SelfHasSeen(origin change.Site, seq uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[w.self][origin] >= seq
}
