package crossing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/logical"
)

// theirs is a shape of PostgreSQL, ours the same table of MariaDB.
func theirs() *change.Table {
	return (&change.Table{
		Schema: "public", Name: "orders", Key: []int{0}, Full: true,
		Columns: []change.Column{
			{Name: "id", Type: "bigint", Kind: change.KindInt}, {Name: "paid", Type: "boolean", Kind: change.KindBool},
			{Name: "at", Type: "timestamp with time zone", Kind: change.KindTimestampTZ}, {Name: "note", Type: "text", Kind: change.KindText},
		},
		Unique: []change.UniqueKey{{Name: "u", Parts: []change.UniquePart{{Column: 3}}, Where: []change.Condition{{Column: 1, Test: change.In, Values: []string{"true"}}}}},
	}).Seal()
}

func ours(change ...func(*enginesite.Table)) *enginesite.Table {
	t := &enginesite.Table{Name: "public.orders", Key: []string{"id"}, Columns: []enginesite.Column{
		{Name: "id", Type: "bigint(20)", Kind: kind["int"]}, {Name: "paid", Type: "tinyint(1)", Kind: kind["int"]},
		{Name: "at", Type: "timestamp(6)", Kind: kind["tz"]}, {Name: "note", Type: "longtext", Kind: kind["text"]},
	}}
	for _, c := range change {
		c(t)
	}
	return t
}

var kind = map[string]change.Kind{"int": change.KindInt, "tz": change.KindTimestampTZ, "text": change.KindText, "folded": change.KindFoldedText, "decimal": change.KindDecimal}

func pairingOf(p conflict.Policy) *pairing {
	return &pairing{from: logical.PostgreSQL, to: logical.MariaDB, peer: "mumbai", refused: &refusals{}, policy: func(*change.Table) conflict.Policy { return p }}
}

func TestRowsTakeTheFormOfTheTableHere(t *testing.T) {
	p := pairingOf(conflict.Policy{})
	shape := theirs()
	tr := p.translate(shape, ours())
	row := change.Row{Table: shape, Op: change.Update,
		Old: []change.Value{change.TextValue("7"), change.TextValue("false"), change.NullValue(), {}},
		New: []change.Value{change.TextValue("7"), change.TextValue("true"), change.TextValue("2024-01-02 03:04:05.5+00"), change.TextValue("x")},
	}
	tr.row(&row)
	var got []string
	for _, v := range slices.Concat(row.Old, row.New) {
		got = append(got, v.Text)
	}
	want := []string{"7", "0", "", "", "7", "1", "2024-01-02 03:04:05.500000+00", "x"}
	if !slices.Equal(got, want) {
		t.Errorf("values are %q, want %q", got, want)
	}
	if c := row.Table.Columns[1]; c.Type != "tinyint(1)" || c.Kind != change.KindInt || row.Table.QualifiedName() != "public.orders" {
		t.Errorf("the shape has %+v", c)
	}
	if w := row.Table.Unique[0].Where[0].Values; !slices.Equal(w, []string{"1"}) {
		t.Errorf("the condition of the unique key has %q", w)
	}
	if w := shape.Unique[0].Where[0].Values[0]; w != "true" {
		t.Errorf("the peer's shape was changed: %q", w)
	}
}

func TestAValueWithoutCounterpartIsNeverWritten(t *testing.T) {
	p := pairingOf(conflict.Policy{})
	shape := theirs()
	tr := p.translate(shape, ours())
	for _, text := range []string{"infinity", "0044-03-15 12:00:00+00 BC", "2040-01-01 00:00:00+00"} {
		row := change.Row{Table: shape, Op: change.Insert, New: []change.Value{change.TextValue("7"), change.TextValue("true"), change.TextValue(text), change.NullValue()}}
		tr.row(&row)
		err := misfit(&row)
		if !errors.Is(err, apply.ErrRejected) || !strings.Contains(err.Error(), "column at of table public.orders") || !strings.Contains(err.Error(), "no counterpart") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatDoesNotMapHoldsItsTableBack(t *testing.T) {
	resolver := &conflict.Resolver{Name: "rules.star:pick"}
	for _, c := range []struct {
		name   string
		local  *enginesite.Table
		policy conflict.Policy
		says   string
	}{
		{"a narrower number", ours(func(t *enginesite.Table) { t.Columns[0].Type = "int(11)" }), conflict.Policy{}, "column id is bigint at mumbai (postgres) and int(11) here (mariadb)"},
		{"a unique text without case", ours(func(t *enginesite.Table) { t.Columns[3].Kind = kind["folded"] }), conflict.Policy{}, "compare"},
		{"a custom rule and a boolean that is a number", ours(), conflict.Policy{Resolver: resolver}, "rules.star:pick would see two different values"},
		{"a custom rule of that column", ours(), conflict.Policy{Columns: &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{"paid": {Kind: conflict.ColumnResolver, Resolver: resolver}}}}, "would see"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pairingOf(c.policy)
			shape := theirs()
			tr := p.translate(shape, c.local)
			e := p.refused.of(tr.table)
			if e == nil || !strings.Contains(e.Error(), c.says) || e.Table != "public.orders" || e.Column != "" || len(e.Missing) > 0 {
				t.Fatalf("refusal is %v, want one that says %q", e, c.says)
			}
			if p.refused.of(shape) != nil {
				t.Error("the shape itself, which may be that of a table here, is refused")
			}
		})
	}
	documents := theirs()
	documents.Columns[3].Type, documents.Columns[3].Kind, documents.Unique = "jsonb", change.KindJSONB, nil
	rule := map[string]conflict.ColumnRule{"note": {Kind: conflict.ColumnResolver, Resolver: resolver}}
	one := pairingOf(conflict.Policy{Columns: &conflict.ColumnRules{ByName: rule}})
	if tr := one.translate(documents.Seal(), ours(func(t *enginesite.Table) { t.Columns[3].Kind = change.KindJSON })); one.refused.of(tr.table) != nil {
		t.Errorf("a rule about a document is refused: %v", one.refused.of(tr.table))
	}
	p := pairingOf(conflict.Policy{Columns: &conflict.ColumnRules{ByName: map[string]conflict.ColumnRule{"at": {Kind: conflict.ColumnResolver, Resolver: resolver}}}})
	if tr := p.translate(theirs(), ours()); p.refused.of(tr.table) != nil {
		t.Errorf("a rule about a moment is refused: %v", p.refused.of(tr.table))
	}
}

