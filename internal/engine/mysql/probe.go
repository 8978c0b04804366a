package mysql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/change"
)

// errProbeLost is a probe that was not read where it stands.
var errProbeLost = errors.New("the mark of a replicated transaction did not come back")

// probe is a transaction written to prove that replicated transactions are told from
// local ones: it is marked exactly as apply marks, and must come back as a mark and
// without its row.
//
// It is judged where it stands in the log, not by a clock: a reader that has passed its
// place without having recognised it refuses to go on, however long the backlog before
// it was.
type probe struct {
	nonce uint64
	at    position // the log up to here holds all of it
}

// writeProbe commits a probe. Its rows are removed in the same transaction, so that
// nobody but a reader of the log ever sees them.
func writeProbe(ctx context.Context, c *conn, server string) (probe, error) {
	p := probe{nonce: rand.Uint64()>>2 + 1}
	var err error
	for _, sql := range []string{
		"START TRANSACTION",
		"DELETE FROM concord.checkpoint WHERE origin = " + literal(probeName),
		fmt.Sprintf("INSERT INTO concord.checkpoint (origin, epoch, seq, hlc, applied_at) VALUES (%s, 0, %d, 0, UTC_TIMESTAMP(6))", literal(probeName), p.nonce),
		"DELETE FROM concord.checkpoint WHERE origin = " + literal(probeName),
		"INSERT INTO concord.heartbeat (site, beat) VALUES (" + literal(probeName) + ", UTC_TIMESTAMP(6))",
		"DELETE FROM concord.heartbeat WHERE site = " + literal(probeName),
		"COMMIT",
	} {
		if _, err = c.exec(ctx, sql); err != nil {
			break
		}
	}
	if err == nil {
		p.at, err = c.logEnd(ctx, server)
	}
	if err != nil {
		switch errorNumber(err) {
		case gomysql.ER_TABLEACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR, gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR:
			err = fmt.Errorf("%w: %w; run concord init, see concord doctor", change.ErrRefused, err)
		}
		return p, fmt.Errorf("writing the probe: %w", err)
	}
	return p, nil
}

// probeGuard watches for a probe in the log.
type probeGuard struct {
	probe  probe
	seen   bool
	leaked bool
}

// recognised notes a probe that came back. Others than our own are of earlier agents
// and prove nothing.
func (g *probeGuard) recognised(nonce uint64, leaked bool) {
	if nonce == g.probe.nonce {
		g.seen, g.leaked = true, leaked
	}
}

// check judges the probe once the log has been read up to at.
func (g *probeGuard) check(at position) error {
	switch {
	case g.leaked:
		return fmt.Errorf("%w: rows written as replicated came back as local ones", change.ErrRefused)
	case !g.seen && at.server == g.probe.at.server && comparePlaces(at, g.probe.at) >= 0:
		return fmt.Errorf("%w: %w: the log leaves out the table concord.checkpoint; see concord doctor", change.ErrRefused, errProbeLost)
	}
	return nil
}
