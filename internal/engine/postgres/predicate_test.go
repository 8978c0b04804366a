package postgres

import (
	"fmt"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

func TestPredicatesOfPartialIndexesAreRead(t *testing.T) {
	kinds := map[string]change.Kind{
		"deleted_at": change.KindTimestampTZ, "active": change.KindBool, "status": change.KindText,
		"Odd Name": change.KindInt, "n": change.KindInt, "price": change.KindDecimal, "at": change.KindTimestamp,
	}
	kind := func(c string) (change.Kind, bool) { k, ok := kinds[c]; return k, ok }
	for _, c := range []struct{ text, want string }{
		{`deleted_at IS NULL`, `[{deleted_at 0 []}]`},
		{`(deleted_at IS NOT NULL)`, `[{deleted_at 1 []}]`},
		{`active`, `[{active 2 [true]}]`},
		{`NOT active`, `[{active 2 [false]}]`},
		{`active IS TRUE`, `[{active 2 [true]}]`},
		{`status = 'open'::text`, `[{status 2 [open]}]`},
		{`status::text = 'it''s'::text`, `[{status 2 [it's]}]`},
		{`(status)::text <> 'open'::character varying`, `[{status 3 [open]}]`},
		{`status = ANY (ARRAY['new'::text, 'open'::text])`, `[{status 2 [new open]}]`},
		{`status::text = ANY (ARRAY['b'::character varying, 'a'::character varying]::text[])`, `[{status 2 [a b]}]`},
		{`status <> ALL (ARRAY['b'::text])`, `[{status 3 [b]}]`},
		{`"Odd Name" = '-1'::integer AND deleted_at IS NULL`, `[{Odd Name 2 [-1]} {deleted_at 0 []}]`},
		{`deleted_at IS NULL AND (n = 1 AND active)`, `[{deleted_at 0 []} {n 2 [1]} {active 2 [true]}]`},
		{`price = 1.50::numeric(10,2) AND n = 2`, `[{price 2 [1.50]} {n 2 [2]}]`},
		{`n > 0`, `error ">"`},
		{`n = 1 OR n = 2`, `error "OR"`},
		{`lower(status) = 'x'::text`, `error "("`},
		{`at = '2026-01-01'::timestamp`, `error a comparison of at`},
		{`n % 2 = 0`, `error "%"`},
		{`other IS NULL`, `error "other", which is not replicated`},
		{`(n = 1`, `error "="`},
		{``, `error "the end"`},
	} {
		cs, err := parsePredicate(c.text, kind)
		got := fmt.Sprint(cs)
		if err != nil {
			got = "error " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestPartsOfIndexesAreRead(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`email`, `email 0`},
		{`"E Mail"`, `E Mail 0`},
		{`lower(email)`, `email 1`},
		{`lower(email::text)`, `email 1`},
		{`upper((email)::text)`, `email 2`},
		{`lower`, `error`},
		{`"lower"`, `lower 0`},
		{`lower(btrim(email))`, `error`},
		{`(a || b)`, `error`},
		{`abs(n)`, `error`},
	} {
		column, fold, err := parsePart(c.text)
		got := fmt.Sprint(column, " ", fold)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

func FuzzPredicate(f *testing.F) {
	for _, s := range []string{`deleted_at IS NULL`, `a = ANY (ARRAY['x'::text])`, `(a)::text = '1' AND NOT b`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cs, err := parsePredicate(s, func(string) (change.Kind, bool) { return change.KindBool, true })
		if err == nil && len(cs) == 0 {
			t.Fatalf("%q has no conditions and no error", s)
		}
		_, _, _ = parsePart(s)
	})
}
