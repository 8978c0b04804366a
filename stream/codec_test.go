package stream

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream/streampb"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// mustEncode encodes f as the frame after before.
func mustEncode(t testing.TB, c Compression, f *change.Frame, before progress, previous hash) ([]byte, progress) {
	t.Helper()
	after, err := before.advance(f)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := newEncoder(c).encode(f, previous, after)
	if err != nil {
		t.Fatal(err)
	}
	return payload, after
}

func TestFrameReadsBackAsWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, before := genFrame(rt)
		previous := hash(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "previous"))
		after, err := before.advance(f)
		if err != nil {
			rt.Fatal(err)
		}
		c := rapid.SampledFrom([]Compression{S2, Zstd, Uncompressed}).Draw(rt, "compression")
		payload, err := newEncoder(c).encode(f, previous, after)
		if err != nil {
			rt.Fatal(err)
		}
		m, err := (&decoder{}).decode(payload)
		if err != nil {
			rt.Fatal(err)
		}
		if m.previous != previous {
			rt.Fatalf("previous %s, want %s", m.previous, previous)
		}
		if !reflect.DeepEqual(normal(m.frame), normal(f)) {
			rt.Fatalf("read\n%+v\nwritten\n%+v", m.frame, f)
		}
		if !sameTail(m.after.tail, after.tail) || m.after.last != after.last {
			rt.Fatalf("stands at %+v, want %+v", m.after, after)
		}
	})
}

// normal makes nil and empty alike.
func normal(f *change.Frame) *change.Frame {
	c := *f
	c.Transactions = append([]change.Transaction{}, f.Transactions...)
	for i := range c.Transactions {
		t := &c.Transactions[i]
		t.Seen, t.Rows = t.Seen.Clone(), append([]change.Row{}, t.Rows...)
	}
	return &c
}

func sameTail(a, b change.Tail) bool {
	return a.Epoch == b.Epoch && a.Seq == b.Seq && a.Clock == b.Clock && a.Position == b.Position && maps.Equal(a.Seen, b.Seen)
}

func TestEstimatedSizeIsNeverTooLow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, _ := genFrame(rt)
		estimate := 64
		for i := range f.Transactions {
			estimate += TransactionSize(&f.Transactions[i])
		}
		var w bodyWriter
		body, err := w.pack(f)
		if err != nil {
			rt.Fatal(err)
		}
		if len(body) > estimate {
			rt.Fatalf("a body of %d bytes was estimated as %d", len(body), estimate)
		}
	})
}

func TestShapesAndSeenAreShared(t *testing.T) {
	var p progress
	first, p := mustEncode(t, S2, run("mumbai", 3, 4), p, hash{})
	second, _ := mustEncode(t, S2, run("mumbai", 5, 5), p, hashOf(first))
	var d decoder
	a, err := d.decode(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.decode(second)
	if err != nil {
		t.Fatal(err)
	}
	x, y, z := &a.frame.Transactions[0], &a.frame.Transactions[1], &b.frame.Transactions[0]
	if x.Rows[0].Table != z.Rows[0].Table {
		t.Error("equal shapes of two frames are two tables")
	}
	for _, other := range []*change.Transaction{y, z} {
		if reflect.ValueOf(x.Seen).Pointer() != reflect.ValueOf(other.Seen).Pointer() {
			t.Errorf("transactions %d and %d do not share an equal seen vector", x.Seq, other.Seq)
		}
	}
	if b.previous != hashOf(first) {
		t.Error("the second frame does not name the first")
	}
}

func TestEncodingRefuses(t *testing.T) {
	big := func(n int) *change.Frame {
		f := run("mumbai", 1, 1)
		f.Transactions[0].Rows[0].New[2] = change.TextValue(strings.Repeat("x", n))
		return f
	}
	broken := func(change func(*change.Row)) *change.Frame {
		f := run("mumbai", 1, 1)
		change(&f.Transactions[0].Rows[0])
		return f
	}
	tests := []struct {
		name  string
		frame *change.Frame
		want  string
	}{
		{"a row beyond the limit of a body", big(maxBodyBytes), "public.orders"},
		{"no table", broken(func(r *change.Row) { r.Table = nil }), "without table"},
		{"a short image", broken(func(r *change.Row) { r.New = r.New[:2] }), "2 values for 5 columns"},
		{"an insert with an old image", broken(func(r *change.Row) { r.Old = r.New }), "images do not fit"},
		{"an unknown operation", broken(func(r *change.Row) { r.Op = 7 }), "images do not fit"},
		{"an unknown state", broken(func(r *change.Row) { r.New[0].State = 3 }), "no known state"},
		{"a shape that was not sealed", broken(func(r *change.Row) {
			unsealed := *r.Table
			unsealed.ID = 1
			r.Table = &unsealed
		}), "fingerprint"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := newEncoder(S2).encode(test.frame, hash{}, progress{last: 1})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to say %q", err, test.want)
			}
		})
	}
}

