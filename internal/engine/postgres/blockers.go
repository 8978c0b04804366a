package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Blockers tells, for people, which sessions the apply half's open transactions wait
// for now: pid, user, application, and for how long its transaction has been open. It
// quotes no queries: they may hold values of rows.
func (db *DB) Blockers(ctx context.Context) ([]string, error) {
	db.target.mu.Lock()
	pids := make([]int32, 0, len(db.target.pids))
	for pid := range db.target.pids {
		pids = append(pids, int32(pid))
	}
	db.target.mu.Unlock()
	if len(pids) == 0 {
		return nil, nil
	}
	var all []string
	err := db.ask(ctx, "asking who holds apply up", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `
SELECT DISTINCT CASE WHEN a.pid IS NULL THEN 'a prepared transaction, or a session that has just ended'
	ELSE format('session %s of %s (%s), %s, transaction open for %s s', a.pid, a.usename,
		coalesce(nullif(a.application_name, ''), 'no application name'), a.state,
		coalesce(round(extract(epoch FROM clock_timestamp() - a.xact_start), 1), 0)) END
FROM unnest($1::int4[]) AS w(pid)
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b(pid)
LEFT JOIN pg_stat_activity a ON a.pid = b.pid
WHERE b.pid <> ALL ($1::int4[])
ORDER BY 1`, pids)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return all, err
}
