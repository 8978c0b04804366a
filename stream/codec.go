package stream

import (
	"fmt"
	"maps"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream/streampb"
)

// Compression is how the body of a frame is packed. Readers know all of them.
type Compression uint8

// The compressions. S2 costs next to nothing and is the default; Zstd is smaller
// where the link between sites is narrow.
const (
	S2 Compression = iota
	Zstd
	Uncompressed
)

// smallBody is not worth compressing.
const smallBody = 128

// encoder turns frames into payloads. One goroutine uses it at a time.
type encoder struct {
	compression Compression
	zstd        *zstd.Encoder
	body        bodyWriter
	packed      []byte
}

func newEncoder(c Compression) *encoder { return &encoder{compression: c} }

// encode returns the payload of f, which the caller owns. previous is the hash of
// the payload before it, after is where the stream stands once f is stored.
func (e *encoder) encode(f *change.Frame, previous hash, after progress) ([]byte, error) {
	body, err := e.body.pack(f)
	if err != nil {
		return nil, err
	}
	envelope := &streampb.Envelope{
		Cluster: f.Cluster, Origin: string(f.Origin), Epoch: f.Epoch, Clock: f.Clock,
		First: after.last + 1, Last: after.last, Complete: after.tail.Seq,
		Shapes: e.body.shapes.used, BodySize: uint64(len(body)), Rules: rulesMessages(f.Rules),
		Xids: xidsOf(f.Transactions),
	}
	if previous != (hash{}) {
		envelope.Previous = previous[:]
	}
	n := len(f.Transactions)
	if n > 0 {
		envelope.First = f.Transactions[0].Seq
	}
	if n == 0 || f.Transactions[n-1].More {
		envelope.Tail = encodeTail(after.tail)
	}
	if envelope.Codec, envelope.Body, err = e.compress(body); err != nil {
		return nil, err
	}
	payload := make([]byte, 0, preamble+proto.Size(envelope))
	payload = append(append(payload, magic...), formatMajor, formatMinor)
	payload, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(payload, envelope)
	if err != nil {
		return nil, fmt.Errorf("encoding the envelope: %w", err)
	}
	return payload, nil
}

func (e *encoder) compress(body []byte) (streampb.Codec, []byte, error) {
	if len(body) < smallBody {
		return streampb.Codec_NONE, body, nil
	}
	codec := streampb.Codec_NONE
	switch e.compression {
	case S2:
		codec = streampb.Codec_S2
		if n := s2.MaxEncodedLen(len(body)); cap(e.packed) < n {
			e.packed = make([]byte, n)
		}
		e.packed = s2.Encode(e.packed[:cap(e.packed)], body)
	case Zstd:
		if e.zstd == nil {
			var err error
			if e.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)); err != nil {
				return 0, nil, fmt.Errorf("preparing zstd: %w", err)
			}
		}
		codec = streampb.Codec_ZSTD
		e.packed = e.zstd.EncodeAll(body, e.packed[:0])
	default:
		return codec, body, nil
	}
	if len(e.packed) >= len(body) {
		return streampb.Codec_NONE, body, nil
	}
	return codec, e.packed, nil
}

func encodeTail(t change.Tail) *streampb.Tail {
	p := &streampb.Tail{Position: string(t.Position)}
	for _, site := range slices.Sorted(maps.Keys(t.Seen)) {
		p.Seen = append(p.Seen, &streampb.Seen{Origin: string(site), Seq: t.Seen[site]})
	}
	return p
}

// message is a decoded payload.
type message struct {
	frame    *change.Frame
	previous hash
	// after is where the stream stands once this frame is stored, so far as the
	// frame itself tells: a part number is not known of an unfinished transaction.
	after progress
}

// decoder turns payloads into frames. Equal shapes of consecutive frames are the
// same *change.Table, and a seen vector is shared as long as it does not change.
// The texts of a frame share one backing string and its images one slab: whoever
// keeps a value for longer than the frame should clone it. One goroutine uses a
// decoder at a time.
type decoder struct {
	shapes shapeCache
	seen   change.Seen
	zstd   *zstd.Decoder
	// scratch receives an unpacked body before it becomes a string.
	scratch []byte
}

// maxScratch is the most memory a decoder keeps between frames.
const maxScratch = 4 << 20

