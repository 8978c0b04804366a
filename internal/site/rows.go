package site

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream"
)

// rowsTimeout bounds how long a site is waited for that is asked for rows.
const rowsTimeout = 10 * time.Second

// askRows asks another site to publish rows again; see apply.Options.Rows.
func (s *Site) askRows(ctx context.Context, of change.Site, requests []change.RowRequest) ([]change.RowReply, error) {
	to, ok := s.cfg.Site(of)
	if !ok {
		return nil, fmt.Errorf("%w: there is no site %s any more", change.ErrRefused, of)
	}
	requests, err := s.requestsTo(of, requests)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, rowsTimeout)
	defer cancel()
	bus, err := s.dial(ctx, to, "concord rows at "+string(s.self.Name))
	if err != nil {
		return nil, err
	}
	defer bus.Close()
	return stream.AskRows(ctx, bus, s.cfg.Cluster, of, requests)
}

// giveRows answers the other sites. What is not replicated from here is nobody's business.
func (s *Site) giveRows(give func(context.Context, []change.RowRequest) ([]change.RowReply, error)) func(context.Context, []change.RowRequest) ([]change.RowReply, error) {
	return func(ctx context.Context, requests []change.RowRequest) ([]change.RowReply, error) {
		for i := range requests {
			if name := requests[i].Table.QualifiedName(); !s.cfg.Replicated(name, s.self.Name) {
				return nil, fmt.Errorf("%w: table %s is not replicated from %s", change.ErrRefused, name, s.self.Name)
			}
		}
		return give(ctx, requests)
	}
}
