package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/change"
)

// probe is a transaction written to prove that replicated transactions are told
// from local ones: it is marked exactly as apply marks, and must come back as a mark
// and without its row.
//
// It is judged where it stands in the log, not by a clock: a reader that has passed
// its place without having recognised it refuses to go on, however long the backlog
// before it was. What stands before it is read meanwhile.
type probe struct {
	nonce uint64
	at    lsn // the log up to here holds all of it
}

// writeProbe commits a probe. Its rows are removed in the same transaction, so that
// nobody but a reader of the log ever sees them.
func (db *DB) writeProbe(ctx context.Context, conn *pgx.Conn, serverFilter bool) (probe, error) {
	p := probe{nonce: rand.Uint64()>>2 + 1}
	if err := p.write(ctx, conn, serverFilter, db.probeOrigin()); err != nil {
		var pe *pgconn.PgError
		if errors.As(err, &pe) && (pe.Code == "42501" || pe.Code == "42704" || pe.Code == "53400") {
			// A missing right, a missing origin, no free origin state.
			err = fmt.Errorf("%w: %w; run concord init, see concord doctor", change.ErrRefused, err)
		}
		return p, fmt.Errorf("writing the probe: %w", err)
	}
	var at string
	if err := conn.QueryRow(ctx, `SELECT pg_current_wal_insert_lsn()::text`).Scan(&at); err != nil {
		return p, fmt.Errorf("writing the probe: %w", err)
	}
	var err error
	p.at, err = parseLSN(at)
	return p, err
}

func (p probe) write(ctx context.Context, conn *pgx.Conn, serverFilter bool, origin string) error {
	const (
		row    = `INSERT INTO concord.heartbeat (site, beat) VALUES ('` + probeName + `', now())`
		noRow  = `DELETE FROM concord.heartbeat WHERE site = '` + probeName + `'`
		mark   = `INSERT INTO concord.checkpoint (origin, epoch, seq, hlc, applied_at) VALUES ('` + probeName + `', 0, $1, 0, now())`
		noMark = `DELETE FROM concord.checkpoint WHERE origin = '` + probeName + `'`
		reset  = `SELECT pg_replication_origin_session_reset()`
	)
	setup := `SELECT pg_replication_origin_session_setup(` + literal(origin) + `)`
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	steps := []string{`SET LOCAL synchronous_commit = on`, noMark, mark, noMark, row, noRow}
	if serverFilter {
		steps = []string{`SET LOCAL synchronous_commit = on`, setup, noRow, row, noRow, reset, noMark, mark, noMark}
	}
	for _, sql := range steps {
		var args []any
		if sql == mark {
			args = []any{int64(p.nonce)}
		}
		if _, err := tx.Exec(ctx, sql, args...); err != nil {
			return errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
	}
	return tx.Commit(ctx)
}

// probeGuard watches for a probe in the log.
type probeGuard struct {
	probe  probe
	seen   bool
	leaked bool
}

// recognised notes a probe that came back. Others than our own are of earlier
// agents and prove nothing.
func (g *probeGuard) recognised(nonce uint64, leaked bool) {
	if nonce == g.probe.nonce {
		g.seen, g.leaked = true, leaked
	}
}

// check judges the probe once the log has been read up to at.
func (g *probeGuard) check(at lsn) error {
	switch {
	case g.leaked:
		return fmt.Errorf("%w: rows written as replicated came back as local ones: the server does not filter by origin; check that the connection reaches PostgreSQL directly", change.ErrRefused)
	case !g.seen && at >= g.probe.at:
		return fmt.Errorf("%w: the mark of a replicated transaction did not come back: publication %s hides concord.checkpoint; run concord init", change.ErrRefused, publicationName)
	}
	return nil
}
