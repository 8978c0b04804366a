package conflict

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/concord-db/concord/internal/change"
)

// Rules are the two decisions of a Window that its correctness hangs on. They are
// fields so that the simulation can break them and prove that it notices.
type Rules struct {
	// Fold makes a row of base and the writes of a list in version order. arrived is
	// the index of the write that has just come, or -1.
	Fold func(p Policy, base State, writes []*Write, arrived int) State
	// Cut returns how many writes at the front of a list may be folded away, given
	// which of them every site is known to have seen.
	Cut func(writes []*Write, everyoneSaw func(*Write) bool) int
	// Joint folds rows that values of unique keys tie together.
	Joint func(p Policy, rows []*JointRow) []Collision
}

// DefaultRules returns the rules as designed.
func DefaultRules() Rules {
	return Rules{
		Fold: func(p Policy, base State, writes []*Write, _ int) State {
			return Fold(p, base, writes)
		},
		Cut:   Cut,
		Joint: FoldJoint,
	}
}

// WindowOptions configure a Window.
type WindowOptions struct {
	Self  change.Site
	Peers []change.Site // all other sites of the cluster
	// Policy returns the policy of a table, by its shape.
	Policy func(*change.Table) Policy
	// Disputed says why the sites would not decide a conflict on a table alike; nil when
	// they would. Then nobody decides: Decision.Err. It may change its mind, must not
	// call the window, and is nil when no site differs.
	Disputed func(*change.Table) error
	Rules    Rules // zero: DefaultRules
	// LongList is how many writes make a list long: its front is folded although writes
	// behind it did not see it. 64 when zero.
	LongList int

	// Memory is how many bytes the versions of writes may take; beyond, they go to Store.
	// Lists with images stay in memory. No bound when zero, or without a Store.
	Memory int64
	Store  Store
	// Background runs what writes to Store beside the caller, and returns at once. nil: the
	// caller waits.
	Background func(func())
}

// Window holds, by key, the writes that some site may not have seen yet. It is
// fed with local transactions as capture reads them and with the writes of peers
// as apply commits them, and rebuilt after a restart from the site's own copies of
// the streams. All methods may be called concurrently.
type Window struct {
	self     change.Site
	peers    []change.Site
	policy   func(*change.Table) Policy
	disputed func(*change.Table) error
	rules    Rules

	mu sync.Mutex
	// seen[p][o]: the last seq of origin o that site p is known to have seen: peers
	// by the latest transaction settled from them, self by the marks capture read.
	seen      map[change.Site]change.Seen
	localSeq  uint64        // last local transaction added whole
	grown     chan struct{} // closed and replaced when localSeq grows
	version   uint64        // counts everything that could change a decision
	latest    latestSet
	bulk      []*bulk
	lists     map[Key]*list
	listed    int // writes in lists
	longList  int
	claimed   claimed
	watched   map[Key][]*watch
	order     []Key // of lists, those to be looked at for shortening next first
	settled   map[change.Site][]settled
	frozen    change.Seen // bounds that Freeze holds; nil: none
	tables    map[string]*tableTraffic
	lastTable *change.Table // cache of the lookup in tables
	lastTT    *tableTraffic
	buf       []byte

	memory     int64
	background func(func())
	writing    chan struct{} // closed when what is being written is in the store; nil: nothing is
	lastSeen   change.Seen   // of the last local transaction
}

// list is the writes in flight on one key of a table whose policy needs images.
type list struct {
	table  *change.Table
	base   State          // what was folded away made; zero: nothing was
	writes []*Write       // version order
	folded change.Version // of the last write, or truncate, that was folded into base
	claims map[Claim]struct{}
	credit int // how many writes its visits so far allow to look at; see due
}

// settled is a transaction of a peer that was settled here, and what it had seen.
type settled struct {
	seq  uint64
	seen change.Seen
}

