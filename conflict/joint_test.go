package conflict_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// accounts has a unique name besides its key, and a note that nothing is tied by.
func accounts(full bool) *change.Table {
	return (&change.Table{
		Schema: "public", Name: "accounts", Key: []int{0}, Full: full,
		Columns: []change.Column{{Name: "id", Kind: change.KindInt}, {Name: "name", Kind: change.KindText}, {Name: "note", Kind: change.KindText}},
		Unique:  []change.UniqueKey{{Name: "accounts_name", Parts: []change.UniquePart{{Column: 1}}}},
	}).Seal()
}

// row is an account in a site's database; the map it is in has its id.
type row struct{ name, note string }

// place is a site: a database that keeps names unique, its log of transactions, and
// the window that decides what comes from the others.
type place struct {
	name    change.Site
	rows    map[string]row
	window  *conflict.Window
	clock   uint64
	log     []change.Transaction
	seen    change.Seen
	table   *change.Table
	trace   func(format string, args ...any)
	collide int
}

func image(id string, r row) []change.Value {
	return []change.Value{change.TextValue(id), change.TextValue(r.name), change.TextValue(r.note)}
}

// commit executes row changes that the database allows, and logs them.
func (p *place) commit(after map[string]row) {
	p.clock++
	p.trace("%s commits %d at %d having seen %v: %v -> %v", p.name, len(p.log)+1, p.clock, p.seen, p.rows, after)
	t := change.Transaction{Origin: p.name, Seq: uint64(len(p.log)) + 1, HLC: p.clock, Seen: maps.Clone(p.seen)}
	for _, id := range slices.Sorted(maps.Keys(union(p.rows, after))) {
		before, had := p.rows[id]
		now, has := after[id]
		r := change.Row{Table: p.table}
		switch {
		case had && has && before != now:
			r.Op, r.New = change.Update, image(id, now)
			if p.table.Full {
				r.Old = image(id, before)
			}
		case had && !has:
			r.Op, r.Old = change.Delete, image(id, before)
			if !p.table.Full {
				r.Old[1], r.Old[2] = change.Value{}, change.Value{}
			}
		case !had && has:
			r.Op, r.New = change.Insert, image(id, now)
		default:
			continue
		}
		t.Rows = append(t.Rows, r)
	}
	p.rows = after
	p.log = append(p.log, t)
	p.window.AddLocal(&t)
}

func union(a, b map[string]row) map[string]row {
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}

func unique(rows map[string]row) bool {
	names := map[string]bool{}
	for _, r := range rows {
		if names[r.name] {
			return false
		}
		names[r.name] = true
	}
	return true
}

// receive applies the next transaction of another site.
func (p *place) receive(from *place) error {
	t := from.log[p.seen[from.name]]
	p.clock = max(p.clock, t.HLC)
	var arrivals []conflict.Arrival
	for i := range t.Rows {
		r := &t.Rows[i]
		k, _ := conflict.KeyOf(r.Table, r.Key(), nil)
		arrivals = append(arrivals, conflict.Arrival{
			Table: r.Table, Key: k, Final: r.New,
			Write: &conflict.Write{Tx: conflict.TxOf(&t), Op: r.Op, Image: r.New, Old: conflict.OldOf(r), Table: r.Table},
		})
	}
	j := p.window.DecideJoint(conflict.TxOf(&t), arrivals, nil)
	after := maps.Clone(p.rows)
	set := func(names, state []change.Value) {
		if id := names[0].Text; state == nil {
			delete(after, id)
		} else {
			after[id] = row{state[1].Text, state[2].Text}
		}
	}
	for _, o := range j.Others {
		set(o.Image, o.State)
	}
	for i, d := range j.Decisions {
		if d.Err != nil {
			return d.Err
		}
		set(t.Rows[i].Key(), d.State)
	}
	if !unique(after) {
		return fmt.Errorf("%s: transaction %d of %s leaves two rows of one name: %v -> %v", p.name, t.Seq, from.name, p.rows, after)
	}
	p.collide += len(j.Collisions)
	p.trace("%s applies %d of %s: %v -> %v", p.name, t.Seq, from.name, p.rows, after)
	before := p.rows
	p.rows = after
	for i, a := range arrivals {
		_, was := before[t.Rows[i].Key()[0].Text]
		_, is := after[t.Rows[i].Key()[0].Text]
		locked := (was || is) && j.Decisions[i].Known // what met others is entered in any case
		p.window.Applied(a.Table, a.Key, []*conflict.Write{a.Write}, locked)
	}
	p.seen[from.name] = t.Seq
	p.window.SelfSaw(from.name, t.Seq)
	p.window.Settled(from.name, t.Seq, t.Seen)
	return nil
}