func TestDecodingRefuses(t *testing.T) {
	good, _ := mustEncode(t, S2, run("mumbai", 1, 3), progress{}, hash{})
	edited := func(edit func(*streampb.Envelope)) []byte {
		e, err := openPayload(good)
		if err != nil {
			t.Fatal(err)
		}
		edit(e)
		b, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return append(append([]byte(magic), formatMajor, formatMinor), b...)
	}
	body := func(b ...byte) []byte {
		return edited(func(e *streampb.Envelope) { e.Codec, e.Body, e.BodySize = streampb.Codec_NONE, b, uint64(len(b)) })
	}
	newer := bytes.Clone(good)
	newer[4] = 2
	tests := []struct {
		name    string
		payload []byte
		class   error
		want    string
	}{
		{"nothing", nil, errFormat, "not a Concord frame"},
		{"something else", []byte("GET / HTTP/1.1"), errFormat, "not a Concord frame"},
		{"a newer major version", newer, change.ErrRefused, "upgrade"},
		{"half an envelope", good[:len(good)/2], errFormat, "envelope"},
		{"an unknown compression", edited(func(e *streampb.Envelope) { e.Codec = 9 }), change.ErrRefused, "upgrade"},
		{"a lying size", edited(func(e *streampb.Envelope) { e.BodySize = 1 << 60 }), errFormat, "a body of"},
		{"another lying size", edited(func(e *streampb.Envelope) { e.BodySize++ }), errFormat, "promised"},
		{"a wrong seq", edited(func(e *streampb.Envelope) { e.Last, e.Complete = 4, 4 }), errFormat, "does not hold"},
		{"a wrong complete seq", edited(func(e *streampb.Envelope) { e.Complete = 2 }), errFormat, "complete"},
		{"half a hash", edited(func(e *streampb.Envelope) { e.Previous = []byte{1} }), errFormat, "hash"},
		{"no origin", edited(func(e *streampb.Envelope) { e.Origin = "" }), errFormat, "origin"},
		{"a shape without its fingerprint", edited(func(e *streampb.Envelope) { e.Shapes[0].Id++ }), errFormat, "fingerprint"},
		{"an unknown table", edited(func(e *streampb.Envelope) { e.Shapes = nil }), errFormat, "table 0 of 0"},
		{"a million rows in no bytes", body(1, 0xc0, 0x84, 0x3d, 0, 0, 0, 0, 0, 0, 0, 0, 0), errFormat, "rows in"},
		{"a number without end", body(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), errFormat, "64 bits"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := (&decoder{}).decode(test.payload)
			if !errors.Is(err, test.class) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %v that says %q", err, test.class, test.want)
			}
		})
	}
}