// NewWindow returns an empty window.
func NewWindow(o WindowOptions) *Window {
	if o.Rules.Fold == nil {
		o.Rules = DefaultRules()
	}
	if o.Rules.Joint == nil {
		o.Rules.Joint = FoldJoint
	}
	if o.Disputed == nil {
		o.Disputed = func(*change.Table) error { return nil }
	}
	w := &Window{
		self: o.Self, peers: o.Peers, policy: o.Policy, disputed: o.Disputed, rules: o.Rules,
		seen:  map[change.Site]change.Seen{},
		lists: map[Key]*list{}, claimed: claimed{}, settled: map[change.Site][]settled{},
		tables: map[string]*tableTraffic{}, longList: cmp.Or(o.LongList, longList),
		grown: make(chan struct{}),
	}
	w.latest.init()
	w.latest.own = o.Self
	if o.Memory > 0 && o.Store != nil {
		w.memory, w.background, w.latest.spilled = o.Memory, o.Background, newSpilled(o.Store)
	}
	for _, p := range append([]change.Site{o.Self}, o.Peers...) {
		w.seen[p] = change.Seen{}
	}
	return w
}

// AddLocal adds a local transaction, or one part of one, as capture reads it.
// Repeating one already added is harmless.
func (w *Window) AddLocal(t *change.Transaction) {
	w.mu.Lock()
	defer w.unlockWithinBound()
	if t.Seq <= w.localSeq {
		return
	}
	if len(t.Rows) > 0 {
		w.version++
	}
	tx := TxOf(t)
	if maps.Equal(tx.Seen, w.lastSeen) {
		tx.Seen = w.lastSeen // one for all of them while nothing arrives
	}
	w.lastSeen = tx.Seen
	for k, v := range t.Seen {
		w.selfSaw(k, v)
	}
	if t.More || t.Part > 0 {
		w.addBulk(tx, t.Rows)
	} else {
		w.addRows(tx, t.Rows)
	}
	if !t.More {
		w.localSeq = t.Seq
		close(w.grown)
		w.grown = make(chan struct{})
		w.compactSome(2)
	}
}

// addRows adds each row change of a transaction as a write of its key; later ones
// of the same key replace earlier ones by their net effect.
func (w *Window) addRows(tx *Tx, rows []change.Row) {
	wiped := LastTruncates(rows)
	for i := range rows {
		r := &rows[i]
		if wiped.Covers(i, r) {
			continue
		}
		tt := w.traffic(r.Table)
		tt.note(tx)
		switch {
		case r.Op == change.Truncate:
			w.addTruncate(tx, tt, r.Table)
		case r.MovesKey():
			w.addKeyWrite(tt, r.Old, Write{Tx: tx, Op: change.Delete, Old: OldOf(r), Table: r.Table})
			w.addKeyWrite(tt, r.New, Write{Tx: tx, Op: change.Insert, Image: r.New, Table: r.Table})
		default:
			w.addKeyWrite(tt, r.Key(), Write{Tx: tx, Op: r.Op, Image: r.New, Old: OldOf(r), Table: r.Table})
		}
	}
}

func (w *Window) addKeyWrite(tt *tableTraffic, keyImage []change.Value, wr Write) {
	var k Key
	k, w.buf = KeyOf(wr.Table, keyImage, w.buf)
	if tt.versionsOnly {
		w.latest.put(k, &wr)
		w.watchLocal(k, &wr)
		return
	}
	kept := wr // only this one need outlive the call
	w.insert(k, &kept)
}

// insert puts a write into its key's list at its version, as the net effect when
// the same transaction is there already.
func (w *Window) insert(k Key, wr *Write) { w.insertAll(k, []*Write{wr}) }

// insertAll is insert for writes of one key in version order.
func (w *Window) insertAll(k Key, es []*Write) {
	l := w.lists[k]
	if l == nil {
		l = &list{}
		w.lists[k] = l
		w.order = append(w.order, k)
	}
	for _, e := range es {
		l.table = e.Table
		w.claim(k, l, e)
	}
	before := len(l.writes)
	l.writes, _ = placeAll(l.writes, es)
	w.listed += len(l.writes) - before
}

// Listed counts the writes in flight on keys that are decided by a fold of images: deciding
// a group that touches these keys costs as much.
func (w *Window) Listed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.listed
}