// lastNamed is the independent account of last_write_wins: writes in version order,
// each takes its name from whoever has it.
func lastNamed(places []*place) map[string]row {
	var all []change.Transaction
	for _, p := range places {
		all = append(all, p.log...)
	}
	slices.SortFunc(all, func(a, b change.Transaction) int {
		if (change.Version{HLC: a.HLC, Origin: a.Origin}).Less(change.Version{HLC: b.HLC, Origin: b.Origin}) {
			return -1
		}
		return 1
	})
	rows := map[string]row{}
	for _, t := range all {
		own := map[string]bool{}
		for _, r := range t.Rows {
			id := r.Key()[0].Text
			own[id] = true
			if r.New == nil {
				delete(rows, id)
			} else {
				rows[id] = row{r.New[1].Text, r.New[2].Text}
			}
		}
		for id := range own {
			for other, r := range rows {
				if mine, ok := rows[id]; ok && !own[other] && r.name == mine.name {
					delete(rows, other)
				}
			}
		}
	}
	return rows
}

// someCommit draws a transaction of one to three row changes that leaves names unique.
func someCommit(t *rapid.T, p *place, n int) {
	after := maps.Clone(p.rows)
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		id := fmt.Sprint(rapid.IntRange(1, 4).Draw(t, "id"))
		switch _, has := after[id]; {
		case has && rapid.IntRange(0, 3).Draw(t, "delete") == 0:
			delete(after, id)
		case has && rapid.Bool().Draw(t, "note"):
			after[id] = row{after[id].name, fmt.Sprintf("%s%d", p.name, n)}
		case has && rapid.IntRange(0, 2).Draw(t, "swap") == 0:
			for other, r := range after {
				if other != id {
					after[id], after[other] = row{r.name, after[id].note}, row{after[id].name, r.note}
					break
				}
			}
		default:
			after[id] = row{rapid.SampledFrom([]string{"ada", "bob", "eve", "joe"}).Draw(t, "name"), fmt.Sprintf("%s%d", p.name, n)}
		}
	}
	if unique(after) && !maps.Equal(after, p.rows) {
		p.commit(after)
	}
}

