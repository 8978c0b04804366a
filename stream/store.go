package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/concord-db/concord/internal/change"
)

// DefaultMaxBytes is the size limit of a stream unless something else is said.
const DefaultMaxBytes = 8 << 30

// Keys of a stream's metadata.
const (
	metaFormat  = "concord-format"
	metaCluster = "concord-cluster"
	metaOrigin  = "concord-origin"
	metaID      = "concord-id" // of this incarnation of the stream
)

// store describes a JetStream stream that holds frames.
type store struct {
	bus      *Bus
	name     string
	subject  string // the beginning of its subject; each run of its writer adds a token
	cluster  string
	origin   change.Site
	maxBytes int64
}

func (s store) config(subject string) jetstream.StreamConfig {
	maxBytes := s.maxBytes
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	return jetstream.StreamConfig{
		Name:        s.name,
		Description: fmt.Sprintf("Concord: frames of site %s, cluster %s", s.origin, s.cluster),
		Subjects:    []string{subject},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		// A full stream refuses the new: the source's log holds it. It never forgets
		// the old, which some reader may not have seen.
		Discard:    jetstream.DiscardNew,
		MaxBytes:   maxBytes,
		MaxMsgs:    -1,
		Replicas:   s.bus.replicas,
		DenyDelete: true,
		// DenyPurge would be right but for trimming, which is a purge up to a sequence
		// by the agent. Any other purge is found by the chain of hashes.
		DenyPurge:  false,
		Duplicates: time.Second, // unused: nothing is published with a message id
		Metadata: map[string]string{
			metaFormat:  fmt.Sprint(formatMajor),
			metaCluster: s.cluster,
			metaOrigin:  string(s.origin),
			metaID:      nuid.Next(),
		},
	}
}

// open returns the stream, created when there is none. change.ErrRefused when
// there is a stream of that name that would lose or take what it must not.
func (s store) open(ctx context.Context) (jetstream.Stream, error) {
	stream, err := s.bus.stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.bus.createStream(ctx, s.config(s.subject+".none"))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = s.bus.stream(ctx, s.name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening stream %s: %w", s.name, classify(err))
	}
	if problems := s.problems(stream.CachedInfo().Config); len(problems) > 0 {
		return nil, fmt.Errorf("%w: stream %s is not fit to hold frames: %s; it was changed or made by someone else",
			change.ErrRefused, s.name, strings.Join(problems, "; "))
	}
	return stream, nil
}

// take makes subject the only one that the stream takes messages from. The limit
// on its size follows the configuration by the way, but for one that was let grow
// (Log.SetMaxBytes) and is still needed.
func (s store) take(ctx context.Context, subject string) error {
	stream, err := s.open(ctx)
	if err != nil {
		return err
	}
	c := stream.CachedInfo().Config
	c.Subjects = []string{subject}
	if s.maxBytes > c.MaxBytes || s.maxBytes != 0 && stream.CachedInfo().State.Bytes <= uint64(s.maxBytes)/2 {
		c.MaxBytes = s.maxBytes
	}
	if err := s.bus.updateStream(ctx, c); err != nil {
		return fmt.Errorf("taking stream %s over: %w", s.name, classify(err))
	}
	return nil
}

// problems lists what in a stream's configuration would lose acknowledged frames
// or let others in.
func (s store) problems(c jetstream.StreamConfig) []string {
	var list []string
	complain := func(bad bool, format string, args ...any) {
		if bad {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	complain(len(c.Subjects) != 1 || !strings.HasPrefix(c.Subjects[0], s.subject+"."), "its subjects are %q, not one below %q", c.Subjects, s.subject)
	complain(c.Metadata[metaCluster] != s.cluster || c.Metadata[metaOrigin] != string(s.origin),
		"it belongs to site %q of cluster %q", c.Metadata[metaOrigin], c.Metadata[metaCluster])
	complain(c.Metadata[metaFormat] != fmt.Sprint(formatMajor), "its format is version %q, not %d", c.Metadata[metaFormat], formatMajor)
	complain(c.Storage != jetstream.FileStorage, "it is in memory")
	complain(c.Retention != jetstream.LimitsPolicy, "its retention is %s, not limits", c.Retention)
	complain(c.Discard != jetstream.DiscardNew, "it discards old messages when it is full")
	complain(c.MaxAge != 0, "it forgets messages after %s", c.MaxAge)
	complain(c.MaxMsgs > 0, "it keeps only %d messages", c.MaxMsgs)
	complain(c.MaxMsgsPerSubject > 0, "it keeps only %d messages of a subject", c.MaxMsgsPerSubject)
	complain(c.NoAck, "it does not acknowledge")
	complain(c.PersistMode == jetstream.AsyncPersistMode, "it is written asynchronously (persist_mode async)")
	complain(c.AllowRollup, "it allows rollups")
	complain(c.AllowMsgTTL, "its messages may expire")
	complain(c.Sealed, "it is sealed")
	complain(c.Mirror != nil || len(c.Sources) > 0, "it is fed by another stream")
	complain(c.SubjectTransform != nil, "it transforms subjects")
	return list
}

// classify gives JetStream's errors the class that agents act on.
func classify(err error) error {
	switch code := errAPI(err); {
	case code == codeStoreFailed && strings.Contains(err.Error(), "maximum bytes exceeded"):
		return fmt.Errorf("%w: %w; it has room again when every site has applied what it holds, and until then the database keeps the rest: "+
			"bring back the site that is away, or raise stream_max_bytes and restart the agents", change.ErrStreamFull, err)
	case code == codeInsufficient, code == codeStorageExceeded:
		return fmt.Errorf("%w: %w; the database keeps the rest: give the bus more storage, or bring back the site that is away", change.ErrStreamFull, err)
	}
	return err
}

// Codes of the server that the client has no names for.
const (
	codeInsufficient    jetstream.ErrorCode = 10023
	codeStorageExceeded jetstream.ErrorCode = 10047
	codeStoreFailed     jetstream.ErrorCode = 10077
)
