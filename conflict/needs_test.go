package conflict

import (
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

func TestWhichPoliciesNeedTheRowBefore(t *testing.T) {
	for _, c := range []struct {
		p    Policy
		says string
	}{
		{Policy{}, ""}, {Policy{Base: Park}, ""}, {Policy{Base: FirstWriteWins}, ""}, {Policy{Base: Prefer, Site: "a"}, ""},
		{Policy{Deletes: DeleteWins}, ""}, {Policy{Deletes: UpdateWins, Base: FirstWriteWins}, ""},
		{Policy{Columns: stockRules}, "what a write changed"},
		{Policy{Resolver: &Resolver{}}, "both writes knew"},
	} {
		if got := c.p.NeedsOldRow(); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%+v: %q", c.p, got)
		}
	}
}

func TestWhichRulesSuitWhichTypes(t *testing.T) {
	column := func(kind change.Kind, typ string) *change.Column {
		return &change.Column{Name: "c", Kind: kind, Type: typ}
	}
	for _, c := range []struct {
		rule ColumnKind
		c    *change.Column
		says string // "": it suits
	}{
		{ColumnSum, column(change.KindInt, "integer"), ""},
		{ColumnSum, column(change.KindDecimal, "numeric(10,2)"), ""},
		{ColumnSum, column(change.KindFloat, "double precision"), "double precision is rounded"},
		{ColumnSum, column(change.KindNative, "money"), "not money"},
		{ColumnUnion, column(change.KindArray, "text[]"), ""},
		{ColumnUnion, column(change.KindJSONB, "jsonb"), ""},
		{ColumnUnion, column(change.KindText, "text"), "not text"},
		{ColumnMin, column(change.KindDate, "date"), ""},
		{ColumnMax, column(change.KindText, "text"), ""},
		{ColumnMax, column(change.KindNative, "point"), "max compares values, and those of point"},
		{ColumnMin, column(change.KindEnum, "public.mood"), "public.mood have no order"},
		{ColumnLast, column(change.KindNative, "point"), ""},
	} {
		err := ColumnRule{Kind: c.rule}.Suits(c.c)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s of %s: %v", columnWords[c.rule], c.c.Type, err)
		}
	}
}