func TestNamesStayUniqueAndAlikeWhateverArrivesWhen(t *testing.T) {
	for _, policy := range []conflict.Policy{
		{}, {Base: conflict.FirstWriteWins}, {Base: conflict.Prefer, Site: "b"},
		{Deletes: conflict.DeleteWins}, {Base: conflict.FirstWriteWins, Deletes: conflict.DeleteWins},
		{Base: conflict.Prefer, Site: "a", Deletes: conflict.DeleteWins},
		{Columns: &conflict.ColumnRules{}},
	} {
		t.Run(policy.String(), func(t *testing.T) {
			met := 0
			rapid.Check(t, func(rt *rapid.T) {
				full := policy != conflict.Policy{} || rapid.Bool().Draw(rt, "full")
				names := []change.Site{"a", "b", "c"}[:rapid.IntRange(2, 3).Draw(rt, "sites")]
				var places []*place
				for _, n := range names {
					peers := slices.DeleteFunc(slices.Clone(names), func(o change.Site) bool { return o == n })
					places = append(places, &place{
						name: n, rows: map[string]row{}, seen: change.Seen{}, table: accounts(full), trace: rt.Logf, clock: uint64(rapid.IntRange(0, 30).Draw(rt, "clock")),
						window: conflict.NewWindow(conflict.WindowOptions{Self: n, Peers: peers, Policy: func(*change.Table) conflict.Policy { return policy }}),
					})
				}
				for n := range rapid.IntRange(1, 40).Draw(rt, "steps") {
					p := places[rapid.IntRange(0, len(places)-1).Draw(rt, "site")]
					switch from := places[rapid.IntRange(0, len(places)-1).Draw(rt, "from")]; {
					case from == p:
						someCommit(rt, p, n)
					case rapid.IntRange(0, 5).Draw(rt, "compact") == 0:
						p.window.Compact()
						p.trace("%s compacts", p.name)
					default:
						if err := p.next(from, places); err != nil {
							rt.Fatal(err)
						}
					}
				}
				for again := true; again; {
					again = false
					for _, p := range places {
						for _, from := range places {
							before := p.seen[from.name]
							if err := p.next(from, places); err != nil {
								rt.Fatal(err)
							}
							again = again || p.seen[from.name] != before
						}
					}
				}
				for _, p := range places {
					met += p.collide
					if !maps.Equal(p.rows, places[0].rows) {
						rt.Fatalf("%s has %v, %s has %v", p.name, p.rows, places[0].name, places[0].rows)
					}
				}
				if (policy == conflict.Policy{}) {
					if want := lastNamed(places); !maps.Equal(want, places[0].rows) {
						rt.Fatalf("the rows are %v; in version order they are %v", places[0].rows, want)
					}
				}
			})
			if met == 0 {
				t.Error("no name was ever taken twice: the test shows nothing")
			}
		})
	}
}

// next applies the next transaction of from here, if there is one and all it had seen is
// here.
func (p *place) next(from *place, places []*place) error {
	if from == p || p.seen[from.name] == uint64(len(from.log)) {
		return nil
	}
	t := from.log[p.seen[from.name]]
	for o, seq := range t.Seen {
		if o != p.name && p.seen[o] < seq {
			return nil
		}
	}
	return p.receive(from)
}

// Before and after, the row is gone. But who makes it now, without knowing of the write
// that took its name at a site that is preferred, is decided against that write: so the
// key is named, to be looked at again.
func TestARowThatIsGoneForAnotherReasonIsNamed(t *testing.T) {
	table := accounts(true)
	w := conflict.NewWindow(conflict.WindowOptions{Self: "a", Peers: []change.Site{"b"}, Policy: func(*change.Table) conflict.Policy {
		return conflict.Policy{Base: conflict.Prefer, Site: "b"}
	}})
	had := image("1", row{"rita", ""})
	w.AddLocal(&change.Transaction{Origin: "a", Seq: 1, HLC: 10, Rows: []change.Row{{Table: table, Op: change.Insert, New: had}}})
	w.AddLocal(&change.Transaction{Origin: "a", Seq: 2, HLC: 30, Rows: []change.Row{{Table: table, Op: change.Delete, Old: had}}})
	takes := image("3", row{"rita", ""})
	k, _ := conflict.KeyOf(table, takes, nil)
	tx := &conflict.Tx{Origin: "b", Seq: 1, HLC: 20}
	d := w.DecideJoint(tx, []conflict.Arrival{{Table: table, Key: k, Final: takes, Write: &conflict.Write{Tx: tx, Op: change.Insert, Image: takes, Table: table}}}, nil)
	if len(d.Others) != 1 || d.Others[0].State != nil || d.Others[0].Image[0].Text != "1" {
		t.Errorf("others: %+v, want the row 1, gone", d.Others)
	}
}
