package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/parking"
	"github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/testcluster"
)

var someTime = time.Date(2026, 7, 31, 12, 34, 56, 789012000, time.UTC)

func someConflict(s *change.Table, n int) apply.Conflict {
	key := make([]change.Value, len(s.Columns))
	image := make([]change.Value, len(s.Columns))
	for i := range image {
		image[i] = change.TextValue(fmt.Sprint(n))
	}
	key[s.Key[0]] = change.TextValue(fmt.Sprint(n))
	return apply.Conflict{
		Table: s, Key: key, Kind: "update_deleted", Policy: "last_write_wins", Resolution: "newer", Time: someTime.Add(time.Duration(n) * time.Second),
		Row:    keyOf(s, key),
		Older:  apply.Side{Version: change.Version{HLC: 1 << 40, Origin: "mumbai"}, Seq: 3, XID: 745, Commit: someTime, Op: change.Delete},
		Newer:  apply.Side{Version: change.Version{HLC: 1<<40 + uint64(n), Origin: "pune"}, Seq: uint64(n), Op: change.Update, Image: image},
		Result: image, BaseKnown: true,
	}
}

func keyOf(s *change.Table, image []change.Value) conflict.Key {
	k, _ := conflict.KeyOf(s, image, nil)
	return k
}

func someParked(s *change.Table, n int) apply.Parked {
	image := make([]change.Value, len(s.Columns))
	for i := range image {
		image[i] = change.TextValue(fmt.Sprint(n))
	}
	return apply.Parked{
		Origin: "pune", Epoch: 1, Seq: uint64(n), HLC: 1 << 40, Seen: change.Seen{"mumbai": 3}, Index: 2,
		Row:    change.Row{Table: s, Op: change.Insert, New: image},
		Reason: apply.ReasonRejected, Message: "refused", Time: someTime,
	}
}

