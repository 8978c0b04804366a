package mysql

import (
	"context"
	"fmt"
	"strconv"

	folding "github.com/concord-db/concord/internal/collation"
)

// collation is one of the server's: the log names them by number.
type collation struct {
	name    string
	charset string
}

// loadCollations reads what the numbers mean.
func loadCollations(ctx context.Context, c *conn) (map[uint64]collation, error) {
	sql := "SELECT id, collation_name, character_set_name FROM information_schema.collations"
	if c.flavor == mariaDB {
		sql = "SELECT id, full_collation_name, character_set_name FROM information_schema.collation_character_set_applicability"
	}
	all := map[uint64]collation{}
	var bad error
	err := c.rows(ctx, sql, func(r []string) {
		if r[0] == "" {
			return
		}
		id, err := strconv.ParseUint(r[0], 10, 64)
		if err != nil {
			bad = err
		}
		all[id] = collation{name: r[1], charset: r[2]}
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, fmt.Errorf("reading the collations: %w", err)
	}
	return all, nil
}

// comparing names how a collation compares, alike on all servers.
func comparing(name string) string { return folding.Of(name) }