// decode returns the frame in payload, which it does not keep. Whatever is wrong
// with the payload is an error, never a panic, and costs no more memory than a
// frame of its size may.
func (d *decoder) decode(payload []byte) (*message, error) {
	e, err := openPayload(payload)
	if err != nil {
		return nil, err
	}
	body, err := d.decompress(e)
	if err != nil {
		return nil, err
	}
	r := bodyReader{body: body, recent: d.seen}
	for _, s := range e.GetShapes() {
		t, err := d.shapes.table(s)
		if err != nil {
			return nil, err
		}
		r.tables = append(r.tables, t)
	}
	f := &change.Frame{Cluster: e.GetCluster(), Origin: change.Site(e.GetOrigin()), Epoch: e.GetEpoch(), Clock: e.GetClock(), Rules: parseRules(e.GetRules())}
	if err := r.unpack(f, e.GetFirst()); err != nil {
		return nil, err
	}
	if err := takeXIDs(f.Transactions, e.GetXids()); err != nil {
		return nil, err
	}
	d.seen = r.recent
	after, err := afterFrame(e, f)
	return &message{frame: f, previous: previousOf(e), after: after}, err
}

// afterFrame verifies that envelope and body tell the same story.
func afterFrame(e *streampb.Envelope, f *change.Frame) (progress, error) {
	p := progress{last: e.GetLast()}
	n := len(f.Transactions)
	if n == 0 && e.GetFirst() != e.GetLast()+1 ||
		n > 0 && (f.Transactions[0].Seq != e.GetFirst() || f.Transactions[n-1].Seq != e.GetLast()) {
		return p, fmt.Errorf("%w: the body does not hold seq %d to %d", errFormat, e.GetFirst(), e.GetLast())
	}
	for i := range f.Transactions {
		t := &f.Transactions[i]
		if i == 0 {
			p.tail.Seq, p.last, p.part = t.Seq-1, t.Seq, t.Part
		}
		if err := p.step(t); err != nil {
			return p, fmt.Errorf("%w: %w", errFormat, err)
		}
	}
	if p.incomplete() || n == 0 {
		p.tail.Seq = e.GetComplete()
		p.tail.Position = change.Position(e.GetTail().GetPosition())
		p.tail.Seen = change.Seen{}
		for _, s := range e.GetTail().GetSeen() {
			p.tail.Seen[change.Site(s.GetOrigin())] = s.GetSeq()
		}
	}
	if p.tail.Seq != e.GetComplete() {
		return p, fmt.Errorf("%w: complete to seq %d, the envelope says %d", errFormat, p.tail.Seq, e.GetComplete())
	}
	p.tail.Epoch, p.tail.Clock = f.Epoch, f.Clock
	return p, nil
}

func (d *decoder) decompress(e *streampb.Envelope) (string, error) {
	size, body := e.GetBodySize(), e.GetBody()
	if size > maxBodyBytes {
		return "", fmt.Errorf("%w: a body of %d bytes", errFormat, size)
	}
	var err error
	switch e.GetCodec() {
	case streampb.Codec_NONE:
	case streampb.Codec_S2:
		var n int
		if n, err = s2.DecodedLen(body); err != nil || uint64(n) != size {
			return "", fmt.Errorf("%w: an s2 body of %d bytes where %d were promised", errFormat, n, size)
		}
		body, err = s2.Decode(d.scratch[:cap(d.scratch)], body)
	case streampb.Codec_ZSTD:
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(maxBodyBytes))
			if err != nil {
				return "", fmt.Errorf("preparing zstd: %w", err)
			}
		}
		body, err = d.zstd.DecodeAll(body, d.scratch[:0])
	default:
		return "", fmt.Errorf("%w: the frame is compressed by codec %d, which this agent does not know: upgrade it",
			change.ErrRefused, e.GetCodec())
	}
	if err != nil {
		return "", fmt.Errorf("%w: unpacking the body: %w", errFormat, err)
	}
	if uint64(len(body)) != size {
		return "", fmt.Errorf("%w: a body of %d bytes where %d were promised", errFormat, len(body), size)
	}
	if e.GetCodec() != streampb.Codec_NONE && cap(body) <= maxScratch {
		d.scratch = body
	}
	return string(body), nil
}
