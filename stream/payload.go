package stream

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/proto"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream/streampb"
)

// A payload is magic, major, minor, envelope. A newer minor only adds fields that
// may be ignored; a newer major is refused.
const (
	magic       = "CNCD"
	formatMajor = 1
	formatMinor = 0
	preamble    = len(magic) + 2
)

// errFormat marks a payload that is not a frame, or a damaged one.
var errFormat = errors.New("malformed frame")

// hash is the XXH3-128 of a stored payload, big endian. The zero hash stands
// before the first frame of a stream.
type hash [16]byte

func hashOf(payload []byte) hash { return xxh3.Hash128(payload).Bytes() }

func (h hash) String() string { return hex.EncodeToString(h[:]) }

// parseHash reads what String wrote.
func parseHash(s string) (hash, error) {
	var h hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%w: hash %q", errFormat, s)
	}
	copy(h[:], b)
	return h, nil
}

// openPayload checks magic and version and parses the envelope. The body in it is
// still packed.
func openPayload(payload []byte) (*streampb.Envelope, error) {
	if len(payload) < preamble || string(payload[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: not a Concord frame", errFormat)
	}
	if major := payload[len(magic)]; major != formatMajor {
		return nil, fmt.Errorf("%w: the frame is of format version %d, this agent reads version %d: upgrade the older agent",
			change.ErrRefused, major, formatMajor)
	}
	e := &streampb.Envelope{}
	if err := proto.Unmarshal(payload[preamble:], e); err != nil {
		return nil, fmt.Errorf("%w: envelope: %w", errFormat, err)
	}
	return e, checkEnvelope(e)
}

func checkEnvelope(e *streampb.Envelope) error {
	switch {
	case e.Cluster == "" || e.Origin == "":
		return fmt.Errorf("%w: it names no cluster or origin", errFormat)
	case len(e.Previous) != 0 && len(e.Previous) != len(hash{}):
		return fmt.Errorf("%w: previous hash of %d bytes", errFormat, len(e.Previous))
	case e.First == 0 || e.Last+1 == 0 || e.First > e.Last+1:
		return fmt.Errorf("%w: seq %d to %d", errFormat, e.First, e.Last)
	case e.Complete > e.Last || e.Last-e.Complete > 1:
		return fmt.Errorf("%w: complete to seq %d but it ends at %d", errFormat, e.Complete, e.Last)
	}
	return nil
}

// checkOwner verifies that a frame belongs to the stream it was found in.
func checkOwner(e *streampb.Envelope, cluster string, origin change.Site) error {
	if e.Cluster != cluster || change.Site(e.Origin) != origin {
		return fmt.Errorf("%w: the frame belongs to site %q of cluster %q, not to site %q of cluster %q",
			change.ErrRefused, e.Origin, e.Cluster, origin, cluster)
	}
	return nil
}

// previousOf returns the hash the frame names as its predecessor's; zero when it
// is the first of its stream.
func previousOf(e *streampb.Envelope) hash {
	var h hash
	copy(h[:], e.Previous)
	return h
}