// The golden files hold payloads as this version writes them. They must be read
// for ever; a change of format that needs -update needs a new version too.
func TestGoldenFrames(t *testing.T) {
	all := frame(tx("mumbai", 7), change.Transaction{
		Origin: "mumbai", Epoch: 1, Seq: 8, HLC: tx("mumbai", 8).HLC, Position: "0/2000",
		CommitTime: time.UnixMicro(1_767_000_000_123_456).UTC(),
		Seen:       change.Seen{"elsewhere": 2, "pune": 40},
		Rows: []change.Row{
			{Table: orders, Op: change.Update, Old: order(7, "new"), New: order(7, "paid")},
			{Table: orders, Op: change.Update, New: []change.Value{change.TextValue("7"), {}, {}, {}, {}}},
			{Table: orders, Op: change.Delete, Old: order(7, "paid")},
			{Table: orders, Op: change.Truncate},
		},
	}, change.Transaction{
		Origin: "mumbai", Epoch: 1, Seq: 9, HLC: tx("mumbai", 9).HLC, Position: "0/2100",
		CommitTime: time.UnixMicro(1_767_000_000_123_456).UTC(), Heartbeat: time.UnixMicro(1_767_000_000_120_000).UTC(),
	})
	all.Transactions = append(all.Transactions, part("mumbai", 10, 0, true))
	rules := run("mumbai", 7, 7)
	rules.Rules = change.Rules{
		{Match: []string{"public.audit_*", "*.schema_migrations"}, Text: "not replicated"},
		{Match: []string{"public.*"}, Hash: 0x1122334455667788, Text: "last_write_wins"},
	}
	xids := frame(tx("mumbai", 7), tx("mumbai", 8), tx("mumbai", 9))
	xids.Transactions[0].XID, xids.Transactions[1].XID = 1<<32-1, 3
	before := progress{last: 6, tail: change.Tail{Epoch: 1, Seq: 6, Position: "0/1180", Seen: change.Seen{"elsewhere": 2}}}
	tests := []struct {
		file   string
		frame  *change.Frame
		before progress
	}{
		{"everything.golden", all, before},
		{"clock.golden", clockOnly("mumbai", 1<<40), before},
		{"rules.golden", rules, before},
		{"xids.golden", xids, before},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			payload, _ := mustEncode(t, Uncompressed, test.frame, test.before, hash{1, 2, 3})
			name := "testdata/" + test.file
			if *update {
				if err := os.WriteFile(name, []byte(hex.Dump(payload)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.Dump(payload); got != string(golden) {
				t.Errorf("encoded as\n%s\nwant\n%s", got, golden)
			}
			m, err := (&decoder{}).decode(undump(t, string(golden)))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(normal(m.frame), normal(test.frame)) {
				t.Errorf("decoded as %+v", m.frame)
			}
		})
	}
}

// undump is the inverse of hex.Dump.
func undump(t *testing.T, dump string) []byte {
	var out []byte
	for line := range strings.Lines(dump) {
		if len(line) < 60 {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line[10:58]), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func FuzzDecode(f *testing.F) {
	for _, c := range []Compression{S2, Zstd, Uncompressed} {
		payload, _ := mustEncode(f, c, run("mumbai", 1, 5), progress{}, hash{})
		f.Add(payload)
	}
	payload, _ := mustEncode(f, Uncompressed, frame(part("mumbai", 1, 0, true)), progress{}, hash{1})
	f.Add(payload)
	payload, _ = mustEncode(f, Uncompressed, clockOnly("mumbai", 5), progress{}, hash{1})
	f.Add(payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := (&decoder{}).decode(payload)
		if err != nil {
			return
		}
		// What is read can be written, and reads back the same.
		again, err := newEncoder(Uncompressed).encode(m.frame, m.previous, m.after)
		if err != nil {
			t.Fatalf("decoded but not encodable: %v", err)
		}
		n, err := (&decoder{}).decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := describe(n.frame), describe(m.frame); a != b {
			t.Fatalf("it reads back as\n%s\nafter\n%s", a, b)
		}
	})
}

// FuzzBody mutates the packed body alone, past the envelope and the compression.
func FuzzBody(f *testing.F) {
	var w bodyWriter
	body, err := w.pack(run("mumbai", 1, 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(body))
	f.Add(binary.AppendUvarint(nil, 1<<40))
	f.Fuzz(func(t *testing.T, body []byte) {
		frame := &change.Frame{}
		r := bodyReader{body: string(body), tables: []*change.Table{orders}}
		if err := r.unpack(frame, 1); err != nil && !errors.Is(err, errFormat) {
			t.Fatalf("an error of no class: %v", err)
		}
	})
}

// benchmarkFrame holds 500 transactions of 4 rows each, as pgbench makes them.
func benchmarkFrame() (*change.Frame, int) {
	f := run("mumbai", 1, 500)
	rows := 0
	for i := range f.Transactions {
		t := &f.Transactions[i]
		for j := range 3 {
			t.Rows = append(t.Rows, change.Row{Table: orders, Op: change.Update, Old: order(i*7+j, "new"), New: order(i*7+j, "paid")})
		}
		rows += len(t.Rows)
	}
	return f, rows
}

func BenchmarkEncode(b *testing.B) {
	for name, c := range map[string]Compression{"s2": S2, "zstd": Zstd, "none": Uncompressed} {
		b.Run(name, func(b *testing.B) {
			f, rows := benchmarkFrame()
			after, err := progress{}.advance(f)
			if err != nil {
				b.Fatal(err)
			}
			e := newEncoder(c)
			b.ReportAllocs()
			var size int
			for b.Loop() {
				payload, err := e.encode(f, hash{}, after)
				if err != nil {
					b.Fatal(err)
				}
				size = len(payload)
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(size)/float64(rows), "bytes/row")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, c := range map[string]Compression{"s2": S2, "zstd": Zstd, "none": Uncompressed} {
		b.Run(name, func(b *testing.B) {
			f, rows := benchmarkFrame()
			payload, _ := mustEncode(b, c, f, progress{}, hash{})
			var d decoder
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.decode(payload); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// describe prints a frame whole, tables by name.
func describe(f *change.Frame) string {
	s := fmt.Sprintf("%s %s %d %d\n", f.Cluster, f.Origin, f.Epoch, f.Clock)
	for i := range f.Transactions {
		t := f.Transactions[i]
		rows := t.Rows
		t.Rows = nil
		s += fmt.Sprintf("%+v\n", t)
		for _, r := range rows {
			s += fmt.Sprintf("  %s %s %q %q\n", r.Table.QualifiedName(), r.Op, r.Old, r.New)
		}
	}
	return s
}
