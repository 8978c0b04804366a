package change

import "testing"

func TestWhatARowSaysOfItsKey(t *testing.T) {
	table := shape(nil)
	image := func(id, v string) []Value { return []Value{TextValue(id), TextValue(v)} }
	keyOnly := func(id string) []Value { return []Value{TextValue(id), {}} }
	for _, c := range []struct {
		name    string
		row     Row
		key     string // "" none
		moves   bool
		partial bool
	}{
		{"insert", Row{Op: Insert, New: image("1", "a")}, "1", false, false},
		{"update that keeps its key", Row{Op: Update, New: image("1", "b")}, "1", false, false},
		{"update with a full old image", Row{Op: Update, Old: image("1", "a"), New: image("1", "b")}, "1", false, false},
		{"update that moves its key", Row{Op: Update, Old: keyOnly("1"), New: image("2", "a")}, "1", true, false},
		{"update with an unchanged column", Row{Op: Update, New: keyOnly("1")}, "1", false, true},
		{"delete", Row{Op: Delete, Old: keyOnly("3")}, "3", false, false},
		{"truncate", Row{Op: Truncate}, "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.row.Table = table
			key := c.row.Key()
			switch {
			case c.key == "" && key != nil:
				t.Errorf("Key() = %v, want none", key)
			case c.key != "" && key[0].Text != c.key:
				t.Errorf("Key() = %v, want %s", key, c.key)
			}
			if got := c.row.MovesKey(); got != c.moves {
				t.Errorf("MovesKey() = %t", got)
			}
			if got := c.row.Partial(); got != c.partial {
				t.Errorf("Partial() = %t", got)
			}
		})
	}
}

func TestATransactionSawAllEarlierOnesOfItsOrigin(t *testing.T) {
	tx := Transaction{Origin: "a", Seq: 5, Seen: Seen{"b": 7}}
	for _, c := range []struct {
		origin Site
		seq    uint64
		want   bool
	}{{"a", 4, true}, {"a", 5, false}, {"b", 7, true}, {"b", 8, false}, {"c", 1, false}, {"c", 0, true}} {
		if got := tx.Saw(c.origin, c.seq); got != c.want {
			t.Errorf("Saw(%s, %d) = %t, want %t", c.origin, c.seq, got, c.want)
		}
	}
}
