package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/change"
)

// slotState is a row of pg_replication_slots. Fields a server version does not have
// are zero.
type slotState struct {
	Name           string `json:"slot_name"`
	Plugin         string `json:"plugin"`
	Type           string `json:"slot_type"`
	Database       string `json:"database"`
	Active         bool   `json:"active"`
	ActivePID      int    `json:"active_pid"`
	RestartLSN     string `json:"restart_lsn"`
	ConfirmedFlush string `json:"confirmed_flush_lsn"`
	WALStatus      string `json:"wal_status"`
	SafeWALSize    *int64 `json:"safe_wal_size"`
	Conflicting    bool   `json:"conflicting"`         // 16
	Invalidation   string `json:"invalidation_reason"` // 17
	InactiveSince  string `json:"inactive_since"`      // 17
	Synced         bool   `json:"synced"`              // 17
}

// readSlot returns the named slot, or nil when there is none.
func readSlot(ctx context.Context, q querier, name string) (*slotState, error) {
	var s slotState
	// As one document, because every server version has other columns.
	err := q.QueryRow(ctx, `SELECT to_jsonb(s) FROM pg_replication_slots s WHERE slot_name = $1`, name).Scan(&s)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of slot %s: %w", name, err)
	}
	return &s, nil
}

const newEpochRemedy = "the other sites need a copy of this one afterwards: run concord init --new-epoch --site SITE for this one, then bring its data to them"

// lost says why the slot no longer holds the log it should; "" when it does.
func (s *slotState) lost() string {
	switch {
	case s.Invalidation != "":
		return "was invalidated (" + s.Invalidation + ")"
	case s.WALStatus == "lost":
		return "has lost log that it needed (max_slot_wal_keep_size)"
	case s.Conflicting:
		return "was invalidated by a conflict with recovery"
	case s.RestartLSN == "":
		return "holds no log"
	}
	return ""
}

// checkSlot makes sure that the slot can deliver everything after from.
func checkSlot(s *slotState, name, database string, from lsn) error {
	if s == nil {
		return fmt.Errorf("%w: replication slot %s does not exist: changes since it was dropped are lost to the other sites; %s", change.ErrNeedsCopy, name, newEpochRemedy)
	}
	if s.Type != "logical" || s.Plugin != "pgoutput" || s.Database != database {
		return fmt.Errorf("%w: replication slot %s is a %s slot of %s for database %q, not a logical slot of pgoutput for %q; drop it and run concord init",
			change.ErrRefused, name, s.Type, s.Plugin, s.Database, database)
	}
	if why := s.lost(); why != "" {
		return fmt.Errorf("%w: replication slot %s %s; %s", change.ErrNeedsCopy, name, why, newEpochRemedy)
	}
	if s.Active {
		return standbyError(name, s.ActivePID)
	}
	confirmed, err := parseLSN(s.ConfirmedFlush)
	if err != nil {
		return fmt.Errorf("checking slot %s: %w", name, err)
	}
	if confirmed > from {
		return fmt.Errorf("%w: replication slot %s has been released up to %s, but the stream ends at %s: what lies between was never published; %s",
			change.ErrNeedsCopy, name, confirmed, from, newEpochRemedy)
	}
	return nil
}

func standbyError(slot string, pid int) error {
	return fmt.Errorf("%w: replication slot %s is read by process %d of the server (see pg_stat_activity)", change.ErrStandby, slot, pid)
}

// startError classifies what START_REPLICATION or the stream after it failed with.
func startError(slot string, err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return fmt.Errorf("reading slot %s: %w", slot, err)
	}
	wrap := func(class error, remedy string) error {
		return fmt.Errorf("reading slot %s: %w: %w; %s", slot, class, err, remedy)
	}
	switch pe.Code {
	case "55006": // object_in_use: the message names the process
		return wrap(change.ErrStandby, "another agent of this site captures")
	case "58P01", "55000": // a log segment is gone; the slot was invalidated
		return wrap(change.ErrNeedsCopy, newEpochRemedy)
	case "42704": // undefined_object
		if strings.Contains(pe.Message, "publication") {
			return wrap(change.ErrRefused, "run concord init")
		}
		return wrap(change.ErrNeedsCopy, newEpochRemedy)
	case "42501": // insufficient_privilege
		return wrap(change.ErrRefused, "the role needs REPLICATION; see concord init --grants")
	}
	return fmt.Errorf("reading slot %s: %w", slot, err)
}

// RetainedBytes is how much write-ahead log this site's slot holds back. 0 when
// there is no slot.
func (db *DB) RetainedBytes(ctx context.Context) (int64, error) {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return 0, err
	}
	defer closeConn(ctx, conn)
	var n int64
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint
		FROM pg_replication_slots WHERE slot_name = $1`, db.slot()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("measuring the log held by slot %s: %w", db.slot(), err)
	}
	return n, nil
}

// slot is the name of this site's replication slot.
func (db *DB) slot() string { return slotName(db.opts.Cluster, db.opts.Site) }
