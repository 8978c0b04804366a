package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"

	"github.com/concord-db/concord/capture"
)

// payload is a compressed transaction that is being read, event by event: it may be far
// larger than what it was compressed to.
type payload struct {
	from   io.Reader
	close  func()
	header *replication.EventHeader // of the whole
}

// compressed begins to read a compressed transaction.
func (p *parser) compressed(ctx context.Context, data []byte) (capture.Event, bool, error) {
	fail := func(err error) (capture.Event, bool, error) {
		return capture.Event{}, false, fmt.Errorf("reading a compressed transaction at %s: %w", p.into.at.place(), err)
	}
	h := header(data)
	if p.into.skip || !p.into.open {
		return fail(errEvent)
	}
	algorithm, body := uint64(replication.ZSTD), []byte(nil)
	for rest := data[replication.EventHeaderSize:]; ; {
		if len(rest) == 0 {
			return fail(errEvent)
		}
		if rest[0] == replication.OTW_PAYLOAD_HEADER_END_MARK {
			body = rest[1:]
			break
		}
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return fail(errEvent)
		}
		if rest[0] == replication.OTW_PAYLOAD_COMPRESSION_TYPE_FIELD {
			algorithm = littleUint(rest[2 : 2+int(rest[1])])
		}
		rest = rest[2+int(rest[1]):]
	}
	pl := &payload{header: h, from: bytes.NewReader(body), close: func() {}}
	switch algorithm {
	case replication.ZSTD:
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return fail(err)
		}
		pl.from, pl.close = z, z.Close
	case replication.NONE:
	default:
		return fail(fmt.Errorf("it is compressed by the unknown method %d", algorithm))
	}
	p.payload = pl
	return p.continued(ctx)
}

// continued reads on in a compressed transaction, up to its end or to an event for
// capture.
func (p *parser) continued(ctx context.Context) (capture.Event, bool, error) {
	for {
		data, err := p.payload.next()
		if errors.Is(err, io.EOF) {
			err = errEvent // a commit comes before the end
		}
		if err != nil {
			p.endPayload()
			return capture.Event{}, false, fmt.Errorf("reading a compressed transaction at %s: %w", p.into.at.place(), err)
		}
		if p.into.skip && rowsType(replication.EventType(data[4])) {
			continue
		}
		ev, err := parse(p.inner, data)
		if err != nil {
			p.endPayload()
			return capture.Event{}, false, fmt.Errorf("reading a compressed transaction at %s: %w", p.into.at.place(), err)
		}
		switch e := ev.Event.(type) {
		case *replication.XIDEvent:
			p.into.advance(p.payload.header)
			p.endPayload()
		case *replication.QueryEvent:
			if k := classify(string(e.Query)).kind; k == statementCommit || k == statementRollback {
				p.into.advance(p.payload.header)
				p.endPayload()
			}
		}
		one, ok, err := p.take(ctx, ev)
		if err != nil {
			p.endPayload()
		}
		if ok || err != nil || p.payload == nil {
			return one, ok, err
		}
	}
}

func (p *parser) endPayload() {
	if p.payload != nil {
		p.payload.close()
		p.payload = nil
	}
}

// next reads one event.
func (pl *payload) next() ([]byte, error) {
	head := make([]byte, replication.EventHeaderSize)
	if _, err := io.ReadFull(pl.from, head); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[9:])
	if size < uint32(replication.EventHeaderSize) || size > 1<<30 {
		return nil, errEvent
	}
	var b bytes.Buffer
	b.Write(head)
	if _, err := io.CopyN(&b, pl.from, int64(size)-int64(replication.EventHeaderSize)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
