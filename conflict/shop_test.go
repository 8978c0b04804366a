package conflict_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// items has a column for each rule; the log has its rows whole.
var items = (&change.Table{
	Schema: "public", Name: "items", Key: []int{0}, Full: true,
	Columns: []change.Column{
		{Name: "id", Kind: change.KindText}, {Name: "count", Type: "integer", Kind: change.KindInt},
		{Name: "low", Type: "integer", Kind: change.KindInt}, {Name: "high", Type: "integer", Kind: change.KindInt},
		{Name: "tags", Type: "text[]", Kind: change.KindArray}, {Name: "note", Type: "text", Kind: change.KindText},
	},
}).Seal()

func imageOfItem(id string, r item) []change.Value {
	if r == nil {
		return nil
	}
	out := []change.Value{change.TextValue(id)}
	for _, c := range itemColumns {
		out = append(out, change.TextValue(r[c]))
	}
	return out
}

func itemOf(image []change.Value) item {
	if image == nil {
		return nil
	}
	out := item{}
	for i, c := range itemColumns {
		out[c] = image[i+1].Text
	}
	return out
}

// dice answers what happens next: with a number below n.
type dice func(n int, what string) int

// shop is a site with items.
type shop struct {
	name    change.Site
	rows    map[string]item
	log     []change.Transaction
	applied []change.Transaction // of the others, in the order in which they came
	seen    change.Seen
	clock   uint64
	options conflict.WindowOptions
	window  *conflict.Window
}

func keyOf(id string) conflict.Key {
	k, _ := conflict.KeyOf(items, imageOfItem(id, item{}), nil)
	return k
}

func (s *shop) commit(d dice) {
	s.clock += uint64(1 + d(3, "time passes"))
	t := change.Transaction{Origin: s.name, Seq: uint64(len(s.log)) + 1, HLC: s.clock, Seen: maps.Clone(s.seen)}
	for _, id := range []string{"1", "2"}[:1+d(2, "rows")] {
		before, has := s.rows[id]
		r := change.Row{Table: items, Op: change.Update, Old: imageOfItem(id, before)}
		after := maps.Clone(before)
		switch {
		case !has:
			r.Op, after = change.Insert, item{}
		case d(4, "delete") == 0:
			r.Op, after = change.Delete, nil
		}
		if after != nil {
			for _, c := range itemColumns {
				if _, there := after[c]; there && d(2, c+" stays") == 0 {
					continue
				}
				switch c {
				case "tags":
					after[c] = []string{"{}", "{red}", "{blue}", "{red,blue}", "{blue,green}"}[d(5, c)]
				case "note":
					after[c] = fmt.Sprintf("%s%d", s.name, t.Seq)
				default:
					after[c] = fmt.Sprint(d(20, c))
				}
			}
			s.rows[id] = after
		} else {
			delete(s.rows, id)
		}
		r.New = imageOfItem(id, after)
		t.Rows = append(t.Rows, r)
	}
	s.log = append(s.log, t)
	s.window.AddLocal(&t)
	if d(4, "read twice") == 0 {
		s.window.AddLocal(&t)
	}
}

// ready is how many of the next transactions of from may be applied here: all that they
// had seen is here.
func (s *shop) ready(from *shop) (n uint64) {
	for at := s.seen[from.name]; at+n < uint64(len(from.log)); n++ {
		for o, seq := range from.log[at+n].Seen {
			if o != s.name && s.seen[o] < seq {
				return n
			}
		}
	}
	return n
}

// receive applies the next n transactions of from as one group.
func (s *shop) receive(from *shop, n uint64, d dice) error {
	at := s.seen[from.name]
	group := from.log[at : at+n]
	for _, id := range []string{"1", "2"} {
		if err := s.settle(id, group); err != nil {
			return err
		}
	}
	for i := range group {
		s.clock = max(s.clock, group[i].HLC)
		s.window.Settled(from.name, group[i].Seq, group[i].Seen)
	}
	s.applied = append(s.applied, group...)
	s.seen[from.name] = at + n
	if d(2, "the mark is read") == 0 {
		s.window.SelfSaw(from.name, at+n)
	}
	return nil
}

// writesOf are what the transactions of a group did to a row.
func writesOf(id string, group []change.Transaction) (es []*conflict.Write) {
	for i := range group {
		for j := range group[i].Rows {
			if r := &group[i].Rows[j]; r.Key()[0].Text == id {
				es = append(es, &conflict.Write{Tx: conflict.TxOf(&group[i]), Op: r.Op, Image: r.New, Old: conflict.OldOf(r), Table: items})
			}
		}
	}
	return es
}