func TestConflictsAreKeptForPeople(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text, b bytea)`, `CREATE TABLE public.u (id int PRIMARY KEY)`)
		s, u := a.shape("t"), a.shape("u")
		first := someConflict(s, 1)
		first.Newer.Image = []change.Value{change.TextValue("1"), change.NullValue(), change.TextValue("\x00\xff")}
		first.Result = []change.Value{change.TextValue("1"), {}, change.NullValue()}
		all := []apply.Conflict{first}
		for n := 2; n <= 2500; n++ {
			all = append(all, someConflict(u, n))
		}
		tx := a.begin()
		if err := tx.Record(a.ctx, all, nil); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)

		list := func(f site.ConflictFilter) site.ConflictPage {
			t.Helper()
			page, err := a.ListConflicts(a.ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		got := list(site.ConflictFilter{Table: "public.t"}).Conflicts
		if len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		text, _ := json.Marshal(got[0])
		want := fmt.Sprintf(`{"id":%d,"at":"2026-07-31T12:34:57.789012Z","table":"public.t","key":{"id":"1"},"kind":"update_deleted","policy":"last_write_wins","resolution":"newer",`+
			`"older":{"origin":"mumbai","seq":3,"hlc":1099511627776,"xid":745,"committed":"2026-07-31T12:34:56.789012Z","op":"delete","row":null},`+
			`"newer":{"origin":"pune","seq":1,"hlc":1099511627777,"op":"update","row":{"b":"\\x00ff","v":null,"id":"1"}},"base":null,"result":{"b":null,"id":"1"}}`, got[0].ID)
		var one, two any
		if json.Unmarshal(text, &one) != nil || json.Unmarshal([]byte(want), &two) != nil || !reflect.DeepEqual(one, two) {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
		same, err := a.Conflict(a.ctx, got[0].ID)
		if err != nil || !reflect.DeepEqual(same, got[0]) {
			t.Errorf("by id: %+v %v", same, err)
		}
		if _, err := a.Conflict(a.ctx, 1<<40); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no such conflict: %v", err)
		}

		other := someConflict(u, 2)
		other.Newer.Version.HLC++
		there, err := a.Recorded(a.ctx, []apply.Conflict{other, first, someConflict(s, 2), someConflict(u, 2500)})
		if want := []bool{false, true, false, true}; err != nil || !slices.Equal(there, want) {
			t.Errorf("recorded: %v %v, want %v", there, err, want)
		}

		if n := len(list(site.ConflictFilter{}).Conflicts); n != site.DefaultConflicts {
			t.Errorf("%d without a limit", n)
		}
		if n := len(list(site.ConflictFilter{Since: someTime.Add(2491 * time.Second)}).Conflicts); n != 10 {
			t.Errorf("%d since", n)
		}
		if n := len(list(site.ConflictFilter{Until: someTime.Add(11 * time.Second), Table: "public.u"}).Conflicts); n != 9 {
			t.Errorf("%d until", n)
		}
		if n := len(list(site.ConflictFilter{Kind: "insert_exists"}).Conflicts); n != 0 {
			t.Errorf("%d of another kind", n)
		}
		seen, next := map[int64]bool{}, ""
		for pages := 1; ; pages++ {
			f := site.ConflictFilter{Limit: 700}
			if next != "" {
				if f.After, err = site.ParseConflictCursor(next); err != nil {
					t.Fatal(err)
				}
			}
			page := list(f)
			for _, c := range page.Conflicts {
				seen[c.ID] = true
			}
			if pages == 1 { // what comes and goes meanwhile changes nothing of what follows
				a.app.run(fmt.Sprintf(`DELETE FROM concord.conflict WHERE id = %d`, page.Conflicts[699].ID))
				tx := a.begin()
				if err := tx.Record(a.ctx, []apply.Conflict{someConflict(u, 3000)}, nil); err != nil {
					t.Fatal(err)
				}
				a.commit(tx)
			}
			if next = page.Next; next == "" {
				if pages != 4 || len(seen) != 2500 {
					t.Errorf("%d conflicts on %d pages", len(seen), pages)
				}
				break
			}
		}

		pruned, err := a.PruneConflicts(a.ctx, time.Since(someTime.Add(100*time.Second)), 0)
		if err != nil || pruned != 99 && pruned != 100 {
			t.Errorf("pruned %d %v", pruned, err)
		}
		a.app.run(`BEGIN`, `SELECT FROM concord.conflict ORDER BY at LIMIT 1 FOR UPDATE`)
		if pruned, err := a.PruneConflicts(a.ctx, 1<<62, 1000); err != nil || pruned < 1399 || pruned > 1400 {
			t.Errorf("pruned %d beyond the most, %v", pruned, err)
		}
		a.app.run(`COMMIT`)
		if pruned, err := a.PruneConflicts(a.ctx, 1<<62, 1000); err != nil || pruned != 1 {
			t.Errorf("pruned %d that had been held, %v", pruned, err)
		}
		a.want(`SELECT count(*), min(newer_seq) FROM concord.conflict`, "(1000,1501)")
	})
}

func TestParkedChangesAreExact(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text, b bytea)`)
		s := a.shape("t")
		old := []change.Value{change.TextValue("1"), change.NullValue(), {}}
		parked := []apply.Parked{
			{Seq: 1, Index: 0, Row: change.Row{Table: s, Op: change.Insert, New: []change.Value{change.TextValue("1"), change.TextValue("\"{}\\ \n<é🐘>"), change.TextValue("\x00\xff\\")}}},
			{Seq: 1, Index: 1, Row: change.Row{Table: s, Op: change.Update, Old: old, New: []change.Value{change.TextValue("2"), change.TextValue(""), change.TextValue("")}}},
			{Seq: 2, Index: 0, Row: change.Row{Table: s, Op: change.Update, New: []change.Value{change.TextValue("2"), {}, change.NullValue()}}, Behind: true},
			{Seq: 3, Index: 0, Row: change.Row{Table: s, Op: change.Delete, Old: old}},
			{Seq: 4, Index: 0, Row: change.Row{Table: s, Op: change.Truncate}, Seen: change.Seen{"mumbai": 1, "delhi": 1 << 50}},
		}
		for i := range parked {
			p := &parked[i]
			p.Origin, p.Epoch, p.HLC, p.Reason, p.Message, p.Time = "pune", 1, 1<<60, apply.ReasonUnique, "why\n", someTime
			if p.Seen == nil {
				p.Seen = change.Seen{}
			}
		}
		tx := a.begin()
		if err := tx.Record(a.ctx, nil, parked); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)
		got, err := a.Parked(a.ctx)
		if err != nil || len(got) != len(parked) {
			t.Fatalf("%d changes, %v", len(got), err)
		}
		for i := range got {
			one, err := a.ParkedByID(a.ctx, got[i].ID)
			if err != nil || !reflect.DeepEqual(one, got[i]) {
				t.Errorf("by id: %+v %v", one, err)
			}
			got[i].ID = 0
			if !reflect.DeepEqual(got[i], parked[i]) {
				t.Errorf("read %+v, want %+v", got[i], parked[i])
			}
		}

		// One that fails again keeps its place and says why now.
		parked[1].Message = "another reason"
		tx = a.begin()
		if err := tx.Record(a.ctx, nil, parked[1:2]); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)
		a.want(`SELECT seq, row_index, message FROM concord.parked ORDER BY id LIMIT 2 OFFSET 1`, `(1,1,"another reason") (2,0,"why`+"\n"+`")`)

		a.app.run(`UPDATE concord.parked SET change = '{"op": 1}' WHERE seq = 3`)
		if _, err := a.Parked(a.ctx); !errors.Is(err, parking.ErrMalformed) {
			t.Errorf("a broken change: %v", err)
		}
	})
}

