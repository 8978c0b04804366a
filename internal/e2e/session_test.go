package e2e

import (
	"context"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"
)

// session is an application's connection to the database of its site, whatever server
// that is.
type session interface {
	transaction(ctx context.Context, statements []string) error // commits all of them or none
	closed() bool
	close()
}

func (s *site) connect(ctx context.Context) (session, error) {
	if s.mysql != nil {
		c, err := connectTo(s)
		if err != nil {
			return nil, err
		}
		return &mysqlSession{conn: c}, nil
	}
	c, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return nil, err
	}
	return postgresSession{c}, nil
}

type postgresSession struct{ conn *pgx.Conn }

func (c postgresSession) transaction(ctx context.Context, statements []string) error {
	return pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
		for _, sql := range statements {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c postgresSession) closed() bool { return c.conn.IsClosed() }
func (c postgresSession) close()       { _ = c.conn.Close(context.Background()) }

// mysqlSession counts as closed when it could not roll back.
type mysqlSession struct {
	conn *client.Conn
	gone bool
}

func (c *mysqlSession) transaction(_ context.Context, statements []string) error {
	for _, sql := range append(append([]string{"BEGIN"}, statements...), "COMMIT") {
		if _, err := c.conn.Execute(sql); err != nil {
			_, lost := c.conn.Execute("ROLLBACK")
			c.gone = lost != nil
			return err
		}
	}
	return nil
}

func (c *mysqlSession) closed() bool { return c.gone }
func (c *mysqlSession) close()       { _ = c.conn.Close() }
