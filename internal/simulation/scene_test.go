package simulation

import (
	"fmt"
	"testing"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// scene is a world in which only happens what a test says.
type scene struct {
	*World
	t *testing.T
}

func newScene(t *testing.T, sites int) *scene {
	t.Helper()
	w := newWorld(t.Context(), Options{Seed: 1, Sites: sites, NoFaults: true})
	w.calm = true
	w.groupRows = 100
	for _, s := range w.sites {
		s.db.partRows, s.skew = 0, 0
	}
	return &scene{w, t}
}

// commits lets an application of site i do something, and publishes it.
func (sc *scene) commits(i int, do func(*session) error) {
	sc.t.Helper()
	s := sc.sites[i]
	s.db.mu.Lock()
	tx := s.db.session()
	err := do(tx)
	s.db.mu.Unlock()
	sc.now = sc.now.Add(1000)
	if err != nil || !s.app.commit(tx, s.clock(), false) {
		sc.t.Fatalf("the application at %s could not commit: %v", s.name, err)
	}
	sc.captures(i)
}

// captures lets capture at site i read and publish everything.
func (sc *scene) captures(i int) {
	sc.t.Helper()
	s := sc.sites[i]
	sc.survive(s, func() error {
		if err := s.session(); err != nil {
			return err
		}
		if _, err := s.read(1000); err != nil {
			return err
		}
		for more := true; more; {
			var err error
			if more, err = s.publish(s.agents.ctx(), true, true); err != nil {
				return err
			}
		}
		return nil
	})
	sc.well()
}

// applies lets site i apply everything that site from has published.
func (sc *scene) applies(i, from int) {
	sc.t.Helper()
	s, p := sc.sites[i], sc.sites[from]
	s.copies[p.name].copyFrom(p.own, 1000)
	sc.survive(s, func() error {
		_, err := s.applyStep(p.name, 1000)
		return err
	})
	sc.well()
}

func (sc *scene) well() {
	sc.t.Helper()
	if len(sc.failures) > 0 {
		sc.t.Fatal(sc.failures)
	}
}

func row(key, a string) []change.Value {
	return []change.Value{change.TextValue(key), change.TextValue(a), change.TextValue(a)}
}

// A crash of the database takes back what a link had applied but the log had not
// flushed. The window must not go on holding it against what other links apply before
// it has come again: the two would meet twice.
func TestAConflictIsRecordedOnceWhenACrashTakesBackOneOfTheTwoWrites(t *testing.T) {
	for name, set := range map[string]struct {
		table *change.Table
		parts int
	}{
		"last_write_wins":            {plainTable, 0},
		"in a large transaction":     {plainTable, 1},
		"a policy with images":       {policyTable, 0},
		"images, large transactions": {policyTable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, 3)
			sc.sites[1].db.partRows = set.parts
			sc.commits(0, func(s *session) error { return s.insert(set.table, row("k", "of s0")) })
			sc.commits(1, func(s *session) error {
				if err := s.insert(set.table, row("other", "of s1")); err != nil {
					return err
				}
				return s.insert(set.table, row("k", "of s1"))
			})
			sc.applies(2, 1)
			sc.sites[2].crashDatabase()
			if got := sc.sites[2].db.points["s1"].Seq; got != 0 {
				t.Fatalf("the crash took nothing back: the checkpoint is at %d", got)
			}
			sc.applies(2, 0)
			sc.applies(2, 1)
			if n := len(sc.sites[2].db.conflicts); n != 1 {
				t.Errorf("the conflict was recorded %d times", n)
			}
			sc.rest()
			sc.judge()
			sc.well()
		})
	}
}

