package conflict

import (
	"errors"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

var stockTable = (&change.Table{
	Schema: "public", Name: "stock", Full: true, Key: []int{0},
	Columns: []change.Column{
		{Name: "id", Type: "integer", Kind: change.KindInt},
		{Name: "n", Type: "integer", Kind: change.KindInt},
		{Name: "price", Type: "numeric(6,2)", Kind: change.KindDecimal},
		{Name: "low", Type: "integer", Kind: change.KindInt},
		{Name: "tags", Type: "text[]", Kind: change.KindArray},
		{Name: "note", Type: "text", Kind: change.KindText},
		{Name: "status", Type: "text", Kind: change.KindText},
	},
}).Seal()

var stockRules = &ColumnRules{ByName: map[string]ColumnRule{
	"n": {Kind: ColumnSum}, "price": {Kind: ColumnSum}, "low": {Kind: ColumnMin}, "tags": {Kind: ColumnUnion},
	"status": {Kind: ColumnResolver, Resolver: &Resolver{Name: "s.star:longer", Column: longer}},
}}

// longer takes the longer text; it refuses "bad", and needs to be told what both knew.
func longer(_ *change.Table, _ int, older, newer, base change.Value) (change.Value, error) {
	switch {
	case newer.Text == "bad":
		return newer, errors.New("bad is no status")
	case base.State == change.Unchanged:
		return newer, errors.New("no base")
	case len(older.Text) > len(newer.Text):
		return older, nil
	}
	return newer, nil
}

// stock reads "1 | 5 | 2.50 | …"; NULL and nothing ("") as they are written.
func stock(s string) []change.Value {
	if s == "" {
		return nil
	}
	var image []change.Value
	for f := range strings.SplitSeq(s, "|") {
		if f = strings.TrimSpace(f); f == "NULL" {
			image = append(image, change.NullValue())
		} else {
			image = append(image, change.TextValue(f))
		}
	}
	return image
}

func stockText(image []change.Value) string {
	var parts []string
	for _, v := range image {
		switch v.State {
		case change.Null:
			parts = append(parts, "NULL")
		case change.Unchanged:
			parts = append(parts, "~")
		default:
			parts = append(parts, v.Text)
		}
	}
	return strings.Join(parts, " | ")
}

func stockWrite(origin change.Site, hlc uint64, op change.Op, old, image string, seen change.Seen) *Write {
	return &Write{Tx: &Tx{Origin: origin, Seq: 1, HLC: hlc, Seen: seen}, Op: op, Old: stock(old), Image: stock(image), Table: stockTable}
}

func TestColumnsMergeWhatBothSidesChanged(t *testing.T) {
	const base = "1 | 10 | 2.50 | 5 | {a,b} | old | new"
	for _, c := range []struct {
		name     string
		a, b     string // images after, by sites a (older) and b (newer); "": the row is deleted
		expected string
	}{
		{"different columns are both kept", "1 | 10 | 2.50 | 5 | {a,b} | mine | new", "1 | 10 | 2.50 | 5 | {a,b} | old | paid", "1 | 10 | 2.50 | 5 | {a,b} | mine | paid"},
		{"the greater version of one column", "1 | 10 | 2.50 | 5 | {a,b} | x | new", "1 | 10 | 2.50 | 5 | {a,b} | y | new", "1 | 10 | 2.50 | 5 | {a,b} | y | new"},
		{"counters add up", "1 | 13 | 2.75 | 5 | {a,b} | old | new", "1 | 6 | 1.50 | 5 | {a,b} | old | new", "1 | 9 | 1.75 | 5 | {a,b} | old | new"},
		{"a counter set to NULL is NULL", "1 | 13 | 2.50 | 5 | {a,b} | old | new", "1 | NULL | 2.50 | 5 | {a,b} | old | new", "1 | NULL | 2.50 | 5 | {a,b} | old | new"},
		{"a counter counts on from NULL as from zero", "1 | NULL | 2.50 | 5 | {a,b} | old | new", "1 | 13 | 2.50 | 5 | {a,b} | old | new", "1 | 3 | 2.50 | 5 | {a,b} | old | new"},
		{"the lesser of two", "1 | 10 | 2.50 | 3 | {a,b} | old | new", "1 | 10 | 2.50 | 4 | {a,b} | old | new", "1 | 10 | 2.50 | 3 | {a,b} | old | new"},
		{"one side alone may raise a minimum", "1 | 11 | 2.50 | 5 | {a,b} | old | new", "1 | 10 | 2.50 | 9 | {a,b} | old | new", "1 | 11 | 2.50 | 9 | {a,b} | old | new"},
		{"sets take what both added and removed", "1 | 10 | 2.50 | 5 | {b,c} | old | new", "1 | 10 | 2.50 | 5 | {a,b,d} | old | new", "1 | 10 | 2.50 | 5 | {b,c,d} | old | new"},
		{"a rule decides one column", "1 | 10 | 2.50 | 5 | {a,b} | old | shipped", "1 | 10 | 2.50 | 5 | {a,b} | old | paid", "1 | 10 | 2.50 | 5 | {a,b} | old | shipped"},
		{"a delete is a write", "1 | 11 | 2.50 | 5 | {a,b} | old | new", "", ""},
		{"an update brings a deleted row back whole", "", "1 | 11 | 2.50 | 5 | {a,b} | old | new", "1 | 11 | 2.50 | 5 | {a,b} | old | new"},
	} {
		op := func(image string) change.Op {
			if image == "" {
				return change.Delete
			}
			return change.Update
		}
		got := Fold(Policy{Columns: stockRules}, State{Image: stock(base), Table: stockTable}, []*Write{
			stockWrite("a", 10, op(c.a), base, c.a, nil), stockWrite("b", 20, op(c.b), base, c.b, nil),
		})
		if got.Err != nil || stockText(got.Image) != c.expected {
			t.Errorf("%s: %s, %v\nwant %s", c.name, stockText(got.Image), got.Err, c.expected)
		}
	}
}

func TestTwoInsertsMergeAsChangesOfNothing(t *testing.T) {
	got := Fold(Policy{Columns: stockRules}, State{}, []*Write{
		stockWrite("a", 10, change.Insert, "", "1 | 5 | 1.00 | 7 | {x} | a | n", nil),
		stockWrite("b", 20, change.Insert, "", "1 | 4 | 2.25 | 8 | {y} | b | nothing", nil),
	})
	// No status is known to both: the rule that needs it says so.
	if got.Err == nil || !strings.Contains(got.Err.Error(), "column status: rule s.star:longer: no base") {
		t.Fatalf("%v", got.Err)
	}
	rules := &ColumnRules{ByName: map[string]ColumnRule{"n": {Kind: ColumnSum}, "price": {Kind: ColumnSum}, "low": {Kind: ColumnMin}, "tags": {Kind: ColumnUnion}}}
	got = Fold(Policy{Columns: rules}, State{}, []*Write{
		stockWrite("a", 10, change.Insert, "", "1 | 5 | 1.00 | 7 | {x} | a | n", nil),
		stockWrite("b", 20, change.Insert, "", "1 | 4 | 2.25 | 8 | {y} | b | nothing", nil),
	})
	if want := "1 | 9 | 3.25 | 7 | {x,y} | b | nothing"; stockText(got.Image) != want || got.Err != nil {
		t.Errorf("%s, %v; want %s", stockText(got.Image), got.Err, want)
	}
}

// What cannot be decided is an error that names the column, not a wrong number; the
// next write that knew all ends it.
func TestARuleThatCannotDecideIsAnError(t *testing.T) {
	const base = "1 | 2147483600 | 9999.00 | 5 | {a} | old | new"
	for _, c := range []struct{ name, a, b, says string }{
		{"an integer that overflows", "1 | 2147483640 | 9999.00 | 5 | {a} | old | new", "1 | 2147483640 | 9999.00 | 5 | {a} | old | new", "column n: sum of"},
		{"a decimal beyond its digits", "1 | 2147483600 | 9999.60 | 5 | {a} | old | new", "1 | 2147483600 | 9999.50 | 5 | {a} | old | new", "10000.10 is out of range of numeric(6,2)"},
		{"a set that is none", "1 | 2147483600 | 9999.00 | 5 | {c} | old | new", "1 | 2147483600 | 9999.00 | 5 | {{a}} | old | new", "column tags: reading"},
		{"a rule that fails", "1 | 2147483600 | 9999.00 | 5 | {a} | old | x", "1 | 2147483600 | 9999.00 | 5 | {a} | old | bad", "column status: rule s.star:longer: bad is no status"},
	} {
		writes := []*Write{stockWrite("a", 10, change.Update, base, c.a, nil), stockWrite("b", 20, change.Update, base, c.b, nil)}
		start := State{Image: stock(base), Table: stockTable}
		got := Fold(Policy{Columns: stockRules}, start, writes)
		if got.Err == nil || !strings.Contains(got.Err.Error(), c.says) {
			t.Errorf("%s: %v, want …%s…", c.name, got.Err, c.says)
		}
		ends := stockWrite("c", 30, change.Update, base, base, change.Seen{"a": 1, "b": 1})
		if got := Fold(Policy{Columns: stockRules}, start, append(writes, ends)); got.Err != nil || stockText(got.Image) != base {
			t.Errorf("%s: after a write that knew all: %s, %v", c.name, stockText(got.Image), got.Err)
		}
	}
}

// Without the row before, it cannot be told what an update changed: nothing is guessed.
func TestAnUpdateWithoutTheRowBeforeIsNotMerged(t *testing.T) {
	const base = "1 | 10 | 2.50 | 5 | {a,b} | old | new"
	a := stockWrite("a", 10, change.Update, base, "1 | 11 | 2.50 | 5 | {a,b} | old | new", nil)
	b := stockWrite("b", 20, change.Update, "", "1 | 12 | 2.50 | 5 | {a,b} | old | new", nil)
	got := Fold(Policy{Columns: stockRules}, State{Image: stock(base), Table: stockTable}, []*Write{a, b})
	if want := "1 | ~ | ~ | ~ | ~ | ~ | ~"; stockText(got.Image) != want {
		t.Errorf("%s, want %s", stockText(got.Image), want)
	}
}

// The base that a rule is told is the last point that both knew, however far the list
// has been shortened.
func TestTheBaseIsWhatBothKnew(t *testing.T) {
	row := func(s string) string { return "1 | 1 | 1 | 1 | {} | n | " + s }
	a1 := stockWrite("a", 10, change.Update, row("base"), row("a1"), nil)
	a2 := &Write{Tx: &Tx{Origin: "a", Seq: 2, HLC: 20}, Op: change.Update, Old: stock(row("a1")), Image: stock(row("a2")), Table: stockTable}
	b1 := stockWrite("b", 30, change.Update, row("a1"), row("b1"), change.Seen{"a": 1})
	var told []string
	p := Policy{Resolver: &Resolver{Name: "r", Row: func(_ *change.Table, _, newer, base []change.Value) ([]change.Value, error) {
		told = append(told, stockText(base))
		return newer, nil
	}}}
	start := State{Image: stock(row("base")), Table: stockTable}
	Fold(p, start, []*Write{a1, a2, b1})
	Fold(p, Fold(p, start, []*Write{a1}), []*Write{a2, b1})
	if len(told) != 2 || told[0] != told[1] || told[0] != stockText(stock(row("a1"))) {
		t.Errorf("the rule was told %q", told)
	}
	if got := Common(p, start, []*Write{a1, a2, b1}, 2); stockText(got.Image) != stockText(stock(row("a1"))) {
		t.Errorf("common: %s", stockText(got.Image))
	}
}

func TestValuesAreOrderedAsTheirTypesAre(t *testing.T) {
	for _, c := range []struct {
		kind change.Kind
		a, b string // a < b
	}{
		{change.KindInt, "9", "10"}, {change.KindInt, "-10", "-9"},
		{change.KindDecimal, "1.5", "1.50000000000000000001"}, {change.KindDecimal, "Infinity", "NaN"}, {change.KindDecimal, "-Infinity", "-1e300"},
		{change.KindFloat, "2", "1e3"}, {change.KindFloat, "Infinity", "NaN"},
		{change.KindText, "B", "a"}, {change.KindFoldedText, "a", "B"}, {change.KindBool, "false", "true"},
		{change.KindDate, "0044-03-15 BC", "0001-01-01"}, {change.KindDate, "0045-01-01 BC", "0044-01-01 BC"}, {change.KindDate, "9999-12-31", "10000-01-01"}, {change.KindDate, "-infinity", "4713-01-01 BC"},
		{change.KindTimestamp, "2026-01-02 03:04:05", "2026-01-02 03:04:05.000001"}, {change.KindTimestampTZ, "2026-01-02 03:04:05+00", "2026-01-02 03:04:05.5+00"}, {change.KindTimestampTZ, "2026-01-02 03:04:05+00", "infinity"},
	} {
		column := &change.Column{Kind: c.kind}
		less, err := Compare(column, c.a, c.b)
		more, err2 := Compare(column, c.b, c.a)
		same, err3 := Compare(column, c.a, c.a)
		if less >= 0 || more <= 0 || same != 0 || errors.Join(err, err2, err3) != nil {
			t.Errorf("%v: %s and %s: %d %d %d, %v", c.kind, c.a, c.b, less, more, same, errors.Join(err, err2, err3))
		}
	}
	if _, err := Compare(&change.Column{Kind: change.KindNative, Type: "point"}, "a", "b"); err == nil {
		t.Error("a type without order is ordered")
	}
}

func TestJSONArraysAreSets(t *testing.T) {
	c := &change.Column{Kind: change.KindJSONB, Type: "jsonb"}
	got, err := union(c, change.TextValue(`[1, {"a": 1, "b": 2}, "x"]`), change.TextValue(`[1, "x"]`), change.TextValue(`["x", {"b":2,"a":1}, 12345678901234567890.5]`))
	if want := `[{"a":1,"b":2}, "x", 12345678901234567890.5]`; err != nil || got.Text != want {
		t.Errorf("%s, %v; want %s", got.Text, err, want)
	}
	if _, err := union(c, change.TextValue(`{"a":1}`), change.NullValue(), change.TextValue(`[]`)); err == nil {
		t.Error("an object is taken for a set")
	}
}

// What a row was before a truncate no log tells: a rule is told that there was none,
// whether the list still holds what came before or not.
func TestTheBaseIsNoneWhereATruncateFollows(t *testing.T) {
	row := func(s string) string { return "1 | 1 | 1 | 1 | {} | n | " + s }
	a1 := stockWrite("a", 10, change.Insert, "", row("a1"), nil)
	again := &Write{Tx: &Tx{Origin: "a", Seq: 2, HLC: 20}, Op: change.Insert, Image: stock(row("a2")), Table: stockTable, Wiped: true}
	b1 := stockWrite("b", 30, change.Update, row("a1"), row("b1"), change.Seen{"a": 1})
	var told []string
	p := Policy{Resolver: &Resolver{Name: "r", Row: func(_ *change.Table, _, newer, base []change.Value) ([]change.Value, error) {
		told = append(told, stockText(base))
		return newer, nil
	}}}
	Fold(p, State{}, []*Write{a1, again, b1})
	Fold(p, Fold(p, State{}, []*Write{a1}), []*Write{again, b1})
	Fold(p, State{}, []*Write{again, b1})
	if len(told) != 3 || told[0] != stockText(nil) || told[1] != told[0] || told[2] != told[0] {
		t.Errorf("the rule was told %q", told)
	}
}

// A large transaction raises a counter in one part, and truncates the table and makes the
// row again in the next: what the counter was before the truncate is not taken off again.
func TestATruncateInALaterPartUndoesWhatThePartsBeforeWrote(t *testing.T) {
	p := Policy{Columns: &ColumnRules{ByName: map[string]ColumnRule{"n": {Kind: ColumnSum}}}}
	w := NewWindow(WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: func(*change.Table) Policy { return p }})
	first, made := stock("1|69|1.00|4|{}|x|y"), stock("1|66|2.00|4|{}|x|y")
	k, _ := KeyOf(stockTable, first, nil)
	w.AddLocal(&change.Transaction{Origin: "a", Seq: 1, HLC: 10, Rows: []change.Row{{Table: stockTable, Op: change.Insert, New: first}}})
	large := &Tx{Origin: "b", Seq: 2, HLC: 20}
	w.AppliedImage(stockTable, k, []*Write{{Tx: large, Op: change.Update, Table: stockTable, Old: stock("1|71|1.00|4|{}|x|y"), Image: stock("1|75|1.00|4|{}|x|y")}})
	d := w.Decide(stockTable, k, []*Write{{Tx: large, Op: change.Insert, Table: stockTable, Image: made, Wiped: true}}, made)
	if d.Err != nil || d.State == nil || d.State[1].Text != "135" {
		t.Errorf("the counter is %+v, want 69 + 66", d.State)
	}
}

