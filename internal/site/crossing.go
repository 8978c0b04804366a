package site

import (
	"context"
	"fmt"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/crossing"
	"github.com/concord-db/concord/internal/engine"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// crosses prepares the translation of what sites of other engines send. It looks at tables
// through an engine of its own, which knows those too that only others write.
func (s *Site) crosses(here *crossing.Site) error {
	dsn, err := s.self.ConnString()
	if err != nil {
		return err
	}
	names := s.cfg.NamesAt(s.self.Name)
	tables, err := engine.Open(dsn, enginesite.Options{
		Site: s.self.Name, Cluster: s.cfg.Cluster, Peers: s.cfg.Peers(s.self.Name), Logger: s.log,
		Tables: func(local string) bool {
			table, ok := names.Cluster(local)
			if !ok {
				return false
			}
			rule, ok := s.cfg.Rule(table)
			return ok && !rule.Excluded
		},
	})
	if err != nil {
		return err
	}
	policy, err := s.policies()
	if err != nil {
		return err
	}
	s.tables = tables
	s.crossing = crossing.NewPeers(s.self.DSN.Engine(), here, crossing.New(tables, names, true), policy)
	return nil
}

func (s *Site) closeCrossing(ctx context.Context) {
	if s.tables != nil {
		s.tables.Close(ctx)
	}
}

// translated is the log of a peer with its rows as the tables here have them.
func (s *Site) translated(peer change.Site, log apply.Log) apply.Log {
	if s.crossing == nil {
		return log
	}
	return s.crossing.Log(peer, s.engineOf(peer), log)
}

// engineOf names the engine of a site.
func (s *Site) engineOf(peer change.Site) string {
	site, _ := s.cfg.Site(peer)
	return site.DSN.Engine()
}

// requestsTo gives requests for rows as a peer has the rows.
func (s *Site) requestsTo(peer change.Site, requests []change.RowRequest) ([]change.RowRequest, error) {
	if s.crossing == nil {
		return requests, nil
	}
	out, err := s.crossing.Requests(peer, s.engineOf(peer), requests)
	if err != nil {
		return nil, fmt.Errorf("translating requests: %w", err)
	}
	return out, nil
}
