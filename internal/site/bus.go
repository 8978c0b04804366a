package site

import (
	"context"
	"fmt"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/stream"
)

// openBus starts the embedded bus, or connects to the operator's. Only what the
// configuration gets wrong, or another agent that has the directory, is an error.
func (s *Site) openBus(ctx context.Context) (*stream.Bus, func(), error) {
	if !s.self.Bus.Embedded() || s.role == Apply {
		b, err := retry(ctx, s, "the bus", func() (*stream.Bus, error) { return s.dial(ctx, s.self, "concord "+string(s.role)) })
		if err != nil {
			return nil, nil, err
		}
		return b, b.Close, nil
	}
	server := stream.NewServer("concord-"+string(s.self.Name), s.self.Bus.Address(), s.self.Data, stream.ServerOptions{Logger: s.log})
	if err := server.Start(ctx); err != nil {
		return nil, nil, fmt.Errorf("starting the bus: %w", err)
	}
	b, err := server.Connect(ctx, "concord")
	if err != nil {
		server.Close()
		return nil, nil, fmt.Errorf("connecting to the embedded bus: %w", err)
	}
	return b, func() { b.Close(); server.Close() }, nil
}

// dial connects to the bus of a site: this one's or a peer's.
func (s *Site) dial(ctx context.Context, to config.Site, name string) (*stream.Bus, error) {
	if to.Bus.Embedded() {
		return stream.Connect(ctx, stream.Dial{URL: to.Bus.Address(), Name: name, Lasting: to.Name == s.self.Name})
	}
	d := stream.Dial{
		URL: to.Bus.URL(), Name: name, Credentials: to.Bus.Credentials, NkeySeed: to.Bus.NkeySeed,
		CA: to.Bus.CA, Certificate: to.Bus.Certificate, Key: to.Bus.Key,
	}
	if to.Name != s.self.Name {
		return stream.Connect(ctx, d)
	}
	return stream.ConnectExternal(ctx, d, stream.External{Replicas: to.Bus.Replicas, SyncAlways: to.Bus.SyncAlways, SyncInterval: to.Bus.SyncInterval, Logger: s.log})
}
