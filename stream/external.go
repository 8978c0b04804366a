package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/concord-db/concord/internal/change"
)

// serverSyncInterval is how long a NATS server keeps acknowledged messages in
// memory unless its operator said otherwise.
const serverSyncInterval = 2 * time.Minute

// External says how an operator's own NATS keeps what it acknowledges; a client
// cannot ask it.
type External struct {
	// Replicas of each stream: 0 is 1. Three need a cluster.
	Replicas int
	// SyncAlways is the operator's word that every server of it has
	// "sync_interval: always".
	SyncAlways bool
	// SyncInterval is the servers' sync_interval without SyncAlways: 0 is NATS'
	// default of two minutes.
	SyncInterval time.Duration
	Logger       *slog.Logger // nil: silent
}

// ConnectExternal connects to an operator's NATS and checks that it can carry a
// site's streams. change.ErrRefused when it cannot; what may lose acknowledged
// frames in a power failure is logged as a warning and makes SyncDelay greater
// than 0. The caller closes the Bus.
func ConnectExternal(ctx context.Context, d Dial, e External) (*Bus, error) {
	d.Lasting = true
	b, err := Connect(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := b.checkExternal(ctx, e); err != nil {
		b.Close()
		return nil, fmt.Errorf("checking the bus at %s: %w", redact(d.urls()), err)
	}
	return b, nil
}

func (b *Bus) checkExternal(ctx context.Context, e External) error {
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := brief(ctx)
	defer cancel()
	_, err := b.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: JetStream is not enabled: add \"jetstream {}\" to the server's configuration and allow it to the account", change.ErrRefused)
	case err != nil:
		return fmt.Errorf("asking for JetStream: %w", err)
	}
	if int(b.nc.MaxPayload()) < MaxFrameBytes+headerRoom {
		return fmt.Errorf("%w: max_payload is %d bytes: set it to %d in the server's configuration",
			change.ErrRefused, b.nc.MaxPayload(), busPayload)
	}
	if b.nc.MaxPayload() < busPayload {
		e.Logger.Warn("the bus has a small max_payload: a row beyond it stops the site",
			"max_payload", b.nc.MaxPayload(), "wanted", busPayload)
	}
	b.replicas = max(e.Replicas, 1)
	if e.SyncAlways {
		return nil
	}
	if b.syncDelay = e.SyncInterval; b.syncDelay == 0 {
		b.syncDelay = serverSyncInterval
	}
	e.Logger.Warn("the bus may acknowledge frames before they are on disk: set \"sync_interval: always\" in its jetstream block",
		"sync_interval", b.syncDelay)
	return nil
}
