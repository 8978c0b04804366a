package testcluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// CreateDatabase makes an empty database.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) error {
	// template0: nothing that anyone has put into template1.
	return c.execute(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0")
}

// DropDatabase removes a database with everything that holds it: sessions,
// replication slots and their readers, subscriptions without their slots.
func (c *Cluster) DropDatabase(ctx context.Context, name string) (err error) {
	conn, err := pgx.Connect(ctx, c.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("dropping database %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	// A reader may come back between its end and the drop of its slot: again, then.
	for attempt := 0; ; attempt++ {
		_, err = conn.Exec(ctx, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
		if err == nil {
			_, err = conn.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", name)
		}
		if err == nil {
			_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		}
		if err == nil {
			return nil
		}
		if attempt == 20 || ctx.Err() != nil {
			return fmt.Errorf("dropping database %s: %w", name, err)
		}
	}
}

func (c *Cluster) execute(ctx context.Context, statement string) (err error) {
	conn, err := pgx.Connect(ctx, c.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connecting to the cluster in %s: %w", c.options.Dir, err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("executing %q: %w", statement, err)
	}
	return nil
}
