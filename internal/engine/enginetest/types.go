package enginetest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// canonical is what the text of a kind looks like at every engine.
var canonical = map[change.Kind]*regexp.Regexp{
	change.KindBool:        regexp.MustCompile(`^(true|false)$`),
	change.KindInt:         regexp.MustCompile(`^-?[0-9]+$`),
	change.KindDecimal:     regexp.MustCompile(`^(-?[0-9]+(\.[0-9]+)?|NaN|-?Infinity)$`),
	change.KindFloat:       regexp.MustCompile(`^(-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?|NaN|-?Infinity)$`),
	change.KindDate:        regexp.MustCompile(`^([0-9]{4,}-[0-9]{2}-[0-9]{2}( BC)?|-?infinity)$`),
	change.KindTime:        regexp.MustCompile(`^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$`),
	change.KindTimestamp:   regexp.MustCompile(`^([0-9]{4,}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?( BC)?|-?infinity)$`),
	change.KindTimestampTZ: regexp.MustCompile(`^([0-9]{4,}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?\+00( BC)?|-?infinity)$`),
	change.KindUUID:        regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
}

// The ways a value gets into the target, told apart by what is added to its id.
const (
	byInsert = 0
	byUpdate = 1000
	byPut    = 2000
	byPutOn  = 3000 // on a row that is there
	moved    = 10000
)

var ways = []int{byInsert, byUpdate, byPut, byPutOn}

// testTypes sends every value of every type through both databases: written by an
// application here, read from the log, applied there in every way, touched by an
// application there, and read from the log again. The two texts must be the same, and
// so must what the databases themselves say.
func testTypes(t *testing.T, f Fixture) {
	schema := slices.Clone(f.Dialect.Setup)
	for i, typ := range f.Types {
		schema = append(schema, fmt.Sprintf("CREATE TABLE ty%d (id int PRIMARY KEY, v %s)", i, typ.SQL))
	}
	from, to := pair(t, f, SiteOptions{Schema: schema})
	out := from.open("")
	for i, typ := range f.Types {
		for n, value := range append([]string{"NULL"}, typ.Values...) {
			from.app.run(fmt.Sprintf("INSERT INTO ty%d VALUES (%d, %s)", i, n, value))
		}
	}
	sent := map[string]map[string]change.Value{} // by table and id
	var rows []change.Row
	for _, ev := range out.drain() {
		rows = append(rows, ev.Rows...)
	}
	for _, row := range rows {
		if sent[row.Table.Name] == nil {
			sent[row.Table.Name] = map[string]change.Value{}
		}
		sent[row.Table.Name][row.New[0].Text] = row.New[1]
	}
	back := to.open("")
	to.applyInEveryWay(rows)
	to.readAgain(rows)
	for i := range f.Types {
		to.app.run(fmt.Sprintf("UPDATE ty%d SET id = id + %d", i, moved))
	}
	returned := map[string]map[string]change.Value{}
	for _, ev := range back.drain() {
		for _, row := range ev.Rows {
			if returned[row.Table.Name] == nil {
				returned[row.Table.Name] = map[string]change.Value{}
			}
			returned[row.Table.Name][row.New[0].Text] = row.New[1]
		}
	}

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "type\tkind\tvalues\tas a key\tfirst value, canonical\t")
	for i, typ := range f.Types {
		name := fmt.Sprintf("ty%d", i)
		verdict := ""
		fail := func(format string, arguments ...any) {
			verdict = "FAILED"
			t.Errorf(typ.SQL+": "+format, arguments...)
		}
		for n := range len(typ.Values) + 1 {
			want, ok := sent[name][strconv.Itoa(n)]
			literal := append([]string{"NULL"}, typ.Values...)[n]
			switch {
			case !ok:
				fail("%s did not come out of the log", literal)
				continue
			case n == 0 && want.State != change.Null, n > 0 && want.State != change.Present:
				fail("%s came out of the log as %s", literal, show([]change.Value{want}))
				continue
			case n > 0 && canonical[typ.Kind] != nil && !canonical[typ.Kind].MatchString(want.Text):
				fail("%s came out of the log as %q, which is not canonical", literal, want.Text)
			}
			for _, way := range ways {
				if got := returned[name][strconv.Itoa(n+way+moved)]; got != want {
					fail("%s went in as %q and came back as %q (way %d)", literal, show([]change.Value{want}), show([]change.Value{got}), way)
				}
			}
		}
		if kind := kindOf(rows, name); kind != typ.Kind {
			fail("kind = %d, want %d", kind, typ.Kind)
		}
		key := "no"
		if typ.Keys != nil {
			key = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", typ.SQL, kindNames[typ.Kind], len(typ.Values)+1, key, strconv.QuoteToGraphic(show([]change.Value{sent[name]["1"]})), verdict)
	}
	_ = w.Flush() // to memory
	t.Logf("types there and back:\n%s", table.String())
}

