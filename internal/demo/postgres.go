package demo

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/testcluster"
)

//go:embed shop_postgres.sql
var postgresSQL string

// postgresServer is a PostgreSQL server.
type postgresServer struct{ *testcluster.Cluster }

// Stop ends the sessions; a walsender still gets to send all.
func (p postgresServer) Stop(ctx context.Context) error { return p.Cluster.Stop(ctx, testcluster.Fast) }

// startPostgres starts the server of the site at index and makes the shop anew. The files
// of the cluster are used again when they are there; what an earlier demo left in it goes.
// dsn is the shop's.
func startPostgres(ctx context.Context, dir string, index, version int) (_ server, dsn string, err error) {
	name := names[index]
	// Nothing is flushed: that the machine goes down is no part of the demo.
	c, err := testcluster.Start(ctx, testcluster.Options{Version: version, Dir: serverDir(dir, name, "postgres-"+strconv.Itoa(version))})
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = c.Close() // the error that matters is the first
		}
	}()
	if err := c.DropDatabase(ctx, database); err != nil {
		return nil, "", err
	}
	if err := dropOrigins(ctx, c.DSN("")); err != nil {
		return nil, "", fmt.Errorf("site %s: %w", name, err)
	}
	if err := c.CreateDatabase(ctx, database); err != nil {
		return nil, "", err
	}
	dsn = c.DSN(database)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, "", err
	}
	defer conn.Close(ctx)
	sql := strings.ReplaceAll(postgresSQL, "{{first}}", strconv.Itoa(index+1))
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return nil, "", fmt.Errorf("making the shop at %s: %w", name, err)
	}
	return postgresServer{c}, dsn, nil
}

// dropOrigins removes replication origins, which belong to the whole server and so
// outlive the database.
func dropOrigins(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin`); err != nil {
		return fmt.Errorf("removing the replication origins of an earlier demo: %w", err)
	}
	return nil
}
