package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// stock is the table of these tests: a key and two values.
var stock = (&change.Table{
	Schema: "shop", Name: "stock", Key: []int{0},
	Columns: []change.Column{
		{Name: "id", Type: "text", Kind: change.KindText},
		{Name: "a", Type: "text", Kind: change.KindText},
		{Name: "b", Type: "text", Kind: change.KindText},
	},
}).Seal()

// image makes an image of stock; "~" is a value that was not logged.
func image(values ...string) []change.Value {
	out := make([]change.Value, len(values))
	for i, v := range values {
		if v != "~" {
			out[i] = change.TextValue(v)
		}
	}
	return out
}

func insert(values ...string) change.Row {
	return change.Row{Table: stock, Op: change.Insert, New: image(values...)}
}

func update(values ...string) change.Row {
	return change.Row{Table: stock, Op: change.Update, New: image(values...)}
}

func remove(key string) change.Row {
	return change.Row{Table: stock, Op: change.Delete, Old: image(key, "~", "~")}
}

func move(from string, values ...string) change.Row {
	return change.Row{Table: stock, Op: change.Update, Old: image(from, "~", "~"), New: image(values...)}
}

// there makes transaction seq of site "there".
func there(seq uint64, rows ...change.Row) change.Transaction {
	return change.Transaction{Origin: "there", Epoch: 1, Seq: seq, HLC: seq << 8, Rows: rows}
}

// fakeDB is a database with one table, one session at a time, and faults on demand.
type fakeDB struct {
	rows   map[string][]change.Value
	point  Checkpoint
	parked []Parked

	begun  int
	write  func(*Write) error // called for every row; may refuse it
	commit func() (before, after error)
}

func newFakeDB() *fakeDB { return &fakeDB{rows: map[string][]change.Value{}} }

func (db *fakeDB) text() []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(db.rows)) {
		r := db.rows[k]
		out = append(out, fmt.Sprintf("%s %s %s", r[0].Text, r[1].Text, r[2].Text))
	}
	return out
}

func (db *fakeDB) Acquire(context.Context, change.Site) (func(), error) { return func() {}, nil }
func (db *fakeDB) Overlap() int                                         { return 1 }
func (db *fakeDB) Parked(context.Context) ([]Parked, error)             { return slices.Clone(db.parked), nil }

func (db *fakeDB) Checkpoints(context.Context) (map[change.Site]Checkpoint, error) {
	return map[change.Site]Checkpoint{"there": db.point}, nil
}

func (db *fakeDB) Begin(_ context.Context, c Checkpoint) (Tx, error) {
	db.begun++
	return &fakeTx{db: db, c: c, rows: maps.Clone(db.rows)}, nil
}

type fakeTx struct {
	db     *fakeDB
	c      Checkpoint
	rows   map[string][]change.Value
	saved  map[string][]change.Value
	parked []Parked
}

func (x *fakeTx) Write(_ context.Context, writes []Write) (missing []int, err error) {
	for i := range writes {
		w := &writes[i]
		if x.db.write != nil {
			if err := x.db.write(w); err != nil {
				return nil, err
			}
		}
		key := w.Row.Key()[0].Text
		old := x.rows[key]
		switch {
		case w.Action == Insert && old != nil:
			return nil, fmt.Errorf("%w: %s is there", ErrRejected, key)
		case w.Action != Insert && old == nil:
			missing = append(missing, i)
		case w.Action == Delete:
			delete(x.rows, key)
		default:
			delete(x.rows, key)
			x.rows[w.Row.New[0].Text] = conflict.Overlay(old, w.Row.New)
		}
	}
	return missing, nil
}

func (x *fakeTx) Read(_ context.Context, _ *change.Table, keys [][]change.Value) ([][]change.Value, error) {
	out := make([][]change.Value, len(keys))
	for i, k := range keys {
		out[i] = x.rows[k[0].Text]
	}
	return out, nil
}

func (x *fakeTx) Truncate(_ context.Context, _ *change.Table, keep func([]change.Value) bool) error {
	maps.DeleteFunc(x.rows, func(_ string, r []change.Value) bool { return keep == nil || !keep(r) })
	return nil
}

func (x *fakeTx) LogPosition(context.Context) (change.Position, error) { return "1", nil }
func (x *fakeTx) Savepoint(context.Context) error                      { x.saved = maps.Clone(x.rows); return nil }
func (x *fakeTx) RollbackTo(context.Context) error                     { x.rows = maps.Clone(x.saved); return nil }
func (x *fakeTx) Rollback(context.Context)                             {}

func (x *fakeTx) Record(_ context.Context, _ []Conflict, parked []Parked) error {
	x.parked = append(x.parked, parked...)
	return nil
}

func (x *fakeTx) Commit(context.Context) error {
	before, after := error(nil), error(nil)
	if x.db.commit != nil {
		before, after = x.db.commit()
	}
	if before != nil {
		return before
	}
	if x.db.point.Seq != x.c.Previous {
		return ErrFenced
	}
	x.db.rows, x.db.point = x.rows, x.c
	x.db.parked = append(x.db.parked, x.parked...)
	return after
}

// noLog is a stream that holds what is given.
type noLog []change.Transaction

func (l noLog) Tail(context.Context) (change.Tail, error) { return change.Tail{}, nil }
func (l noLog) Open(_ context.Context, _ uint32, after uint64) (FrameReader, error) {
	return &oneFrame{change.Frame{Transactions: l[after:]}}, nil
}

type oneFrame struct{ f change.Frame }

func (r *oneFrame) Next(context.Context) (*change.Frame, error) { return &r.f, nil }
func (r *oneFrame) Ready() bool                                 { return false }
func (r *oneFrame) Close()                                      {}

type openFence struct{}

func (openFence) Fence(context.Context, change.Position, uint64) error { return nil }

// linkTo makes a link from "there" to db, which tries again without waiting.
func linkTo(t *testing.T, db *fakeDB, log []change.Transaction, set func(*Options)) *Link {
	t.Helper()
	o := Options{
		Site: "here", Own: noLog{}, Logs: map[change.Site]Log{"there": noLog(log)},
		Policy: func(*change.Table) conflict.Policy { return conflict.Policy{} },
		Pause:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	o.Window = conflict.NewWindow(conflict.WindowOptions{Self: "here", Peers: []change.Site{"there"}, Policy: o.Policy})
	if set != nil {
		set(&o)
	}
	l := New(db, openFence{}, o).Link("there")
	if _, err := l.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}
