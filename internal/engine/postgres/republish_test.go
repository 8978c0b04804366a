package postgres

import (
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// A row published again is in the log with every value, those too that are stored out of
// line; the parked changes named go with it, and with a row that is not there only when it
// is not.
func TestARowIsPublishedAgainWhole(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, big text, c char(3000), b bytea, j json, n numeric, f float8[], twice int GENERATED ALWAYS AS (id * 2) STORED)`,
			`ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER c SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL`,
			`INSERT INTO t (big, c, b, j, n, f) VALUES (repeat('x ', 5000), 'a', decode(repeat('00ff', 3000), 'hex'), (' {"a": 1.50,  "a": "' || repeat('y', 3000) || '"}')::json, 1.500, ARRAY[0.1, 'NaN', 1e-300])`,
			`CREATE TABLE public.fired (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int)`, `CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.fired (v) VALUES (1); RETURN NULL; END'`,
			`CREATE TRIGGER fire AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION public.fire()`)
		s := a.shape("t")
		row := func(id string) change.Row {
			return change.Row{Table: s, Op: change.Update, New: img(id, "~", "~", "~", "~", "~", "~")}
		}
		a.park(row("1"), row("1"), row("2"), row("3"))
		all, err := a.Parked(a.ctx)
		if err != nil || len(all) != 4 {
			t.Fatalf("%d parked changes: %v", len(all), err)
		}
		key := (&change.Table{Schema: "public", Name: "t", Key: []int{0}, Columns: []change.Column{{Name: "id", Type: "integer", Kind: change.KindInt}}}).Seal()
		id := func(n string) []change.Value { return []change.Value{change.TextValue(n)} }
		before := a.app.text(`SELECT md5(t::text) FROM t`)

		l := a.open("")
		l.until()
		if there, err := a.Republish(a.ctx, key, id("1"), []apply.Parked{all[0], {Origin: "nobody"}}); err != nil || !there {
			t.Fatalf("publishing row 1 again: %v %v", there, err)
		}
		evs := l.until()
		if len(evs) != 1 || len(evs[0].Rows) != 1 || evs[0].Rows[0].Op != change.Update || lacksAny(evs[0].Rows[0].New) {
			t.Fatalf("published %.300v", evs)
		}
		want := "1|" + strings.Repeat("x ", 5000) + "|a" + strings.Repeat(" ", 2999) + "|" + strings.Repeat("\x00\xff", 3000) + `| {"a": 1.50,  "a": "` + strings.Repeat("y", 3000) + `"}|1.500|{0.1,NaN,1e-300}`
		if got := show(evs[0].Rows[0].New); got != want {
			t.Errorf("published %.200q, want %.200q", got, want)
		}
		if after := a.app.text(`SELECT md5(t::text) FROM t`); after != before {
			t.Error("the row has changed")
		}
		a.want(`SELECT count(*) FROM fired`, "(0)")
		a.want(`SELECT count(*) FROM concord.parked`, "(3)")

		if there, err := a.Republish(a.ctx, key, id("2"), all); err != nil || there {
			t.Errorf("publishing a row that is gone: %v %v", there, err)
		}
		a.want(`SELECT count(*) FROM concord.parked`, "(3)")
		if vacant, err := a.UnparkVacant(a.ctx, key, id("1"), all); err != nil || vacant {
			t.Errorf("row 1 is vacant: %v %v", vacant, err)
		}
		if vacant, err := a.UnparkVacant(a.ctx, key, id("2"), all[2:3]); err != nil || !vacant {
			t.Errorf("row 2 is vacant: %v %v", vacant, err)
		}
		a.want(`SELECT count(*) FROM concord.parked`, "(2)")

		tx := a.begin()
		if err := tx.Unpark(a.ctx, all[:2]); err != nil {
			t.Fatal(err)
		}
		tx.Rollback(a.ctx)
		a.want(`SELECT count(*) FROM concord.parked`, "(2)")
		tx = a.begin()
		if err := tx.Unpark(a.ctx, all); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)
		a.want(`SELECT count(*) FROM concord.parked`, "(0)")
		if got := l.until(); slices.ContainsFunc(got, func(e capture.Event) bool { return len(e.Rows) > 0 }) {
			t.Errorf("something else was published: %.300v", got)
		}
	})
}

func lacksAny(image []change.Value) bool {
	return slices.ContainsFunc(image, func(v change.Value) bool { return v.State == change.Unchanged })
}
