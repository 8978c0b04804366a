package apply

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

var errOtherRules = fmt.Errorf("%w: shop.stock is decided otherwise there", ErrRulesDiffer)

// disputing makes a link whose window has seen local as this site's first transaction,
// and calls conflicts under p disputed while *why is not nil.
func disputing(t *testing.T, db *fakeDB, p conflict.Policy, why *error, local ...change.Row) *Link {
	t.Helper()
	return linkTo(t, db, nil, func(o *Options) {
		o.Policy = func(*change.Table) conflict.Policy { return p }
		o.Window = conflict.NewWindow(conflict.WindowOptions{
			Self: "here", Peers: []change.Site{"there"}, Policy: o.Policy,
			Disputed: func(*change.Table) error { return *why },
		})
		o.Window.AddLocal(&change.Transaction{Origin: "here", Seq: 1, HLC: 1, Rows: local})
	})
}

// Where the sites would not decide alike nobody decides: what meets a write that it did
// not know waits with the reason, whatever the policy and the kind of write; all else of
// its transaction is applied.
func TestConflictsUnderRulesThatDifferAreParked(t *testing.T) {
	policies := map[string]conflict.Policy{
		"last": {}, "first": {Base: conflict.FirstWriteWins}, "delete wins": {Deletes: conflict.DeleteWins},
		"columns": {Columns: &conflict.ColumnRules{Other: conflict.ColumnRule{Kind: conflict.ColumnLast}}},
	}
	for name, p := range policies {
		for _, c := range []struct {
			name  string
			local change.Row
			met   change.Row
		}{
			{"update and update", update("k", "here", "here"), update("k", "there", "there")},
			{"update and delete", update("k", "here", "here"), remove("k")},
			{"insert and insert", insert("k", "here", "here"), insert("k", "there", "there")},
			{"update and a key that moves there", update("k", "here", "here"), move("from", "k", "there", "there")},
		} {
			t.Run(name+", "+c.name, func(t *testing.T) {
				db := newFakeDB()
				db.rows["k"], db.rows["from"] = image("k", "here", "here"), image("from", "1", "1")
				why := errOtherRules
				l := disputing(t, db, p, &why, c.local)
				if err := l.Step(t.Context(), []change.Transaction{there(1, c.met, insert("x", "1", "1"))}); err != nil {
					t.Fatal(err)
				}
				wantAll(t, "rows", db.text(), []string{"from 1 1", "k here here", "x 1 1"})
				wantAll(t, "parked", db.parkedText(), []string{"1 rules false"})
				if len(db.parked) == 1 && db.parked[0].Message != errOtherRules.Error() {
					t.Errorf("the reason is %q", db.parked[0].Message)
				}
			})
		}
	}
}

// A write that knew of everything here follows it under any rule.
func TestWhatKnewOfEverythingIsAppliedUnderRulesThatDiffer(t *testing.T) {
	for _, p := range []conflict.Policy{{}, {Base: conflict.FirstWriteWins}} {
		db := newFakeDB()
		db.rows["k"] = image("k", "here", "here")
		why := errOtherRules
		l := disputing(t, db, p, &why, update("k", "here", "here"))
		after := there(1, update("k", "there", "there"))
		after.Seen = change.Seen{"here": 1}
		if err := l.Step(t.Context(), []change.Transaction{after}); err != nil {
			t.Fatal(err)
		}
		wantAll(t, "rows", db.text(), []string{"k there there"})
		wantAll(t, "parked", db.parkedText(), nil)
	}
}

// When the sites agree again conflicts are decided again; what is parked still waits for
// a person, and what follows on its row waits with it.
func TestConflictsAreDecidedAgainOnceRulesAgree(t *testing.T) {
	db := newFakeDB()
	db.rows["k"], db.rows["m"] = image("k", "here", "here"), image("m", "here", "here")
	why := errOtherRules
	l := disputing(t, db, conflict.Policy{}, &why, update("k", "here", "here"), update("m", "here", "here"))
	if err := l.Step(t.Context(), []change.Transaction{there(1, update("k", "1", "1"))}); err != nil {
		t.Fatal(err)
	}
	why = nil
	if err := l.Step(t.Context(), []change.Transaction{there(2, update("m", "2", "2")), there(3, update("k", "3", "3"))}); err != nil {
		t.Fatal(err)
	}
	wantAll(t, "rows", db.text(), []string{"k here here", "m 2 2"})
	wantAll(t, "parked", db.parkedText(), []string{"1 rules false", "3 policy true"})
}

// A truncate takes nothing away that a person has to decide about.
func TestATruncateLeavesWhatIsDisputed(t *testing.T) {
	for _, p := range []conflict.Policy{{}, {Deletes: conflict.DeleteWins}} {
		db := newFakeDB()
		db.rows["k"], db.rows["m"] = image("k", "here", "here"), image("m", "1", "1")
		why := errOtherRules
		l := disputing(t, db, p, &why, update("k", "here", "here"))
		if err := l.Step(t.Context(), []change.Transaction{there(1, change.Row{Table: stock, Op: change.Truncate})}); err != nil {
			t.Fatal(err)
		}
		wantAll(t, "rows", db.text(), []string{"k here here"})
	}
}

// Frames of a peer tell its rules before anything of them is applied.
func TestRulesAreNotedBeforeTheFrameIsApplied(t *testing.T) {
	db := newFakeDB()
	var noted change.Rules
	l := linkTo(t, db, nil, nil)
	frames := make(chan *change.Frame, 1)
	failing := errors.New("the database is away")
	l.agent.o.NoteRules = func(_ context.Context, from change.Site, rules change.Rules) error {
		if noted = rules; from != "there" {
			t.Errorf("rules of %s", from)
		}
		return failing
	}
	f := &oneFrame{change.Frame{Rules: change.Rules{{Match: []string{"shop.*"}, Hash: 7}}}}
	if err := l.fetch(t.Context(), f, frames); !errors.Is(err, failing) || len(frames) != 0 || len(noted) != 1 {
		t.Errorf("%v, %d frames handed on, noted %v", err, len(frames), noted)
	}
}
