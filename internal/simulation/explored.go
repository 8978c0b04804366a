package simulation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// An explored world does only what it is told to: nothing in it is drawn. Between two
// steps, and at every point inside a step of apply, it asks what comes next, so that
// whoever answers in all possible ways sees all that can happen.

// Act is what one transaction does.
type Act string

// The acts. What cannot be done (there is no such row, or there is one already) commits
// nothing.
const (
	Put0     Act = "put 0" // insert, or update where the row is there
	Put1     Act = "put 1"
	Delete0  Act = "delete 0"
	Move     Act = "move 0 to 1" // an update of the key
	PutBoth  Act = "put 0 and 1"
	Replace0 Act = "replace 0" // delete and insert
	Truncate Act = "truncate"
	Take0    Act = "take the name with 0" // a put of a value that is the same at every site
	Take1    Act = "take the name with 1"
)

// Acts lists those on any table; where a column is unique there are NameActs.
var (
	Acts     = []Act{Put0, Put1, Delete0, Move, PutBoth, Replace0, Truncate}
	NameActs = []Act{Put0, Delete0, Move, Take0, Take1, Truncate}
)

// Plan is a small world: two sites, both of which have the row 0, and three
// transactions.
type Plan struct {
	Table  *change.Table
	Policy conflict.Policy
	Sites  [3]int // that commit them; those of one site in this order
	Acts   [3]Act
	Clocks [3]int // at which the sites' clocks stand then, in no unit
}

func (p *Plan) String() string {
	s := fmt.Sprintf("table %s, %s:", p.Table.Name, p.Policy)
	for i := range p.Acts {
		s += fmt.Sprintf(" s%d %s at %d;", p.Sites[i], p.Acts[i], p.Clocks[i])
	}
	return s
}

// Faults are how many of each kind one history may have.
type Faults struct {
	Crashes     int // of a site's agents, its database or its bus
	Duplicates  int // frames that are delivered again
	Compactions int // of a site's window as a whole: no fault, but where it may happen matters
}

// explored is such a world under way.
type explored struct {
	w    *World
	plan *Plan
	left Faults
	done [3]bool
	// choose is asked which of several options comes next, named by labels.
	choose func(labels []string) int
	sent   [2]bool // capture has said that it has nothing to send
	idle   bool    // a transaction met a lock
	last   string  // point asked at
}

// option is something that may happen now.
type option struct {
	label string
	do    func()
}

// least is a source from which numbers below a limit come out as zero. (Not zero itself:
// that is drawn again for ever.)
type least struct{}

func (least) Uint64() uint64 { return 1 << 56 }

func newExplored(w *World, p *Plan, f Faults) *explored {
	w.calm, w.causal = true, true
	w.policy, w.groupRows, w.frameBytes, w.inflight = p.Policy, 100, 1, 4
	w.partition = partition{}
	w.rng = rand.New(least{})
	e := &explored{w: w, plan: p, left: f}
	for _, s := range w.sites {
		s.db.partRows, s.skew, s.db.lacks, s.lacked = 0, 0, "", false
		s.app.rng = w.rng
		for _, c := range s.copies {
			c.repeat = true
		}
	}
	e.prelude()
	for _, s := range w.sites {
		s.at = func(point string) { e.inside(s, point) }
	}
	return e
}

// prelude gives both sites the row 0, seen by both.
func (e *explored) prelude() {
	s := e.w.sites[0]
	if err := e.commit(s, start.Add(-time.Hour), func(tx *session) error { return tx.insert(e.plan.Table, fresh("0", "first")) }); err != nil {
		e.w.fail(Agents, "the first row: %v", err)
	}
	for range 3 { // a broken rule may keep it moving for ever
		for _, s := range e.w.sites {
			e.w.drain(s)
		}
	}
	e.w.now = start
}

func fresh(key, value string) []change.Value {
	return []change.Value{change.TextValue(key), change.TextValue(value), change.TextValue(value)}
}

func (e *explored) commit(s *site, at time.Time, do func(*session) error) error {
	s.db.mu.Lock()
	tx := s.db.session()
	err := do(tx)
	if err != nil {
		tx.end()
	}
	s.db.mu.Unlock()
	if err == nil {
		s.app.commit(tx, at, false)
	}
	return err
}

// act lets site s commit its next transaction, when it has one.
func (e *explored) act(s *site) {
	i := e.next(s)
	err := e.commit(s, start.Add(time.Duration(1+e.plan.Clocks[i])*time.Second), func(tx *session) error {
		return e.plan.Acts[i].in(tx, e.plan.Table, fmt.Sprintf("%s.%d", s.name, i))
	})
	if errors.Is(err, errLocked) {
		e.idle, s.stop = true, errCrash // it waits: as if it had not been tried yet
		return
	}
	e.done[i] = true
	e.w.trace(s, "commits transaction %d, %s", i, e.plan.Acts[i])
}

// in does the act in an open transaction.
func (a Act) in(tx *session, t *change.Table, value string) error {
	row := func(key string) []change.Value { return tx.get(rowID{t.QualifiedName(), key}) }
	put := func(key string) error {
		if now := row(key); now != nil {
			return tx.update(t, now, fresh(key, value))
		}
		return tx.insert(t, fresh(key, value))
	}
	if a == Take0 || a == Take1 {
		value = "the name"
	}
	switch a {
	case Put0, Take0:
		return put("0")
	case Put1, Take1:
		return put("1")
	case PutBoth:
		return errors.Join(put("0"), put("1"))
	case Truncate:
		return tx.truncate(t)
	}
	now := row("0")
	switch {
	case now == nil:
		return nil
	case a == Move:
		if row("1") != nil {
			return nil
		}
		to := append([]change.Value(nil), now...)
		to[0] = change.TextValue("1")
		return tx.update(t, now, to)
	}
	err := tx.remove(t, "0")
	if err == nil && a == Replace0 {
		err = tx.insert(t, fresh("0", value))
	}
	return err
}