// park records changes and returns their ids.
func (a *applier) park(rows ...change.Row) []int64 {
	a.t.Helper()
	var parked []apply.Parked
	for i, r := range rows {
		p := someParked(r.Table, int(a.seq)+1)
		p.Index, p.Row = i, r
		parked = append(parked, p)
	}
	tx := a.begin()
	if err := tx.Record(a.ctx, nil, parked); err != nil {
		a.t.Fatal(err)
	}
	a.commit(tx)
	all, err := a.Parked(a.ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	var ids []int64
	for _, p := range all[len(all)-len(rows):] {
		ids = append(ids, p.ID)
	}
	return ids
}

// A parked change that a person applies is a local write like any other: capture
// publishes it.
func TestApplyingAParkedChangePublishesIt(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`, `INSERT INTO t VALUES (1, 'here'), (3, 'here'), (4, 'here')`,
			`CREATE TABLE public.fired (n int PRIMARY KEY)`, `CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.fired VALUES (1); RETURN NEW; END'`,
			`CREATE TRIGGER fire AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION public.fire()`)
		s := a.shape("t")
		ids := a.park(
			change.Row{Table: s, Op: change.Insert, New: img("1", "parked")},
			change.Row{Table: s, Op: change.Update, New: img("2", "parked")},
			change.Row{Table: s, Op: change.Delete, Old: img("3", "~")},
			change.Row{Table: s, Op: change.Update, Old: img("4", "~"), New: img("5", "~")},
			change.Row{Table: s, Op: change.Update, New: img("6", "~")},
			change.Row{Table: s, Op: change.Truncate},
		)
		l := a.open("")
		l.until()
		for i, want := range []string{
			"[update public.t - -> 1|parked]", "[insert public.t - -> 2|parked]", "[delete public.t 3|~ -> -]", "[update public.t 4|~ -> 5|here]",
			"refused: settling parked change: refused: the row is gone, and the change does not carry all of its columns",
		} {
			err := a.ApplyParked(a.ctx, ids[i])
			got := fmt.Sprint(all(l.until()))
			if err != nil {
				got = fmt.Sprintf("%s: %s", class(err), strings.Replace(err.Error(), fmt.Sprintf(" %d:", ids[i]), ":", 1))
			}
			if got != want {
				t.Errorf("applying change %d: %s, want %s", i, got, want)
			}
		}
		if err := a.ApplyParked(a.ctx, ids[0]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("applying it twice: %v", err)
		}
		if err := a.ApplyParked(a.ctx, ids[5]); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), fmt.Sprintf("change %d of the same row is parked before it", ids[4])) {
			t.Errorf("applying out of order: %v", err)
		}
		if published, err := a.DiscardParked(a.ctx, ids[4]); err != nil || published {
			t.Errorf("discarding a change of no row: %v %v", published, err)
		}
		if err := a.ApplyParked(a.ctx, ids[5]); err != nil {
			t.Error(err)
		}
		if got := all(l.until()); !slices.Equal(got, []string{"truncate public.t - -> -"}) {
			t.Errorf("the truncate came as %q", got)
		}
		a.want(`SELECT * FROM t`, "")
		a.want(`SELECT * FROM concord.parked`, "")
		a.want(`SELECT count(*) FROM fired`, "(0)") // they fired at the origin
	})
}