// SelfSaw notes that capture here has read the mark of origin's transactions up to
// seq: every later local write carries it.
func (w *Window) SelfSaw(origin change.Site, seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.selfSaw(origin, seq)
}

func (w *Window) selfSaw(origin change.Site, seq uint64) {
	w.raiseSeen(w.self, origin, seq)
	w.believe(origin)
}

// Settled notes that peer's transaction seq, which carries seen, and everything
// before it has been settled here, in order. Heartbeats count. It is believed once
// capture has read the mark: until then a crash of the database may take it back,
// and earlier transactions of the peer, which had seen less, come again.
func (w *Window) Settled(peer change.Site, seq uint64, seen change.Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled[peer] = append(w.settled[peer], settled{seq, seen})
	w.believe(peer)
	w.compactSome(64)
}

// believe raises what peer is known to have seen as far as the log shows what was
// settled from it.
func (w *Window) believe(peer change.Site) {
	queue := w.settled[peer]
	n := 0
	for ; n < len(queue) && queue[n].seq <= w.seen[w.self][peer]; n++ {
		for o, seq := range queue[n].seen {
			w.raiseSeen(peer, o, seq)
		}
		w.raiseSeen(peer, peer, queue[n].seq)
	}
	if n > 0 {
		w.settled[peer] = append(queue[:0], queue[n:]...)
	}
}

func (w *Window) raiseSeen(site, origin change.Site, seq uint64) {
	s := w.seen[site]
	if s == nil {
		s = change.Seen{}
		w.seen[site] = s
	}
	if s[origin] < seq {
		s[origin] = seq
	}
}

// everyoneSaw reports whether every site but its origin is known to have seen it.
func (w *Window) everyoneSaw(tx *Tx) bool { return tx.Seq <= w.bound(tx.Origin) }

// bound is the greatest seq of origin that every other site is known to have seen.
func (w *Window) bound(origin change.Site) uint64 {
	low := ^uint64(0)
	for _, p := range w.peers {
		if p != origin {
			low = min(low, w.seen[p][origin])
		}
	}
	if origin != w.self {
		low = min(low, w.seen[w.self][origin])
	}
	if w.frozen != nil {
		low = min(low, w.frozen[origin])
	}
	return low
}

// Low returns the greatest seq of origin of which the window holds nothing at or
// before, and nothing that would be needed to build its lists again: the site's copy
// of origin's stream may be trimmed up to there as far as the window is concerned.
func (w *Window) Low(origin change.Site) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.latest.failed() {
		return 0
	}
	return min(w.bound(origin), w.needs(origin))
}

// LocalSeq is the last local transaction that the window holds whole.
func (w *Window) LocalSeq() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.localSeq
}

