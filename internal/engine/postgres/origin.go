package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// marking is how a target transaction tells capture that it is a replicated one.
type marking uint8

const (
	// unmarked: an ordinary local write, of a person who settles a parked change.
	unmarked marking = iota
	// markFirst: the checkpoint row is the first write of the transaction, and capture
	// skips what follows it. It holds the row's lock for the whole transaction, so
	// transactions of one origin follow one another.
	markFirst
	// markOrigin: rows are written with a session origin, which the server filters out
	// (slot option origin 'none', 16 and later). It is reset before the checkpoint row
	// and the commit: so the server sends those, and only those.
	markOrigin
)

// defaultLanes is how many transactions of one origin overlap where they can.
const defaultLanes = 4

// The statements of the mark. The checkpoint moves by compare-and-set; a row that is
// not where it should be makes a division by zero, so that the commit behind it in
// the same round trip does not happen.
const (
	setupSQL = `SELECT pg_replication_origin_session_setup($1)`
	resetSQL = `SELECT pg_replication_origin_session_reset()`
	markSQL  = `WITH moved AS (
	UPDATE concord.checkpoint SET epoch = $2::int4, seq = $3::int8, hlc = $4::int8, applied_at = now()
	WHERE origin = $1 AND seq = $5::int8 RETURNING 1)
SELECT 1 / count(*) FROM moved`
	divisionByZero = "22012"
)

// markQuery moves the checkpoint.
func markQuery(c apply.Checkpoint) query {
	text := func(n uint64) []byte { return strconv.AppendInt(nil, int64(n), 10) }
	return query{
		sql:    markSQL,
		params: [][]byte{[]byte(c.Origin), text(uint64(c.Epoch)), text(c.Seq), text(c.HLC), text(c.Previous)},
		about:  "moving the checkpoint of " + string(c.Origin),
	}
}

// fenced recognises the error of a checkpoint that was not where it should be.
func fenced(c apply.Checkpoint, err error) error {
	var qe *queryError
	if errors.As(err, &qe) && sqlState(err) == divisionByZero && qe.about == markQuery(c).about {
		return fmt.Errorf("%w: the checkpoint of %s is not at %d: another agent applies here", apply.ErrFenced, c.Origin, c.Previous)
	}
	return err
}

func (db *DB) setupQuery(origin change.Site, lane int) query {
	name := db.originName(origin, lane)
	return query{sql: setupSQL, params: [][]byte{[]byte(name)}, about: "setting up replication origin " + name}
}

func resetQuery() query {
	return query{sql: resetSQL, about: "leaving the replication origin"}
}

// ensureLaneOrigins creates the replication origins of the lanes that are missing, which
// init made unless it did not know of the peer.
func (db *DB) ensureLaneOrigins(ctx context.Context, conn *pgx.Conn, origin change.Site, lanes int) error {
	for i := range lanes {
		name := db.originName(origin, i)
		_, err := conn.Exec(ctx, `SELECT pg_replication_origin_create($1)
			WHERE NOT EXISTS (SELECT FROM pg_replication_origin WHERE roname = $1)`, name)
		switch sqlState(err) {
		case "23505", "42710": // made by another agent at this moment
			err = nil
		}
		if err != nil {
			return classify(ctx, "creating replication origin "+name, err)
		}
	}
	return nil
}

// laneLimit is how many lanes an origin may have here: the server keeps one state for
// every origin that was ever used since it started, and the probe uses one.
func (db *DB) laneLimit(ctx context.Context, q querier) (int, error) {
	var states int
	err := q.QueryRow(ctx, `SELECT coalesce(current_setting('max_active_replication_origins', true),
		current_setting('max_replication_slots'))::int`).Scan(&states)
	if err != nil {
		return 0, err
	}
	return min(defaultLanes, max(1, (states-1)/max(1, len(db.opts.Peers)))), nil
}

// originWait is how long a new lane waits for a predecessor's session, which may
// still be dying, to leave its origin.
const originWait = 5 * time.Second

// proveOrigin sets the lane's origin up and leaves it again, so that a transaction
// begun on it will not find it taken.
func (db *DB) proveOrigin(ctx context.Context, l *lane, origin change.Site) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 5*time.Millisecond, 200*time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		b := l.batch(ctx)
		b.add(db.setupQuery(origin, l.number))
		b.add(resetQuery())
		err := b.run()
		if err != nil && sqlState(err) != "55006" { // active for another session
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(originWait))
	if sqlState(err) == "53400" {
		return fmt.Errorf("%w: %w; raise max_active_replication_origins (before version 18: max_replication_slots) and restart the server", change.ErrRefused, err)
	}
	if sqlState(err) == "42704" {
		return fmt.Errorf("%w: %w; run concord init", change.ErrRefused, err)
	}
	return classify(ctx, "taking a replication origin", err)
}
