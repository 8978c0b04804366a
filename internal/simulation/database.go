package simulation

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// rowID names a row of a database.
type rowID struct{ table, key string }

// record is one committed transaction in a database's log, with what it takes to
// take it back.
type record struct {
	local bool
	rows  []change.Row // of a local transaction, in log order
	at    time.Time
	beat  time.Time
	mark  change.Mark

	undo      []undoRow
	point     apply.Checkpoint // before it
	conflicts []apply.Conflict
	parked    []apply.Parked
	holds     map[heldTable]apply.Hold
	effects   []string
}

// heldTable names a table of an origin that is held back.
type heldTable struct {
	origin change.Site
	table  string
}

type undoRow struct {
	id     rowID
	before []change.Value
}

// Database is a database in memory. All methods may be called concurrently; nothing
// waits for a lock: whoever meets one gives way.
type Database struct {
	mu     sync.Mutex
	shapes map[string]*change.Table
	rows   map[rowID][]change.Value

	log      []record
	flushed  int // records that a crash does not take back
	released int // records that the log's reader has let go

	points    map[change.Site]apply.Checkpoint
	conflicts []apply.Conflict
	parked    []apply.Parked           // replaced, never changed
	holds     map[heldTable]apply.Hold // replaced, never changed
	effects   map[string]int           // ledger rows written by apply: how often
	lacks     string                   // a table that does not exist here yet

	locks      map[rowID]*session
	tableLocks map[string]*session
	life       int // counts crashes; sessions of an earlier life are dead
	partRows   int // transactions of more rows are read in parts; 0: never
	changed    chan struct{}
	broken     []string // violations noticed by the database itself
	uneven     []string // rows that belong together and did not agree
}

// NewDatabase returns an empty database with the given tables.
func NewDatabase(tables []*change.Table, partRows int) *Database {
	db := &Database{
		shapes: map[string]*change.Table{}, rows: map[rowID][]change.Value{},
		points: map[change.Site]apply.Checkpoint{}, effects: map[string]int{},
		locks: map[rowID]*session{}, tableLocks: map[string]*session{},
		partRows: partRows, changed: make(chan struct{}),
	}
	for _, t := range tables {
		db.shapes[t.QualifiedName()] = t
	}
	return db
}

func positionOf(n int) change.Position {
	if n == 0 {
		return ""
	}
	return change.Position(fmt.Sprintf("%08d", n))
}

func indexOf(p change.Position) int {
	n := 0
	for i := range len(p) {
		n = n*10 + int(p[i]-'0')
	}
	return n
}

// wake tells whoever waits that something was committed or flushed. Holds db.mu.
func (db *Database) wake() {
	close(db.changed)
	db.changed = make(chan struct{})
}

// Flush makes everything committed so far durable and readable in the log.
func (db *Database) Flush() change.Position {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.flushed = len(db.log)
	db.wake()
	return positionOf(db.flushed)
}

// Beat commits a heartbeat.
func (db *Database) Beat(commit, beat time.Time) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.log = append(db.log, record{local: true, at: commit, beat: beat, conflicts: db.conflicts, parked: db.parked, holds: db.holds})
	db.flushed = len(db.log)
	db.wake()
}

// Crash ends every session and takes back what was not flushed.
func (db *Database) Crash() {
	db.mu.Lock()
	defer db.mu.Unlock()
	for i := len(db.log) - 1; i >= db.flushed; i-- {
		r := &db.log[i]
		for j := len(r.undo) - 1; j >= 0; j-- {
			db.set(r.undo[j].id, r.undo[j].before)
		}
		if !r.local {
			db.points[r.mark.Origin] = r.point
		}
		db.conflicts, db.parked, db.holds = r.conflicts, r.parked, r.holds
		for _, e := range r.effects {
			db.effects[e]--
		}
	}
	db.log = db.log[:db.flushed]
	db.life++
	clear(db.locks)
	clear(db.tableLocks)
	db.wake()
}

func (db *Database) set(id rowID, image []change.Value) {
	if image == nil {
		delete(db.rows, id)
	} else {
		db.rows[id] = image
	}
}