// applyInEveryWay applies the inserted rows with every action that sets a value.
func (b *bench) applyInEveryWay(rows []change.Row) {
	b.t.Helper()
	var inserts, updates, puts []apply.Write
	for _, row := range rows {
		id, err := strconv.Atoi(row.New[0].Text)
		if err != nil {
			b.t.Fatalf("an id that came out of the log as %q: %v", row.New[0].Text, err)
		}
		with := func(op change.Op, way int, v change.Value) *change.Row {
			return &change.Row{Table: row.Table, Op: op, New: []change.Value{change.TextValue(strconv.Itoa(id + way)), v}}
		}
		for _, way := range []int{byUpdate, byPutOn} {
			inserts = append(inserts, apply.Write{Action: apply.Insert, Row: with(change.Insert, way, change.NullValue())})
		}
		inserts = append(inserts, apply.Write{Action: apply.Insert, Row: with(change.Insert, byInsert, row.New[1])})
		updates = append(updates, apply.Write{Action: apply.Update, Row: with(change.Update, byUpdate, row.New[1])})
		for _, way := range []int{byPut, byPutOn} {
			puts = append(puts, apply.Write{Action: apply.Put, Row: with(change.Update, way, row.New[1])})
		}
	}
	tx := b.begin()
	b.write(tx, inserts...)
	b.write(tx, updates...)
	b.write(tx, puts...)
	b.commit(tx)
}

// readAgain checks that Tx.Read returns the values as the log gave them.
func (b *bench) readAgain(rows []change.Row) {
	b.t.Helper()
	tx := b.begin()
	defer tx.Rollback(b.ctx)
	for _, row := range rows {
		got, err := tx.Read(b.ctx, row.Table, [][]change.Value{row.New})
		if err != nil {
			b.t.Fatalf("reading a row of %s: %v", row.Table.Columns[1].Type, err)
		}
		if len(got) != 1 || !slices.Equal(got[0], row.New) {
			b.t.Errorf("%s: read %v, want %s", row.Table.Columns[1].Type, got, show(row.New))
		}
	}
}

func kindOf(rows []change.Row, table string) change.Kind {
	for _, row := range rows {
		if row.Table.Name == table {
			return row.Table.Columns[1].Kind
		}
	}
	return change.KindNative
}

// testKeys finds rows by a key of every type that may be one: each value is inserted,
// updated and deleted there by what the log said here.
func testKeys(t *testing.T, f Fixture) {
	schema := slices.Clone(f.Dialect.Setup)
	for i, typ := range f.Types {
		if typ.Keys != nil {
			schema = append(schema, fmt.Sprintf("CREATE TABLE tk%d (k %s PRIMARY KEY, n int)", i, typ.SQL))
		}
	}
	from, to := pair(t, f, SiteOptions{Schema: schema})
	out := from.open("")
	for i, typ := range f.Types {
		for _, key := range typ.Keys {
			from.app.run(fmt.Sprintf("INSERT INTO tk%d VALUES (%s, 1)", i, key))
		}
	}
	to.applySets(out.drain(), change.Insert)
	for i, typ := range f.Types {
		if typ.Keys != nil {
			from.app.run(fmt.Sprintf("UPDATE tk%d SET n = 2", i))
		}
	}
	to.applySets(out.drain(), change.Update)
	for i, typ := range f.Types {
		if typ.Keys != nil {
			to.app.holds(fmt.Sprintf("SELECT count(*), min(n) FROM tk%d", i), fmt.Sprintf("%d|2", len(typ.Keys)))
			from.app.run(fmt.Sprintf("DELETE FROM tk%d", i))
		}
	}
	to.applySets(out.drain(), change.Delete)
	for i, typ := range f.Types {
		if typ.Keys != nil {
			to.app.holds(fmt.Sprintf("SELECT count(*) FROM tk%d", i), "0")
		}
	}
}

// applySets writes all rows at once, and says which type's rows were not found.
func (b *bench) applySets(events []capture.Event, op change.Op) {
	b.t.Helper()
	var writes []apply.Write
	for _, ev := range events {
		for i := range ev.Rows {
			if ev.Rows[i].Op != op {
				b.t.Fatalf("read %s, want %s", lines(ev.Rows[i:i+1]), op)
			}
			writes = append(writes, writeOf(&ev.Rows[i]))
		}
	}
	tx := b.begin()
	missing, err := tx.Write(b.ctx, writes)
	if err != nil {
		b.t.Fatalf("writing %d rows: %v", len(writes), err)
	}
	for _, i := range missing {
		row := writes[i].Row
		b.t.Errorf("%s of the key %s of type %s found no row", op, show(row.Key()), row.Table.Columns[0].Type)
	}
	b.commit(tx)
}

var kindNames = map[change.Kind]string{
	change.KindNative: "native", change.KindBool: "bool", change.KindInt: "int", change.KindDecimal: "decimal",
	change.KindFloat: "float", change.KindText: "text", change.KindPaddedText: "padded text", change.KindFoldedText: "folded text",
	change.KindBytes: "bytes", change.KindDate: "date", change.KindTime: "time", change.KindTimestamp: "timestamp",
	change.KindTimestampTZ: "timestamptz", change.KindInterval: "interval", change.KindUUID: "uuid", change.KindJSON: "json",
	change.KindJSONB: "jsonb", change.KindEnum: "enum", change.KindArray: "array",
}