func (s *shop) settle(id string, group []change.Transaction) error {
	es := writesOf(id, group)
	if len(es) == 0 {
		return nil
	}
	x := s.window.Decide(items, keyOf(id), es, es[len(es)-1].Image)
	if x.Err != nil || x.Partial || x.Apart || x.Joint {
		return fmt.Errorf("%s cannot decide row %s: %+v", s.name, id, x)
	}
	_, was := s.rows[id]
	if !x.Keep {
		if r := itemOf(x.State); r != nil {
			s.rows[id] = r
		} else {
			delete(s.rows, id)
		}
	}
	_, is := s.rows[id]
	s.window.Applied(items, keyOf(id), es, (was || is) && x.Known)
	return nil
}

// restart forgets the window and builds it again from the streams, each read from
// somewhere at or before the point up to which the window said it needs nothing.
func (s *shop) restart(d dice) {
	from := change.Seen{}
	came := maps.Clone(s.seen)
	came[s.name] = uint64(len(s.log))
	for _, o := range append([]change.Site{s.name}, s.options.Peers...) {
		low := min(s.window.Low(o), came[o])
		from[o] = low - min(low, uint64(d(3, "read from before")))
	}
	s.window = conflict.NewWindow(s.options)
	s.window.StartLocal(from[s.name])
	for i := range s.log {
		s.window.AddLocal(&s.log[i])
	}
	for i := range s.applied {
		t := s.applied[i : i+1]
		if t[0].Seq <= from[t[0].Origin] {
			continue
		}
		for _, id := range []string{"1", "2"} {
			if es := writesOf(id, t); len(es) > 0 {
				s.window.Applied(items, keyOf(id), es, false)
			}
		}
	}
	for i := range s.applied {
		t := &s.applied[i]
		s.window.Settled(t.Origin, t.Seq, t.Seen)
	}
	for o, seq := range s.seen {
		s.window.SelfSaw(o, seq)
	}
}

// play lets shops trade as the dice say, until all is everywhere, and compares.
// rules are those of all windows; forgetful ones come back from a restart empty.
func play(d dice, p conflict.Policy, rules conflict.Rules, forgetful bool) error {
	names := []change.Site{"a", "b", "c", "d"}[:2+d(3, "sites")]
	var shops []*shop
	for _, n := range names {
		s := &shop{name: n, rows: map[string]item{}, seen: change.Seen{}, clock: uint64(d(30, "clock")), options: conflict.WindowOptions{
			Self: n, Peers: slices.DeleteFunc(slices.Clone(names), func(o change.Site) bool { return o == n }),
			Policy: func(*change.Table) conflict.Policy { return p }, Rules: rules, LongList: d(4, "long list"),
		}}
		if d(3, "spills") == 0 {
			s.options.Memory, s.options.Store = 1, &conflict.MemoryStore{}
		}
		s.window = conflict.NewWindow(s.options)
		shops = append(shops, s)
	}
	for range 1 + d(50, "steps") {
		s, from := shops[d(len(shops), "site")], shops[d(len(shops), "from")]
		switch what := d(12, "what"); {
		case what < 5:
			s.commit(d)
		case what == 5:
			s.window.Compact()
		case what == 6 && forgetful:
			s.window = conflict.NewWindow(s.options)
			s.window.StartLocal(uint64(len(s.log)))
		case what == 6:
			s.restart(d)
		case from != s && s.ready(from) > 0:
			if err := s.receive(from, 1+uint64(d(int(s.ready(from)), "group")), d); err != nil {
				return err
			}
		}
	}
	for again := true; again; {
		again = false
		for _, s := range shops {
			for _, from := range shops {
				if from != s && s.ready(from) > 0 {
					again = true
					if err := s.receive(from, 1, d); err != nil {
						return err
					}
				}
			}
		}
	}
	return compare(p, shops)
}

func compare(p conflict.Policy, shops []*shop) error {
	for _, id := range []string{"1", "2"} {
		var all []*did
		for _, s := range shops {
			for _, t := range s.log {
				for _, r := range t.Rows {
					if r.Key()[0].Text == id {
						all = append(all, &did{origin: t.Origin, seq: t.Seq, hlc: t.HLC, seen: t.Seen, op: r.Op, old: itemOf(r.Old), now: itemOf(r.New)})
					}
				}
			}
		}
		want := reference(p, all)
		for _, s := range shops {
			if got := s.rows[id]; !maps.Equal(got, want) {
				return fmt.Errorf("row %s at %s is %v, the reference has %v", id, s.name, got, want)
			}
		}
	}
	return nil
}