// What the window held of an origin before it is taken back with what came after on
// the same key must be there again: a write that knew neither has met the first.
func TestAWriteStillMeetsWhatWasBeforeTheOneThatACrashTookBack(t *testing.T) {
	for name, table := range map[string]*change.Table{"last_write_wins": plainTable, "a policy with images": policyTable} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, 3)
			sc.commits(0, func(s *session) error { return s.insert(table, row("k", "of s0")) })
			sc.commits(1, func(s *session) error { return s.insert(table, row("k", "first")) })
			sc.applies(2, 1)
			sc.sites[2].db.Flush()
			sc.commits(1, func(s *session) error { return s.update(table, row("k", "first"), row("k", "second")) })
			sc.applies(2, 1)
			sc.sites[2].crashDatabase()
			sc.applies(2, 0)
			if got := sc.sites[2].db.rows[rowID{table.QualifiedName(), "k"}]; got == nil || got[1].Text != "first" && table == plainTable {
				t.Errorf("the row is %s: the later write of s1, which is in the database, did not win", imageText(got))
			}
			sc.rest()
			sc.judge()
			sc.well()
		})
	}
}

// Whether a commit succeeded may not be known for a while. Until it is, nobody may
// decide on the keys of the transaction: the window does not hold its writes.
func TestNoWriteIsDecidedAgainstATransactionWhoseCommitIsInDoubt(t *testing.T) {
	for name, set := range map[string]struct {
		table *change.Table
		parts int
	}{
		"a group":                    {plainTable, 0},
		"a large transaction":        {plainTable, 1},
		"a policy with images":       {policyTable, 0},
		"images, large transactions": {policyTable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, 3)
			sc.sites[1].db.partRows = set.parts
			sc.commits(0, func(s *session) error { return s.insert(set.table, row("k", "lesser")) })
			sc.commits(1, func(s *session) error {
				if err := s.insert(set.table, row("other", "of s1")); err != nil {
					return err
				}
				return s.insert(set.table, row("k", "greater"))
			})
			sc.sites[2].loseAnswer = true
			sc.applies(2, 1)
			sc.applies(2, 0)
			sc.rest()
			sc.judge()
			sc.well()
		})
	}
}

// An application may insert a row between the fence and the commit of a delete that
// found none. They meet, and that is recorded once, although the agents crash.
func TestAConflictMetAfterTheFenceIsRecordedAlthoughTheAgentsCrash(t *testing.T) {
	for name, table := range map[string]*change.Table{"last_write_wins": plainTable, "a policy with images": policyTable} {
		for _, crash := range []string{"", "committed"} {
			t.Run(name+" "+crash, func(t *testing.T) {
				sc := newScene(t, 2)
				sc.commits(0, func(s *session) error {
					if err := s.insert(table, row("k", "of s0")); err != nil {
						return err
					}
					return s.remove(table, "k")
				})
				s := sc.sites[1]
				came := false
				s.at = func(point string) {
					switch {
					case point == "commit" && !came:
						came = true
						tx := s.db.session()
						if err := tx.insert(table, row("k", "of s1")); err != nil || !s.app.commit(tx, s.clock(), false) {
							t.Errorf("the application could not insert: %v", err)
						}
					case came && crash != "" && point == crash:
						s.stop, crash = errCrash, ""
					}
				}
				sc.applies(1, 0)
				if !came {
					t.Fatal("nothing was committed")
				}
				s.down()
				sc.rest()
				sc.judge()
				sc.well()
			})
		}
	}
}

// Changes of a table that does not exist yet are applied in their own order when it
// has come: truncates and moved keys with the others.
func TestHeldChangesAreAppliedWhenTheTableHasCome(t *testing.T) {
	for name, table := range map[string]*change.Table{"last_write_wins": plainTable, "a policy with images": policyTable} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, 2)
			here := sc.sites[1].db
			here.lacks, sc.sites[1].lacked = table.QualifiedName(), true
			sc.commits(0, func(s *session) error { return s.insert(table, row("gone", "first")) })
			sc.commits(0, func(s *session) error { return s.truncate(table) })
			sc.commits(0, func(s *session) error { return s.insert(table, row("from", "second")) })
			sc.commits(0, func(s *session) error { return s.update(table, row("from", "second"), row("to", "third")) })
			sc.applies(1, 0)
			if n := len(here.holds); n != 1 {
				t.Fatalf("%d tables are held back", n)
			}
			sc.createTables()
			sc.rest()
			sc.judge()
			sc.well()
			if len(here.holds) != 0 {
				t.Error("the table is still held back")
			}
		})
	}
}

