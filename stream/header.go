package stream

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream/streampb"
)

// Headers of a stored message repeat what the envelope says, so that a stream can
// be searched without unpacking frames.
const (
	headerSeq      = "Concord-Seq"      // first-last
	headerComplete = "Concord-Complete" // last complete seq once this is stored
	headerEpoch    = "Concord-Epoch"
	headerHash     = "Concord-Hash"   // of the payload
	headerWriter   = "Concord-Writer" // who stored it

	// Only in copies:
	headerOriginSequence = "Concord-Origin-Sequence" // of the message in the origin's stream
	headerSplice         = "Concord-Splice"          // this frame does not follow the one before it by hash, but was compared
)

// label is what the headers of a message say.
type label struct {
	first, last, complete uint64
	epoch                 uint32
	hash                  hash
	writer                string
	originSequence        uint64
	splice                bool
}

// labelOf returns the label of a payload.
func labelOf(e *streampb.Envelope, payload []byte) label {
	return label{first: e.GetFirst(), last: e.GetLast(), complete: e.GetComplete(), epoch: e.GetEpoch(), hash: hashOf(payload)}
}

func (l label) header() nats.Header {
	h := nats.Header{
		headerSeq:      {strconv.FormatUint(l.first, 10) + "-" + strconv.FormatUint(l.last, 10)},
		headerComplete: {strconv.FormatUint(l.complete, 10)},
		headerEpoch:    {strconv.FormatUint(uint64(l.epoch), 10)},
		headerHash:     {l.hash.String()},
	}
	if l.originSequence != 0 {
		h[headerOriginSequence] = []string{strconv.FormatUint(l.originSequence, 10)}
	}
	if l.splice {
		h[headerSplice] = []string{"1"}
	}
	return h
}

// parseLabel reads the headers of a message. Missing or malformed ones are an
// error: the message was not stored by Concord.
func parseLabel(h nats.Header) (label, error) {
	var l label
	var err error
	number := func(key, s string, bits int) uint64 {
		n, e := strconv.ParseUint(s, 10, bits)
		if e != nil && err == nil {
			err = fmt.Errorf("%w: header %s is %q", errFormat, key, h.Get(key))
		}
		return n
	}
	first, last, _ := strings.Cut(h.Get(headerSeq), "-")
	l.first, l.last = number(headerSeq, first, 64), number(headerSeq, last, 64)
	l.complete = number(headerComplete, h.Get(headerComplete), 64)
	l.epoch = uint32(number(headerEpoch, h.Get(headerEpoch), 32))
	if s := h.Get(headerOriginSequence); s != "" {
		l.originSequence = number(headerOriginSequence, s, 64)
	}
	l.writer, l.splice = h.Get(headerWriter), h.Get(headerSplice) != ""
	if err != nil {
		return l, err
	}
	l.hash, err = parseHash(h.Get(headerHash))
	return l, err
}

// checkMessage verifies a message against its headers and its stream, and returns
// its envelope and label. It is what finds a damaged message.
func checkMessage(h nats.Header, payload []byte, cluster string, origin change.Site) (*streampb.Envelope, label, error) {
	l, err := parseLabel(h)
	if err != nil {
		return nil, l, err
	}
	if got := hashOf(payload); got != l.hash {
		return nil, l, fmt.Errorf("%w: the payload's hash is %s, stored with %s", errFormat, got, l.hash)
	}
	e, err := openPayload(payload)
	if err != nil {
		return nil, l, err
	}
	if err := checkOwner(e, cluster, origin); err != nil {
		return nil, l, err
	}
	if e.GetFirst() != l.first || e.GetLast() != l.last || e.GetComplete() != l.complete || e.GetEpoch() != l.epoch {
		return nil, l, fmt.Errorf("%w: headers and envelope differ", errFormat)
	}
	return e, l, nil
}
