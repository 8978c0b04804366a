package postgres

import (
	"context"
	"embed"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// schemaVersion is of the control schema that this version of Concord works with.
// control.sql makes it from nothing, control_N.sql brings version N-1 to N. A schema only
// ever grows, so that agents of an older version go on with it.
const schemaVersion = 2

//go:embed control_2.sql
var migrations embed.FS

// ensureSchema makes the control schema, or brings an older one up to date, all or
// nothing. row is nil when there is no site yet.
func ensureSchema(ctx context.Context, conn *pgx.Conn, row *siteRow) (done string, err error) {
	from := 1 // an init that did not come to its end may have left one of any version
	if row != nil {
		from = row.version
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", fmt.Errorf("creating the control schema: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // of no effect once committed
	for n := from + 1; n <= schemaVersion; n++ {
		sql, err := migrations.ReadFile("control_" + strconv.Itoa(n) + ".sql")
		if err != nil {
			return "", fmt.Errorf("altering the control schema: %w", err)
		}
		if _, err := tx.Exec(ctx, string(sql)); err != nil {
			return "", initError(fmt.Sprintf("altering the control schema to version %d", n), err)
		}
	}
	if _, err := tx.Exec(ctx, controlSQL); err != nil {
		return "", initError("creating the control schema", err)
	}
	if row != nil && from < schemaVersion {
		if _, err := tx.Exec(ctx, `UPDATE concord.site SET schema_version = $1`, schemaVersion); err != nil {
			return "", initError("recording the version of the control schema", err)
		}
		done = fmt.Sprintf("brought schema %s from version %d to %d", controlSchema, from, schemaVersion)
	}
	if err := tx.Commit(ctx); err != nil {
		return "", initError("creating the control schema", err)
	}
	return done, nil
}

// checkSchema makes sure that the control schema has what this version works with.
func checkSchema(s *siteRow) error {
	if s == nil || s.version >= schemaVersion {
		return nil
	}
	return fmt.Errorf("%w: schema %s is of version %d, this version of Concord needs %d; run concord init --site %s again (it keeps everything)",
		change.ErrRefused, controlSchema, s.version, schemaVersion, s.site)
}
