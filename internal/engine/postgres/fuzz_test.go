package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// raw builds replication messages.
type raw []byte

func (w raw) u8(v byte) raw    { return append(w, v) }
func (w raw) u16(v int) raw    { return binary.BigEndian.AppendUint16(w, uint16(v)) }
func (w raw) u32(v int) raw    { return binary.BigEndian.AppendUint32(w, uint32(v)) }
func (w raw) u64(v int) raw    { return binary.BigEndian.AppendUint64(w, uint64(v)) }
func (w raw) str(s string) raw { return append(append(w, s...), 0) }

// tuple appends an image; "\x00" stands for null, "\x01" for unchanged.
func (w raw) tuple(mark byte, values ...string) raw {
	w = w.u8(mark).u16(len(values))
	for _, v := range values {
		switch v {
		case "\x00":
			w = w.u8('n')
		case "\x01":
			w = w.u8('u')
		default:
			w = append(w.u8('t').u32(len(v)), v...)
		}
	}
	return w
}

func relationWire(id int, schema, name string, identity byte, columns ...string) raw {
	w := raw{'R'}.u32(id).str(schema).str(name).u8(identity).u16(len(columns))
	for i, c := range columns {
		key := byte(0)
		if i == 0 {
			key = 1
		}
		w = w.u8(key).str(c).u32(25).u32(-1)
	}
	return w
}

var (
	beginWire  = raw{'B'}.u64(100).u64(1000).u32(7)
	commitWire = raw{'C'}.u8(0).u64(100).u64(200).u64(1000)
)

// plainShaper shapes relations without a catalogue.
func plainShaper(_ context.Context, m *relationMessage) (*relation, error) {
	sh := &shaper{
		known:   &catalog{tables: map[uint32]*tableFacts{m.id: {schema: m.schema, name: m.name, identity: m.identity}}, types: map[uint32]typeFacts{}},
		before:  map[uint32][]string{},
		connect: func(context.Context) (*pgx.Conn, error) { return nil, errors.New("no catalogue") },
	}
	facts := sh.known.tables[m.id]
	for i, c := range m.columns {
		facts.columns = append(facts.columns, columnFacts{name: c.name, typeOID: c.typ, typmod: c.typmod, typeText: "text"})
		sh.known.types[c.typ] = typeFacts{kind: []change.Kind{change.KindBool, change.KindText, change.KindBytes}[c.typ%3]} // 25 is text
		if i == 0 {
			facts.key = []string{c.name}
		}
	}
	return sh.relation(context.Background(), m)
}

func plainAssembler() *assembler {
	return &assembler{site: "mumbai", partBytes: 1 << 10, shape: plainShaper, relations: map[uint32]*relation{}}
}