// keys lists the keys of a table in order.
func (db *Database) keys(table string) []string {
	var ks []string
	for id := range db.rows {
		if id.table == table {
			ks = append(ks, id.key)
		}
	}
	slices.Sort(ks)
	return ks
}

// errLocked: another session holds the lock; the caller gives way.
var errLocked = errors.New("locked by another session")

// errGone: the database crashed under the session.
var errGone = errors.New("the connection is gone")

// session is one open transaction, of an application or of apply.
type session struct {
	db    *Database
	life  int
	over  map[rowID][]change.Value // written here; nil: deleted
	order []rowID
	rows  []change.Row
	locks map[rowID]bool
	table map[string]bool
	save  *saved
	ended bool
}

// saved is a savepoint, with what it takes to get back to it.
type saved struct {
	undo  []overRow
	locks []rowID
	order int
}

type overRow struct {
	id     rowID
	before []change.Value
	had    bool
}

func (db *Database) session() *session {
	return &session{db: db, life: db.life, over: map[rowID][]change.Value{}, locks: map[rowID]bool{}, table: map[string]bool{}}
}

func (s *session) alive() error {
	if s.ended || s.life != s.db.life {
		return errGone
	}
	return nil
}

func (s *session) lock(id rowID) error {
	if t := s.db.tableLocks[id.table]; t != nil && t != s {
		return errLocked
	}
	if o := s.db.locks[id]; o != nil && o != s {
		return errLocked
	}
	s.db.locks[id] = s
	if s.save != nil && !s.locks[id] {
		s.save.locks = append(s.save.locks, id)
	}
	s.locks[id] = true
	return nil
}

func (s *session) lockTable(table string) error {
	if t := s.db.tableLocks[table]; t != nil && t != s {
		return errLocked
	}
	for id, o := range s.db.locks {
		if id.table == table && o != s {
			return errLocked
		}
	}
	s.db.tableLocks[table] = s
	s.table[table] = true
	return nil
}

// get returns the row as this session sees it; nil: none.
func (s *session) get(id rowID) []change.Value {
	if image, ok := s.over[id]; ok {
		return image
	}
	return s.db.rows[id]
}

func (s *session) put(id rowID, image []change.Value) {
	before, had := s.over[id]
	if !had {
		s.order = append(s.order, id)
	}
	if s.save != nil {
		s.save.undo = append(s.save.undo, overRow{id, before, had})
	}
	s.over[id] = image
}

// seen lists the keys of a table that this session sees.
func (s *session) seen(table string) []string {
	var ks []string
	for _, k := range s.db.keys(table) {
		if s.get(rowID{table, k}) != nil {
			ks = append(ks, k)
		}
	}
	for _, id := range s.order {
		if id.table == table && s.over[id] != nil && s.db.rows[id] == nil {
			ks = append(ks, id.key)
		}
	}
	slices.Sort(ks)
	return ks
}

func (s *session) savepoint() {
	s.save = &saved{order: len(s.order)}
}

func (s *session) rollbackTo() error {
	if s.save == nil {
		return errors.New("there is no savepoint")
	}
	for i := len(s.save.undo) - 1; i >= 0; i-- {
		if u := &s.save.undo[i]; u.had {
			s.over[u.id] = u.before
		} else {
			delete(s.over, u.id)
		}
	}
	s.order = s.order[:s.save.order]
	for _, id := range s.save.locks {
		delete(s.locks, id)
		delete(s.db.locks, id)
	}
	s.savepoint() // it stays
	return nil
}

// install writes what the session wrote and appends it to the log.
func (s *session) install(r record) {
	db := s.db
	r.conflicts, r.parked, r.holds = db.conflicts, db.parked, db.holds
	for _, id := range s.order {
		r.undo = append(r.undo, undoRow{id, db.rows[id]})
		db.set(id, s.over[id])
	}
	db.log = append(db.log, r)
	db.watch(s.order)
}

func (s *session) end() {
	if s.ended {
		return
	}
	s.ended = true
	if s.life != s.db.life {
		return
	}
	for id := range s.locks {
		delete(s.db.locks, id)
	}
	for t := range s.table {
		delete(s.db.tableLocks, t)
	}
}
