package postgres

import (
	"context"
	"fmt"

	"github.com/concord-db/concord/internal/engine/site"
)

// Identity describes the database for status displays. A site that is not prepared
// has an empty Site and Epoch 0.
func (db *DB) Identity(ctx context.Context) (site.Identity, error) {
	id := site.Identity{Engine: "postgresql"}
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return id, err
	}
	defer closeConn(ctx, conn)
	slot, err := readSlot(ctx, conn, db.slot())
	if err != nil {
		return id, err
	}
	switch {
	case slot == nil:
		id.Log = "missing"
	case slot.lost() != "":
		id.Log = slot.lost()
	case slot.Active:
		id.Log = "active"
	default:
		id.Log = "inactive"
	}
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version'),
		coalesce((SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END
			FROM pg_replication_slots WHERE slot_name = $1), 0)::bigint`, db.slot()).Scan(&id.Version, &id.Retained)
	if err != nil {
		return id, fmt.Errorf("reading the server's identity: %w", err)
	}
	if id.Offset, id.Uncertainty, err = clockOffset(ctx, conn); err != nil {
		return id, err
	}
	row, err := readSite(ctx, conn)
	if err != nil || row == nil {
		return id, err
	}
	id.Cluster, id.Site, id.Epoch = row.cluster, row.site, row.epoch
	return id, nil
}
