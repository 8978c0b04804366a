package mysql

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/concord-db/concord/internal/change"
)

// schemaVersion is of the control schema that this version of Concord works with.
// control.sql makes it from nothing, control_N.sql brings version N-1 to N. A schema only
// ever grows, so that agents of an older version go on with it.
const schemaVersion = 1

//go:embed control*.sql
var scripts embed.FS

// ensureSchema makes the control schema, or brings an older one up to date. row is nil
// when there is no site yet. This server commits each statement that alters a table: so
// every statement may be run again, and the version is recorded when all have been. An
// init that was cut short is put right by the next.
func ensureSchema(ctx context.Context, c *conn, row *siteRow, to int, scripts fs.FS) (done string, err error) {
	from := to
	if row != nil {
		from = row.version
	}
	for n := from + 1; n <= to; n++ {
		sql, err := fs.ReadFile(scripts, "control_"+strconv.Itoa(n)+".sql")
		if err != nil {
			return "", fmt.Errorf("altering the control schema: %w", err)
		}
		if err := runScript(ctx, c, string(sql)); err != nil {
			return "", initError(fmt.Sprintf("altering the control schema to version %d", n), err)
		}
	}
	if err := runScript(ctx, c, controlSQL); err != nil {
		return "", initError("creating the control schema", err)
	}
	if row == nil || from >= to {
		return "", nil
	}
	if _, err := c.exec(ctx, "UPDATE concord.site SET schema_version = ?", to); err != nil {
		return "", initError("recording the version of the control schema", err)
	}
	return fmt.Sprintf("brought schema %s from version %d to %d", controlSchema, from, to), nil
}

func runScript(ctx context.Context, c *conn, script string) error {
	for _, sql := range statements(script) {
		if _, err := c.exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// checkSchema makes sure that the control schema has what this version works with.
func checkSchema(s *siteRow) error {
	if s == nil || s.version >= schemaVersion {
		return nil
	}
	return fmt.Errorf("%w: schema %s is of version %d, this version of Concord needs %d; run concord init --site %s again (it keeps everything)",
		change.ErrRefused, controlSchema, s.version, schemaVersion, s.site)
}