// A column that only the peer has stays as it is, but for the type that it should have
// here: the target says what is missing.
func TestAColumnThatIsMissingHereIsLeftToTheTarget(t *testing.T) {
	p := pairingOf(conflict.Policy{})
	tr := p.translate(theirs(), ours(func(t *enginesite.Table) { t.Columns = t.Columns[:3] }))
	if p.refused.of(tr.table) != nil || tr.table.Columns[3].Type != "longtext" || tr.columns[3] != nil {
		t.Errorf("the shape is %+v", tr.table)
	}
	if tr = p.translate(theirs(), nil); tr.any || tr.table.QualifiedName() != "public.orders" {
		t.Errorf("without a table here the shape is %+v", tr.table)
	}
}

// schema is a catalogue that counts how often it is read.
type schema struct {
	tables []enginesite.Table
	reads  int
}

func (s *schema) Schema(context.Context) ([]enginesite.Table, error) {
	s.reads++
	return s.tables, nil
}

func TestRequestsForRowsTakeTheFormOfThePeer(t *testing.T) {
	s := &schema{tables: []enginesite.Table{*ours()}}
	p := NewPeers(logical.MariaDB, New(nil, nil, true), s, func(*change.Table) conflict.Policy { return conflict.Policy{} })
	key := (&change.Table{Schema: "public", Name: "orders", Key: []int{0}, Columns: []change.Column{{Name: "paid", Type: "tinyint(1)", Kind: change.KindInt}}}).Seal()
	ask := []change.RowRequest{{Table: key, Key: []change.Value{change.TextValue("1")}}}
	if _, err := p.Requests("mumbai", logical.PostgreSQL, ask); err == nil {
		t.Error("a table of which nothing was read can be asked for")
	}
	p.note("mumbai", theirs())
	got, err := p.Requests("mumbai", logical.PostgreSQL, ask)
	if err != nil || got[0].Key[0].Text != "true" || got[0].Table.Columns[0].Type != "boolean" || ask[0].Key[0].Text != "1" {
		t.Errorf("the request is %+v, %v", got, err)
	}
	if got, err = p.Requests("pune", logical.MariaDB, ask); err != nil || &got[0] != &ask[0] {
		t.Errorf("between two of one engine it is %+v, %v", got, err)
	}
}

func TestTheCatalogueIsReadWhenSomethingIsMissing(t *testing.T) {
	s := &schema{tables: []enginesite.Table{*ours()}}
	l := &localTables{reader: s}
	for range 3 {
		if _, err := l.fresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := l.table(t.Context(), "public.orders", false); err != nil || got == nil || s.reads != 1 {
		t.Errorf("%v, %v after %d readings", got, err, s.reads)
	}
	if got, err := l.table(t.Context(), "public.none", false); err != nil || got != nil || s.reads != 1 {
		t.Errorf("%v, %v after %d readings: it was read a moment ago", got, err, s.reads)
	}
	for i, doubted := range []bool{false, true} {
		l.at = l.at.Add(-2 * soonest)
		name := map[bool]string{false: "public.none", true: "public.orders"}[doubted]
		if got, err := l.table(t.Context(), name, doubted); err != nil || (got != nil) != doubted || s.reads != 2+i {
			t.Errorf("%s: %v, %v after %d readings", name, got, err, s.reads)
		}
	}
}