// Without the row before in the log, one site's list may begin where another's still has
// what came before: neither has a base to tell the rule, so no site asks it.
func TestSitesDoNotDifferWhereTheLogLacksTheRowBefore(t *testing.T) {
	bare := *stockTable
	bare.Full = false
	bare.Seal()
	row := func(s string) string { return "1 | 1 | 1 | 1 | {} | n | " + s }
	a1 := stockWrite("a", 10, change.Insert, "", row("a1"), nil)
	a2 := &Write{Tx: &Tx{Origin: "a", Seq: 2, HLC: 20}, Op: change.Update, Image: stock(row("a2")), Table: stockTable}
	b1 := stockWrite("b", 30, change.Update, "", row("b1"), change.Seen{"a": 1})
	ends := stockWrite("c", 40, change.Update, "", row("c"), change.Seen{"a": 2, "b": 1})
	for _, w := range []*Write{a1, a2, b1, ends} {
		w.Table = &bare
	}
	p := Policy{Resolver: &Resolver{Name: "r", Row: func(_ *change.Table, _, newer, base []change.Value) ([]change.Value, error) {
		if base == nil {
			return stock(row("none")), nil
		}
		return newer, nil
	}}}
	for name, got := range map[string]State{
		"whole":                    Fold(p, State{}, []*Write{a1, a2, b1}),
		"shortened":                Fold(p, Fold(p, State{}, []*Write{a1}), []*Write{a2, b1}),
		"begun anew":               Fold(p, State{}, []*Write{a2, b1}),
		"shortened within a write": Fold(p, State{Image: stock(row("a1")), Table: &bare}, []*Write{a2, b1}),
	} {
		if got.Err == nil || !strings.Contains(got.Err.Error(), "REPLICA IDENTITY FULL") {
			t.Errorf("%s: %s, %v", name, stockText(got.Image), got.Err)
		}
	}
	if got := Fold(p, State{}, []*Write{a2, b1, ends}); got.Err != nil || stockText(got.Image) != stockText(stock(row("c"))) {
		t.Errorf("after a write that knew all: %s, %v", stockText(got.Image), got.Err)
	}
}