// AwaitLocal returns once the window holds the local transactions up to seq.
func (w *Window) AwaitLocal(ctx context.Context, seq uint64) error {
	for {
		w.mu.Lock()
		if w.localSeq >= seq {
			w.mu.Unlock()
			return nil
		}
		grown := w.grown
		w.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// StartLocal sets where the feeding of local transactions begins: everything up to
// seq has been seen by everyone. Called once, on an empty window.
func (w *Window) StartLocal(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.localSeq = max(w.localSeq, seq)
}

// Version changes whenever a Decide might answer otherwise than before.
func (w *Window) Version() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.version
}

// Size returns how many keys and writes the window holds.
func (w *Window) Size() (keys, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, writes = len(w.lists)+w.latest.len(), w.latest.len()
	for _, l := range w.lists {
		writes += len(l.writes)
	}
	for _, b := range w.bulk {
		keys += b.len()
		writes += b.len()
	}
	return keys, writes
}

// compactSome drops what everyone has seen: all expired versions, and up to n
// lists (lists are few: keys in flight under a policy with images).
func (w *Window) compactSome(n int) {
	w.latest.expire(w.bound)
	w.dropBulk(w.everyoneSaw)
	thoroughly := n * visitCredit
	for n = min(n, len(w.order)); n > 0; n-- {
		k := w.order[0]
		w.order = w.order[1:]
		l := w.lists[k]
		if l == nil {
			continue
		}
		if w.due(l, thoroughly) {
			w.compactList(k, l)
		}
		if w.lists[k] != nil {
			w.order = append(w.order, k)
		}
	}
	for _, tt := range w.tables {
		w.expireTruncates(tt)
	}
}

// visitCredit is how many writes a call may look at for each list that it visits, on
// average: a long list, of a key that is written all the time, is looked at once in a
// number of visits that grows with it, so that a call costs the same however long it is.
const visitCredit = 64

// due reports whether the list should be looked at now, on a visit that allows for so many
// writes more.
func (w *Window) due(l *list, writes int) bool {
	if tt := w.traffic(l.table); len(tt.truncates) == 0 && len(l.writes) > 0 && !w.everyoneSaw(l.writes[0].Tx) {
		return false // nothing at its front may go
	}
	l.credit += writes
	if len(l.writes) > l.credit {
		return false
	}
	l.credit = 0
	return true
}

// compactList folds a prefix of the list, with the truncates of its table in it,
// into its base.
func (w *Window) compactList(k Key, l *list) {
	if l.claims != nil {
		if tied := w.tied(map[Key]bool{k: true}, nil); len(tied) > 0 {
			w.compactTied(append(tied, k))
			return
		}
	}
	writes, base := w.listWith(w.traffic(l.table), k)
	start := startOf(writes, base)
	everyoneSaw := func(wr *Write) bool { return w.everyoneSaw(wr.Tx) }
	n := w.rules.Cut(writes, everyoneSaw)
	if n > 0 && start.past.seenBy(writes[n:]) {
		w.fold(k, l, w.rules.Fold(w.policy(l.table), start, writes[:n], -1), writes[n-1].Tx.Version())
		return
	}
	if len(l.table.Unique) > 0 || len(l.writes) < w.longList {
		return
	}
	for n < len(writes) && everyoneSaw(writes[n]) {
		n++
	}
	// A list that has no writes is gone, and its base with it: not while a truncate
	// stands behind it.
	if n == len(writes) || n > 0 && writes[n-1].Tx.Version().Less(l.writes[len(l.writes)-1].Tx.Version()) {
		w.foldFront(k, l, start, writes, n)
	}
}

// fold makes base of the front of a list, up to the write at version last.
func (w *Window) fold(k Key, l *list, base State, last change.Version) {
	l.base, l.folded = base, last
	kept := l.writes[:0:0]
	for _, wr := range l.writes {
		if l.folded.Less(wr.Tx.Version()) {
			kept = append(kept, wr)
		}
	}
	w.keep(k, l, kept)
}

// keep leaves a list with some of its writes.
func (w *Window) keep(k Key, l *list, kept []*Write) {
	w.listed += len(kept) - len(l.writes)
	if l.writes = kept; len(kept) == 0 {
		delete(w.lists, k)
	}
	w.reclaim(k, l)
}

// compactTied folds away what keys that are tied together have in common: a prefix of
// all their writes, which every later write of any of them saw whole.
func (w *Window) compactTied(keys []Key) {
	rows := w.component(w.traffic(w.lists[keys[0]].table), keys)
	var all []*Write
	for _, r := range rows {
		all = append(all, r.Writes...)
	}
	slices.SortFunc(all, func(a, b *Write) int { return compareVersions(a.Tx.Version(), b.Tx.Version()) })
	n := w.rules.Cut(all, func(wr *Write) bool { return w.everyoneSaw(wr.Tx) })
	if n == 0 {
		return
	}
	last := all[n-1].Tx.Version()
	for _, r := range rows {
		at, _ := slices.BinarySearchFunc(r.Writes, last, func(wr *Write, v change.Version) int {
			if v.Less(wr.Tx.Version()) {
				return 1
			}
			return -1
		})
		r.Writes = r.Writes[:at]
	}
	w.jointly(w.lists[keys[0]].table, rows)
	for i, k := range keys {
		w.fold(k, w.lists[k], rows[i].State, last)
	}
}

func compareVersions(a, b change.Version) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}

// Compact drops everything that may go. Tests call it; production does a little at
// a time.
func (w *Window) Compact() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lists {
		l.credit = len(l.writes)
	}
	w.compactSome(len(w.order))
}