// A key that is looked at again after the commit may have no row, and then one for a
// moment: what was made of it in between must not come back.
func TestARowThatCameAndWentWhileItsKeyWasLookedAtAgainStaysGone(t *testing.T) {
	sc := newScene(t, 2)
	sc.commits(0, func(s *session) error {
		if err := s.insert(policyTable, row("k", "of s0")); err != nil {
			return err
		}
		return s.remove(policyTable, "k")
	})
	s := sc.sites[1]
	does := func(do func(*session) error) {
		tx := s.db.session()
		if err := do(tx); err != nil || !s.app.commit(tx, s.clock(), false) {
			t.Errorf("the application could not commit: %v", err)
		}
	}
	var next int
	steps := []struct {
		point string
		do    func()
	}{
		{"committed", func() {}},
		{"position", func() { does(func(tx *session) error { return tx.insert(policyTable, row("k", "of s1")) }) }},
		{"write", func() { does(func(tx *session) error { return tx.remove(policyTable, "k") }) }},
	}
	s.at = func(point string) {
		if next < len(steps) && point == steps[next].point {
			next++
			steps[next-1].do()
		}
	}
	sc.applies(1, 0)
	if next != len(steps) {
		t.Fatalf("only %d things happened", next)
	}
	sc.rest()
	sc.judge()
	sc.well()
}

// A transaction that meets others by a value of a unique key is decided as a whole; what
// a rule cannot decide of it, on a table without such keys, waits alone.
func TestARowIsNotParkedBecauseTheRuleOfAnotherFailed(t *testing.T) {
	sc := newScene(t, 2)
	sc.policy = conflict.Policy{}
	stock := func(key, n string) []change.Value {
		v := change.TextValue
		return []change.Value{v(key), v(n), v("1.00"), v("1"), v("1"), v("{}"), v("note")}
	}
	for i := range 2 {
		sc.commits(i, func(s *session) error {
			if err := s.insert(namesTable, row(fmt.Sprint(i), "taken by both")); err != nil {
				return err
			}
			if err := s.insert(stockTable, stock("overflows", "32000")); err != nil {
				return err
			}
			return s.insert(stockTable, stock("adds up", "5"))
		})
	}
	sc.applies(0, 1)
	sc.applies(1, 0)
	for _, s := range sc.sites {
		if n := len(s.db.parked); n != 1 || s.db.parked[0].Row.New[0].Text != "overflows" {
			t.Errorf("%s parked %d changes", s.name, n)
		}
		if got := s.db.rows[rowID{stockTable.QualifiedName(), "adds up"}]; got == nil || got[1].Text != "10" {
			t.Errorf("%s: what adds up is %s", s.name, imageText(got))
		}
	}
	sc.rest()
	sc.judge()
	sc.well()
}

// A large transaction of which a session of capture has read a part has its version: the
// window holds that part. The next session must not be asked to version it later.
func TestALargeTransactionKeepsItsVersionAlthoughCaptureStartsAgainInTheMiddleOfIt(t *testing.T) {
	sc := newScene(t, 2)
	s := sc.sites[0]
	s.db.partRows, s.skew = 1, -time.Hour
	sc.commits(1, func(tx *session) error { // it locks nothing: what comes later must be versioned later
		if err := tx.insert(plainTable, row("k", "of s1")); err != nil {
			return err
		}
		return tx.remove(plainTable, "k")
	})
	commits := func() {
		tx := s.db.session()
		for i := range accounts {
			if err := tx.insert(accountTable, []change.Value{change.TextValue(fmt.Sprint(i)), change.TextValue("100")}); err != nil {
				t.Error(err)
			}
		}
		if !s.app.commit(tx, s.clock(), false) {
			t.Error("the application could not commit")
		}
	}
	came := false
	s.at = func(point string) {
		if point != "fence" || came {
			return
		}
		came = true
		commits()
		if err := s.session(); err != nil {
			t.Error(err)
		}
		if _, err := s.read(1); err != nil {
			t.Error(err)
		}
		s.stopCapture()
	}
	sc.applies(0, 1)
	if !came {
		t.Fatal("apply asked for no fence")
	}
	s.at = nil
	sc.captures(0)
	s.crashDatabase()
	sc.rest()
	sc.judge()
	sc.well()
}
