package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// ServeClock tells whoever asks what time it is at site, until ctx ends.
func ServeClock(ctx context.Context, b *Bus, cluster string, site change.Site) error {
	return serve(ctx, b, subject(cluster, site, "clock"), func(context.Context, []byte) []byte {
		reply, err := json.Marshal(clockReply{Micros: time.Now().UnixMicro()})
		if err != nil {
			return nil
		}
		return reply
	})
}

type clockReply struct {
	Micros int64 `json:"micros"`
}

// ClockReading is what a measurement of another site's clock found.
type ClockReading struct {
	// Offset is how far the other clock is ahead of ours; it is known to RTT/2.
	Offset time.Duration
	// RTT is the time of the round trip that the offset was taken from: the
	// shortest one.
	RTT time.Duration
}

// clockSamples is how many round trips a measurement makes.
const clockSamples = 5

// MeasureClock compares the clock of the agent at site with ours, over b, a
// connection to that site's bus.
func MeasureClock(ctx context.Context, b *Bus, cluster string, site change.Site) (ClockReading, error) {
	var best ClockReading
	for i := range clockSamples {
		reading, err := sampleClock(ctx, b, cluster, site)
		if err != nil {
			return ClockReading{}, fmt.Errorf("comparing clocks with site %s: %w", site, err)
		}
		if i == 0 || reading.RTT < best.RTT {
			best = reading
		}
	}
	return best, nil
}

// sampleClock takes the other clock as read in the middle of the round trip.
func sampleClock(ctx context.Context, b *Bus, cluster string, site change.Site) (ClockReading, error) {
	var reply clockReply
	sent := time.Now()
	if err := ask(ctx, b, subject(cluster, site, "clock"), struct{}{}, &reply); err != nil {
		return ClockReading{}, err
	}
	rtt := time.Since(sent)
	return ClockReading{Offset: time.UnixMicro(reply.Micros).Sub(sent.Add(rtt / 2)), RTT: rtt}, nil
}
