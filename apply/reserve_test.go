package apply

import (
	"testing"
	"testing/synctest"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// Two links stood still: each looked again at a row that was tied to one which the next
// group of the other had reserved, and that group could not start before.
func TestAGroupThatCannotStartHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReservations()
		var key conflict.Key
		next := &group{keys: []*keyWork{{key: key}}, link: "mumbai"}
		release, err := r.reserve(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.add("pune", []conflict.Key{key}); ok {
			t.Fatal("a key was added that a group at work holds")
		}
		r.waitsFor(next.token, true)
		free, ok := r.add("pune", []conflict.Key{key})
		if !ok {
			t.Fatal("a group that cannot start holds another link up")
		}
		began := false
		go func() {
			if err := r.begins(t.Context(), next); err != nil {
				t.Error(err)
			}
			began = true
		}()
		synctest.Wait()
		if began {
			t.Error("the group began while another link works on its key")
		}
		free()
		synctest.Wait()
		if !began {
			t.Error("the group does not begin although its keys were given back")
		}
		if _, ok := r.add("pune", []conflict.Key{key}); ok {
			t.Error("a key was added that a group at work holds")
		}
		release()
		if _, ok := r.add(change.Site("pune"), []conflict.Key{key}); !ok {
			t.Error("the key was not given back")
		}
	})
}