// Discarding writes the local row again, whole, so that the others take it.
func TestDiscardingAParkedChangePublishesTheLocalRow(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text, big text, twice int GENERATED ALWAYS AS (id * 2) STORED, b bytea, ok bool)`,
			`ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL`, `INSERT INTO t VALUES (1, 'here', repeat('x', 10000), DEFAULT, '\x00ff', true), (2, 'too', NULL, DEFAULT, NULL, NULL)`)
		s := a.shape("t")
		ids := a.park(change.Row{Table: s, Op: change.Update, New: img("1", "parked", "~", "~", "false")},
			change.Row{Table: s, Op: change.Update, Old: img("7", "~", "~", "~", "~"), New: img("2", "parked", "~", "~", "~")})
		l := a.open("")
		l.until()
		for i, want := range []string{"1|here|" + strings.Repeat("x", 10000) + "|\x00\xff|true", "2|too|NULL|NULL|NULL"} {
			published, err := a.DiscardParked(a.ctx, ids[i])
			if err != nil || !published {
				t.Fatalf("discarding: %v %v", published, err)
			}
			evs := l.until()
			if len(evs) != 1 || len(evs[0].Rows) != 1 || show(evs[0].Rows[0].New) != want {
				t.Errorf("published %.200q, want %.200q", all(evs), want)
			}
		}
		a.want(`SELECT * FROM concord.parked`, "")
	})
}

func TestHoldsAreRemembered(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{})
		h := apply.Hold{Origin: "pune", Table: "public.t", From: 5, Columns: []string{"a", "b"}, Message: "why", Since: someTime, Low: change.Seen{"delhi": 3}}
		set := func(h apply.Hold, moved bool) {
			t.Helper()
			tx := a.begin()
			if err := tx.Hold(a.ctx, h, moved); err != nil {
				t.Fatal(err)
			}
			a.commit(tx)
		}
		want := func(want ...apply.Hold) {
			t.Helper()
			if got, err := a.Holds(a.ctx); err != nil || !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
				t.Errorf("holds %+v %v, want %+v", got, err, want)
			}
		}
		set(h, false)
		want(h)
		later := h
		later.From, later.Low, later.Since, later.Columns, later.Message = 9, change.Seen{"delhi": 8}, someTime.Add(time.Hour), nil, "still"
		set(later, false) // only falls
		h.Columns, h.Message = []string{}, "still"
		want(h)
		set(later, true)
		h.From = 9
		want(h)
		later.From = 2
		set(later, false)
		h.From = 2
		want(h)
		tx := a.begin()
		if err := tx.Unhold(a.ctx, "pune", "public.t"); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)
		want()
	})
}
