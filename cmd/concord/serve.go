package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/httpapi"
	"github.com/concord-db/concord/internal/site"
)

// runSite runs a site's agents and serves what they know, until ctx ends.
func runSite(ctx context.Context, cfg *config.Config, listen string, s *site.Site, log *slog.Logger) error {
	g, ctx := errgroup.WithContext(ctx)
	view := &site.View{Site: s, Version: version, Started: time.Now()}
	g.Go(func() error {
		return httpapi.Serve(ctx, listen, httpapi.NewHandler(view, cfg.Defaults.MaxLag), log)
	})
	g.Go(func() error { return s.Run(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
