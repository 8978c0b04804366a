package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// InitOptions say how a site is prepared.
type InitOptions = site.InitOptions

// initLock is the advisory lock that one init at a time holds.
const initLock = 0x636f6e636f7264 // "concord"

// Init makes everything that Concord needs in this database: schema, publication,
// origins, slot, and the rows that say who it is. It may be run again: what is there
// and right stays as it is, and a publication follows the configuration. The report
// has one line for each thing done, none when all was there.
//
// It must be run by a role that owns the tables and may create replication slots
// and, on 16 and later, origins. A slot that is missing although this site was
// prepared before is change.ErrNeedsCopy unless opts.NewEpoch is set; a table that
// cannot be replicated is change.ErrRefused.
func (db *DB) Init(ctx context.Context, opts InitOptions) (report []string, err error) {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, initLock); err != nil {
		return nil, fmt.Errorf("waiting for another init: %w", err)
	}
	version, err := checkServer(ctx, conn)
	if err != nil {
		return nil, err
	}
	tables, err := loadCatalog(ctx, conn, db.opts.Tables)
	if err != nil {
		return nil, err
	}
	if err := refusal(tables.allProblems()); err != nil {
		return nil, err
	}
	row, err := readSite(ctx, conn)
	if err != nil {
		return nil, err
	}
	if row != nil {
		if err := db.checkOwner(row); err != nil {
			return nil, err
		}
	} else {
		report = append(report, "created schema "+controlSchema)
	}
	done, err := ensureSchema(ctx, conn, row)
	if err != nil {
		return nil, err
	}
	if done != "" {
		report = append(report, done)
	}
	done, err = ensurePublication(ctx, conn, tables)
	if err != nil {
		return nil, initError("preparing the publication", err)
	}
	if done != "" {
		report = append(report, done)
	}
	if version >= originFilter && !db.opts.MarkFirst {
		created, err := db.ensureOrigins(ctx, conn)
		if err != nil {
			return nil, initError("creating replication origins", err)
		}
		if created > 0 {
			report = append(report, fmt.Sprintf("created %d replication origins", created))
		}
	}
	if err := db.ensureRows(ctx, conn); err != nil {
		return nil, err
	}
	if opts.Role != "" {
		grants, err := db.grants(ctx, conn, opts.Role, tables)
		if err != nil {
			return nil, err
		}
		for _, sql := range grants {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return nil, initError("granting rights to "+opts.Role, err)
			}
		}
		report = append(report, fmt.Sprintf("granted the agents' rights to role %s", opts.Role))
	}
	done, err = db.ensureSlot(ctx, conn, row, opts.NewEpoch)
	if err != nil {
		return nil, err
	}
	if done != "" {
		report = append(report, done)
	}
	return report, nil
}

// initError tells what right is missing.
func initError(doing string, err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "42501" {
		return fmt.Errorf("%s: %w: %w; run concord init as the owner of the tables or a superuser", doing, change.ErrRefused, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ensureOrigins creates the replication origins of the probe and of each peer.
func (db *DB) ensureOrigins(ctx context.Context, conn *pgx.Conn) (created int64, err error) {
	names := []string{db.probeOrigin()}
	for _, p := range db.opts.Peers {
		for lane := range originLanes {
			names = append(names, db.originName(p, lane))
		}
	}
	tag, err := conn.Exec(ctx, `SELECT pg_replication_origin_create(n) FROM unnest($1::text[]) n
		WHERE NOT EXISTS (SELECT FROM pg_replication_origin o WHERE o.roname = n)`, names)
	return tag.RowsAffected(), err
}

// ensureRows writes the checkpoint of each peer and this site's heartbeat, so that
// later writes are updates.
func (db *DB) ensureRows(ctx context.Context, conn *pgx.Conn) error {
	for _, p := range db.opts.Peers {
		if _, err := conn.Exec(ctx, `INSERT INTO concord.checkpoint (origin, epoch, seq, hlc, applied_at)
			VALUES ($1, 0, 0, 0, now()) ON CONFLICT DO NOTHING`, string(p)); err != nil {
			return initError("writing the checkpoint of "+string(p), err)
		}
	}
	if _, err := conn.Exec(ctx, `INSERT INTO concord.heartbeat (site, beat) VALUES ($1, now()) ON CONFLICT DO NOTHING`, string(db.opts.Site)); err != nil {
		return initError("writing the heartbeat", err)
	}
	return nil
}

// ensureSlot creates the slot of a site that has none yet, or of a new epoch, and
// records where it begins.
func (db *DB) ensureSlot(ctx context.Context, conn *pgx.Conn, row *siteRow, newEpoch bool) (done string, err error) {
	name := db.slot()
	slot, err := readSlot(ctx, conn, name)
	if err != nil {
		return "", err
	}
	if row != nil && !newEpoch {
		if slot == nil {
			return "", checkSlot(nil, name, "", 0)
		}
		if why := slot.lost(); why != "" {
			return "", fmt.Errorf("%w: replication slot %s %s; %s", change.ErrNeedsCopy, name, why, newEpochRemedy)
		}
		return "", nil
	}
	if slot != nil {
		// A slot without a site row was left by an init that did not come to its end, or
		// by a schema that was dropped: nothing continues from it.
		if slot.Active {
			return "", standbyError(name, slot.ActivePID)
		}
		if _, err := conn.Exec(ctx, `SELECT pg_drop_replication_slot($1)`, name); err != nil {
			return "", initError("dropping slot "+name, err)
		}
	}
	begin, err := createSlot(ctx, conn, name)
	if err != nil {
		return "", err
	}
	repl, err := db.connectReplication(ctx)
	if err != nil {
		return "", err
	}
	system, timeline, _, err := identify(ctx, repl)
	if err = errors.Join(err, repl.Close(context.WithoutCancel(ctx))); err != nil {
		return "", err
	}
	epoch := uint32(1)
	if row != nil {
		epoch = row.epoch + 1
	}
	if _, err := conn.Exec(ctx, `INSERT INTO concord.site (cluster, site, epoch, slot, start_position, system, timeline, schema_version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, slot = excluded.slot, start_position = excluded.start_position,
			system = excluded.system, timeline = excluded.timeline`,
		db.opts.Cluster, string(db.opts.Site), epoch, name, begin.String(), system, timeline, schemaVersion); err != nil {
		return "", initError("recording the site", err)
	}
	return fmt.Sprintf("created replication slot %s at %s; epoch %d begins there", name, begin, epoch), nil
}

// createSlot creates the slot; it waits for the transactions that are running now.
func createSlot(ctx context.Context, conn *pgx.Conn, name string) (lsn, error) {
	// On 17 and later a standby may keep it in step, so that it survives a failover.
	failover := ""
	var version int
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return 0, fmt.Errorf("creating slot %s: %w", name, err)
	}
	if version >= 170000 {
		failover = ", failover => true"
	}
	var at string
	err := conn.QueryRow(ctx, `SELECT lsn::text FROM pg_create_logical_replication_slot($1, 'pgoutput'`+failover+`)`, name).Scan(&at)
	if err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == "53400" {
			return 0, fmt.Errorf("creating slot %s: %w: %w; raise max_replication_slots and restart the server", name, change.ErrRefused, err)
		}
		return 0, initError("creating slot "+name, err)
	}
	return parseLSN(at)
}