// next is the next transaction of s; -1: it has committed all.
func (e *explored) next(s *site) int {
	for i := range e.done {
		if !e.done[i] && e.w.sites[e.plan.Sites[i]] == s {
			return i
		}
	}
	return -1
}

// options lists what may happen between two steps.
func (e *explored) options() (out []option) {
	for i, s := range e.w.sites {
		add := func(label string, do func()) {
			out = append(out, option{fmt.Sprintf("%s %s", s.name, label), do})
		}
		if e.next(s) >= 0 {
			add("commit", func() { e.act(s) })
		}
		if s.agents == nil {
			add("restart", func() { e.sent[i] = false; e.w.survive(s, s.session) })
			continue
		}
		e.captureOptions(i, s, add)
		for _, p := range s.peers {
			e.linkOptions(i, s, p, add)
		}
		if _, writes := s.agents.window.Size(); e.left.Compactions > 0 && writes > 0 {
			add("compact", func() { e.left.Compactions--; s.agents.window.Compact() })
		}
		if e.left.Crashes > 0 {
			add("crash agents", func() { e.crashAgents(s); s.down(); s.stop = nil })
			add("crash database", func() { e.crashDatabase(s) })
		}
	}
	return out
}

func (e *explored) captureOptions(i int, s *site, add func(string, func())) {
	if s.agents.steps == nil {
		add("session", func() { e.sent[i] = false; e.w.survive(s, s.session) })
		return
	}
	if s.agents.steps.Holding() || s.agents.reader.at < len(s.db.log) {
		add("read", func() {
			s.db.Flush()
			at := s.agents.reader.at
			e.sent[i] = e.sent[i] && at < len(s.db.log) && !s.db.log[at].local // a mark alone is not sent
			e.w.survive(s, func() error { _, err := s.read(1); return err })
		})
	}
	if e.sent[i] {
		return
	}
	publish := func(settle bool) {
		e.w.survive(s, func() error {
			any, err := s.publish(s.agents.ctx(), true, settle)
			e.sent[i] = !any
			return err
		})
	}
	add("publish", func() { publish(true) })
	if e.left.Crashes > 0 {
		add("publish, bus crash", func() {
			publish(false)
			e.left.Crashes--
			s.crashBus()
		})
	}
}

func (e *explored) linkOptions(i int, s *site, p change.Site, add func(string, func())) {
	c, own := s.copies[p], e.w.site(p).own
	if c.next < len(own.stored) {
		add("deliver", func() { c.copyFrom(own, 1); c.sync() })
	}
	if c.next > 0 && e.left.Duplicates > 0 {
		add("duplicate", func() {
			e.left.Duplicates--
			c.next--
			c.copyFrom(own, 1)
			c.sync()
		})
	}
	txs, err := s.next(p, s.db.points[p].Seq, 1000)
	if err != nil || len(txs) == 0 {
		return
	}
	take := func(n int) func() {
		return func() {
			e.sent[i] = false
			e.w.survive(s, func() error { _, err := s.applyStep(p, n); return err })
		}
	}
	add("apply", take(1000))
	if len(txs) > 1 {
		add("apply one", take(1))
	}
}

func (e *explored) crashAgents(s *site) {
	e.left.Crashes--
	s.stop = errCrash
}

func (e *explored) crashDatabase(s *site) {
	e.left.Crashes--
	s.crashDatabase()
}

// alike are points of apply's path that follow another at which nothing has changed
// since: what may happen here may as well happen there.
var alike = map[string]bool{"begun": true, "locked": true, "written": true, "acquire": true, "parked": true, "holds": true, "checkpoints": true}

// inside is asked at every point of apply's path.
func (e *explored) inside(s *site, point string) {
	again := point == "commit" && e.last == point // before, and as the database is told
	e.last = point
	if s.stop != nil || alike[point] || again {
		return
	}
	labels, does := []string{"go on"}, []func(){func() {}}
	add := func(label string, do func()) {
		labels = append(labels, fmt.Sprintf("%s %s at %s", s.name, label, point))
		does = append(does, do)
	}
	if e.next(s) >= 0 {
		add("commit", func() { e.act(s) })
	}
	if a := s.agents; a != nil && a.steps != nil && a.reader.at < s.db.flushed {
		add("read", func() {
			_, err := s.read(1)
			e.w.tolerate(s, err)
		})
	}
	if e.left.Crashes > 0 {
		add("crash agents", func() { e.crashAgents(s) })
		add("crash database", func() { e.crashDatabase(s) })
	}
	does[e.choose(labels)]()
}

// end brings the world to rest and asks the oracles.
func (e *explored) end() error {
	for _, s := range e.w.sites {
		s.at = nil
	}
	e.w.rng = rand.New(rand.NewPCG(1, 1))
	if len(e.w.failures) == 0 {
		e.w.rest()
	}
	if len(e.w.failures) == 0 {
		e.w.judge()
	}
	if len(e.w.failures) == 0 {
		return nil
	}
	return errors.New(e.w.failures[0])
}
