package apply

import (
	"fmt"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

// A crash of the database takes back a commit, and what was parked in it. When the
// transaction comes again it must not wait behind itself.
func TestAChangeDoesNotWaitBehindOneThatACrashTookBack(t *testing.T) {
	db := newFakeDB()
	l := linkTo(t, db, nil, nil)
	refused := true
	db.write = func(*Write) error {
		if refused {
			return fmt.Errorf("%w: not today", ErrRejected)
		}
		return nil
	}
	if err := l.Step(t.Context(), []change.Transaction{there(1, insert("a", "1", "1"))}); err != nil || len(db.parked) != 1 {
		t.Fatalf("%d parked: %v", len(db.parked), err)
	}
	db.point, db.parked, refused = Checkpoint{}, nil, false
	if _, err := l.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Step(t.Context(), []change.Transaction{there(1, insert("a", "1", "1"))}); err != nil {
		t.Fatal(err)
	}
	if len(db.parked) > 0 || fmt.Sprint(db.text()) != "[a 1 1]" {
		t.Errorf("rows %v, parked %+v", db.text(), db.parked)
	}
}