// FuzzDecode feeds streams of messages, each with its length before it: no input
// may panic, and every row that comes out has complete images and a key.
func FuzzDecode(f *testing.F) {
	stream := func(messages ...raw) []byte {
		var b []byte
		for _, m := range messages {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
		}
		return b
	}
	item := relationWire(1, "public", "item", 'd', "id", "a")
	full := relationWire(2, "public", "full", 'f', "id", "a", "b")
	checkpoint := relationWire(3, "concord", "checkpoint", 'd', "origin", "epoch", "seq", "hlc", "applied_at")
	heartbeat := relationWire(4, "concord", "heartbeat", 'd', "site", "beat")
	f.Add(stream(beginWire, item, raw{'I'}.u32(1).tuple('N', "1", "x"), commitWire))
	f.Add(stream(beginWire, item, raw{'U'}.u32(1).tuple('K', "1", "\x00").tuple('N', "2", "\x01"), raw{'D'}.u32(1).tuple('K', "2", "\x00"), commitWire))
	f.Add(stream(beginWire, full, raw{'U'}.u32(2).tuple('O', "1", "big", "\x00").tuple('N', "1", "\x01", "y"), raw{'T'}.u32(1).u8(1).u32(2), commitWire))
	f.Add(stream(beginWire, checkpoint, raw{'I'}.u32(3).tuple('N', "pune", "1", "5", "9", "x"), item, raw{'I'}.u32(1).tuple('N', "1", "x"), commitWire))
	f.Add(stream(beginWire, heartbeat, raw{'U'}.u32(4).tuple('N', "mumbai", "2026-07-31 12:00:00.123456+00"), commitWire))
	f.Add(stream(raw{'M'}.u8(0).u64(500).str("concord").u32(2).u8('h').u8('i'), raw{'Y'}.u32(9), raw{'O'}.u64(1).str("o")))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := plainAssembler()
		for len(data) >= 2 {
			n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
			ev, ok, err := a.message(t.Context(), data[2:2+n])
			data = data[2+n:]
			if err != nil {
				return
			}
			if !ok {
				continue
			}
			for _, r := range ev.Rows {
				for _, img := range [][]change.Value{r.Old, r.New} {
					if img != nil && len(img) != len(r.Table.Columns) {
						t.Fatalf("an image of %d values for %d columns", len(img), len(r.Table.Columns))
					}
				}
				if r.Op != change.Truncate {
					for _, k := range r.Table.Key {
						if r.Key()[k].State == change.Unchanged {
							t.Fatalf("a row without its key: %+v", r)
						}
					}
				}
			}
		}
	})
}

func TestMessagesOutOfPlaceAreErrors(t *testing.T) {
	item := relationWire(1, "public", "item", 'd', "id", "a")
	insert := raw{'I'}.u32(1).tuple('N', "1", "x")
	for name, stream := range map[string][]raw{
		"empty":                    {{}},
		"unknown type":             {{'z'}},
		"row outside":              {item, insert},
		"commit outside":           {commitWire},
		"begin inside":             {beginWire, beginWire},
		"unknown relation":         {beginWire, insert},
		"too few columns":          {beginWire, item, raw{'I'}.u32(1).tuple('N', "1")},
		"trailing bytes":           {beginWire, item, append(insert[:len(insert):len(insert)], 0)},
		"cut short":                {beginWire, item, insert[:len(insert)-1]},
		"key is null":              {beginWire, item, raw{'I'}.u32(1).tuple('N', "\x00", "x")},
		"insert with an old image": {beginWire, item, raw{'I'}.u32(1).tuple('K', "1", "x").tuple('N', "1", "x")},
		"delete without one":       {beginWire, item, raw{'D'}.u32(1).tuple('N', "1", "x")},
		"unknown truncate":         {beginWire, raw{'T'}.u32(1).u8(0).u32(1)},
	} {
		a := plainAssembler()
		var err error
		for _, m := range stream {
			if _, _, err = a.message(t.Context(), m); err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAMarkAfterAPartIsRefused(t *testing.T) {
	a := plainAssembler()
	var err error
	feed := func(m raw) {
		if err == nil {
			_, _, err = a.message(t.Context(), m)
		}
	}
	feed(beginWire)
	feed(relationWire(1, "public", "item", 'd', "id", "a"))
	feed(relationWire(3, "concord", "checkpoint", 'd', "origin", "epoch", "seq", "hlc", "applied_at"))
	for i := range 100 {
		feed(raw{'I'}.u32(1).tuple('N', fmt.Sprint(i), "some text to fill the part with"))
	}
	if err != nil {
		t.Fatal(err)
	}
	feed(raw{'I'}.u32(3).tuple('N', "pune", "1", "5", "9", "x"))
	if err == nil {
		t.Error("rows of a replicated transaction went out as local ones")
	}
}

func BenchmarkDecode(b *testing.B) {
	a := plainAssembler()
	a.partBytes = 512 << 10
	ctx := context.Background()
	for _, m := range []raw{relationWire(1, "public", "accounts", 'd', "aid", "bid", "abalance", "filler"), beginWire} {
		if _, _, err := a.message(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
	row := raw{'U'}.u32(1).tuple('N', "123456", "1", "-4711", "                                                                                    ")
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.message(ctx, row); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
