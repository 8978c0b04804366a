package stream

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-db/concord/internal/change"
)

// RelayState is what a relay is doing.
type RelayState string

// The states of a relay.
const (
	RelayConnecting  RelayState = "connecting"  // not connected yet since the start
	RelayStreaming   RelayState = "streaming"   // what the origin stores arrives
	RelayRewound     RelayState = "rewound"     // the origin lost its stream's end and has not published it again yet
	RelayUnreachable RelayState = "unreachable" // the origin's bus, its stream or the own bus does not answer
	RelayFull        RelayState = "full"        // the copy is at its limit; nothing is lost while the origin keeps the rest
	RelayNeedsCopy   RelayState = "needs_copy"  // the origin's stream does not continue the copy
	RelayRefused     RelayState = "refused"     // something must be put right first, see the reason
)

// RelayStatus is how far a relay is.
type RelayStatus struct {
	Origin change.Site
	State  RelayState
	Reason string    // for a person; "" while streaming
	Since  time.Time // when State began

	StoredSeq uint64 // last complete transaction in the copy
	OriginSeq uint64 // last complete transaction in the origin's stream, when it was last asked
	// PendingMessages and PendingBytes are what the origin held beyond the copy when
	// it was last asked. Bytes are estimated by the mean size of its messages.
	PendingMessages uint64
	PendingBytes    uint64

	LastMessage time.Time // when a frame was last stored here; zero since the start
	Asked       time.Time // when the origin last told how far it is; zero: never
}

// relayStatus guards a RelayStatus.
type relayStatus struct {
	mu       sync.Mutex
	s        RelayStatus
	sequence uint64 // of the last stored message in the origin's stream
}

func (r *relayStatus) set(s RelayStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s = s
}

func (r *relayStatus) get() RelayStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s
}

// enter changes the state and reports whether it is another one.
func (r *relayStatus) enter(s RelayState, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.s.State != s
	if changed {
		r.s.State, r.s.Since = s, time.Now()
	}
	r.s.Reason = reason
	return changed
}

// stopped reports whether the relay was stopped by what it found, not by the
// connection. It stays in that state until it gets on.
func (r *relayStatus) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s.State == RelayFull || r.s.State == RelayNeedsCopy || r.s.State == RelayRefused
}

// getOnLocked ends such a state, or any other. REQUIRES: r.mu is held.
func (r *relayStatus) getOnLocked() {
	if r.s.State != RelayStreaming && r.s.State != RelayRewound {
		r.s.State, r.s.Since, r.s.Reason = RelayStreaming, time.Now(), ""
	}
}

// found takes over what the copy holds at the start of a session.
func (r *relayStatus) found(l label) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s.StoredSeq, r.sequence = l.complete, l.originSequence
	r.s.OriginSeq = max(r.s.OriginSeq, l.complete)
}

// stored counts one message of the copy.
func (r *relayStatus) stored(l label, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s.StoredSeq, r.sequence = l.complete, l.originSequence
	r.s.OriginSeq = max(r.s.OriginSeq, l.complete)
	r.s.LastMessage = time.Now()
	r.getOnLocked()
	if r.s.PendingMessages > 0 {
		r.s.PendingMessages--
		r.s.PendingBytes -= min(r.s.PendingBytes, uint64(size))
	}
	if r.s.PendingMessages == 0 {
		r.s.PendingBytes = 0
	}
}

// behind takes the state of the origin's stream and reports whether it holds more
// than the copy.
func (r *relayStatus) behind(s jetstream.StreamState) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s.Asked = time.Now()
	r.s.PendingMessages, r.s.PendingBytes = 0, 0
	if s.LastSeq <= r.sequence || s.Msgs == 0 {
		r.getOnLocked()
		return false
	}
	r.s.PendingMessages = min(s.LastSeq-r.sequence, s.Msgs)
	r.s.PendingBytes = r.s.PendingMessages * (s.Bytes / s.Msgs)
	return true
}

// origin takes how far the origin is.
func (r *relayStatus) origin(l label) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s.OriginSeq = max(l.complete, r.s.StoredSeq)
}
