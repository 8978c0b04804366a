package conflict

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

var testTable = (&change.Table{
	Schema: "public", Name: "t",
	Columns: []change.Column{{Name: "id", Kind: change.KindInt}, {Name: "v", Kind: change.KindText}}, Key: []int{0},
}).Seal()

func row(v string) []change.Value {
	return []change.Value{change.TextValue("1"), change.TextValue(v)}
}

// write is a write by origin at hlc that had seen the given seqs of the others.
func write(origin change.Site, seq, hlc uint64, op change.Op, v string, seen change.Seen) *Write {
	w := &Write{Tx: &Tx{Origin: origin, Seq: seq, HLC: hlc, Seen: seen}, Op: op, Table: testTable}
	if op != change.Delete {
		w.Image = row(v)
	}
	return w
}

// Two writes that did not know each other, under each policy; a is the older.
func TestWhatEachPolicyMakesOfTwoWrites(t *testing.T) {
	const gone = ""
	upd, del, ins := change.Update, change.Delete, change.Insert
	for _, c := range []struct {
		policy   string
		a, b     change.Op // by sites a (older) and b (newer)
		expected string    // value of the row; "": no row
	}{
		{"last_write_wins", upd, upd, "b"},
		{"last_write_wins", del, upd, "b"},
		{"last_write_wins", upd, del, gone},
		{"last_write_wins", ins, ins, "b"},
		{"first_write_wins", upd, upd, "a"},
		{"first_write_wins", del, upd, gone},
		{"first_write_wins", upd, del, "a"},
		{"prefer:a", upd, upd, "a"},
		{"prefer:b", upd, upd, "b"},
		{"prefer:a", upd, del, "a"},
		{"prefer:c", upd, upd, "b"},
		{"delete_wins", del, upd, gone},
		{"delete_wins", upd, del, gone},
		{"delete_wins", upd, upd, "b"},
		{"update_wins", upd, del, "a"},
		{"update_wins", del, upd, "b"},
		{"update_wins", upd, upd, "b"},
		{"update_wins", del, del, gone},
		{"delete_wins+first_write_wins", upd, upd, "a"},
		{"delete_wins+prefer:a", upd, del, gone},
		{"update_wins+first_write_wins", del, upd, "b"},
		{"update_wins+prefer:b", upd, del, "a"},
	} {
		p, err := ParsePolicy(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		state := Fold(p, State{Image: row("base")}, []*Write{write("a", 1, 10, c.a, "a", nil), write("b", 1, 20, c.b, "b", nil)}).Image
		got := gone
		if state != nil {
			got = state[1].Text
		}
		if got != c.expected {
			t.Errorf("%s, %v then %v: %q, want %q", c.policy, c.a, c.b, got, c.expected)
		}
	}
}

func TestPoliciesReadBackWhatTheyPrint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			Base:    Base(rapid.IntRange(0, 3).Draw(t, "base")),
			Deletes: Deletes(rapid.IntRange(0, 2).Draw(t, "deletes")),
		}
		if p.Base == Prefer {
			p.Site = "pune"
		}
		got, err := ParsePolicy(p.String())
		if err != nil || got != p {
			t.Fatalf("%+v prints %q, which reads as %+v, %v", p, p, got, err)
		}
	})
	if _, err := ParsePolicy("newest_wins"); err == nil {
		t.Error("an unknown policy is taken")
	}
}

// A write that knew everything before it takes effect whatever the policy.
func TestAWriteThatKnewAllStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			Base:    Base(rapid.IntRange(0, 2).Draw(t, "base")),
			Site:    "a",
			Deletes: Deletes(rapid.IntRange(0, 2).Draw(t, "deletes")),
		}
		list := []*Write{
			write("a", 1, 10, change.Update, "a", nil),
			write("b", 1, 20, change.Update, "b", nil),
			write("c", 1, 30, change.Insert, "c", change.Seen{"a": 1, "b": 1}),
		}
		if got := Fold(p, State{Image: row("base")}, list).Image; got == nil || got[1].Text != "c" {
			t.Fatalf("%s: %v", p, got)
		}
	})
}

func TestConflictsAreNamedFromTheNewerWrite(t *testing.T) {
	for _, c := range []struct {
		older, newer change.Op
		want         Kind
	}{
		{change.Insert, change.Insert, InsertExists},
		{change.Update, change.Insert, InsertExists},
		{change.Update, change.Update, UpdateOriginDiffers},
		{change.Insert, change.Update, UpdateOriginDiffers},
		{change.Delete, change.Update, UpdateDeleted},
		{change.Delete, change.Insert, UpdateDeleted},
		{change.Update, change.Delete, DeleteOriginDiffers},
		{change.Delete, change.Delete, DeleteMissing},
	} {
		if got := KindOf(c.older, c.newer); got != c.want {
			t.Errorf("%v then %v: %s, want %s", c.older, c.newer, got, c.want)
		}
	}
}

// A prefix may be folded away only when everyone saw it and every later write saw it
// whole.
func TestCutKeepsWhatALaterWriteDidNotSee(t *testing.T) {
	a1 := write("a", 1, 10, change.Update, "a1", nil)
	b1 := write("b", 1, 20, change.Update, "b1", nil)                 // did not see a1
	a2 := write("a", 2, 30, change.Update, "a2", change.Seen{"b": 1}) // saw both
	all := func(*Write) bool { return true }
	for _, c := range []struct {
		name string
		list []*Write
		saw  func(*Write) bool
		want int
	}{
		{"nobody saw it", []*Write{a1}, func(*Write) bool { return false }, 0},
		{"everyone saw the only one", []*Write{a1}, all, 1},
		{"the second did not see the first, but both are seen", []*Write{a1, b1}, all, 2},
		{"the first alone may not go", []*Write{a1, b1}, func(w *Write) bool { return w == a1 }, 0},
		{"both may go before one that saw both", []*Write{a1, b1, a2}, func(w *Write) bool { return w != a2 }, 2},
	} {
		if got := Cut(c.list, c.saw); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
