package demo

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/demo/compare"
)

// postgresShop is a shop on PostgreSQL. mixed: it is compared with one of another engine.
type postgresShop struct {
	conn  *pgx.Conn
	mixed bool
}

func openPostgres(ctx context.Context, dsn string, mixed bool) (shop, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return postgresShop{conn, mixed}, nil
}

func (p postgresShop) dialect() dialect { return postgresDialect }

func (p postgresShop) broken() bool { return p.conn.IsClosed() }

func (p postgresShop) mark(ctx context.Context, site string) (number int64, err error) {
	err = p.conn.QueryRow(ctx, `
		INSERT INTO markers VALUES ($1, 1)
		ON CONFLICT (site) DO UPDATE SET number = markers.number + 1 RETURNING number`, site).Scan(&number)
	return number, err
}

func (p postgresShop) marked(ctx context.Context, site string) (number int64, err error) {
	err = p.conn.QueryRow(ctx, `SELECT number FROM markers WHERE site = $1`, site).Scan(&number)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return number, err
}

func (p postgresShop) manyCustomers(ctx context.Context, batch string, many int) error {
	_, err := p.conn.Exec(ctx, `
		INSERT INTO customers (name, email, city, created_at)
		SELECT 'Load ' || i, $2::text || '-' || i || '@example.com', 'Mumbai', now() FROM generate_series(1, $1::bigint) i`, many, batch)
	return err
}

func (p postgresShop) kinds(ctx context.Context) (map[string]int64, error) {
	rows, err := p.conn.Query(ctx, `SELECT kind, count(*) FROM concord.conflict GROUP BY kind`)
	if err != nil {
		return nil, err
	}
	kinds := map[string]int64{}
	var kind string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&kind, &n}, func() error {
		kinds[kind] = n
		return nil
	})
	return kinds, err
}

func (p postgresShop) parked(ctx context.Context) (n int64, err error) {
	err = p.conn.QueryRow(ctx, `SELECT count(*) FROM concord.parked`).Scan(&n)
	return n, err
}

func (p postgresShop) recorded(ctx context.Context, table, column, value string) ([]string, error) {
	rows, err := p.conn.Query(ctx, `
		SELECT DISTINCT kind || ', by ' || policy FROM concord.conflict
		WHERE table_name = $1 AND $2 IN (key ->> $3, older_row ->> $3, newer_row ->> $3, result_row ->> $3)`, table, value, column)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (p postgresShop) exec(ctx context.Context, sql string) error {
	_, err := p.conn.Exec(ctx, sql)
	return err
}

func (p postgresShop) line(ctx context.Context, sql string) (line []string, err error) {
	rows, err := p.conn.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if rows.Next() {
		for _, v := range rows.RawValues() {
			line = append(line, string(v))
		}
	}
	rows.Close()
	return line, rows.Err()
}

func (p postgresShop) begin(ctx context.Context) (transaction, error) {
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return postgresTransaction{tx}, nil
}

func (p postgresShop) side() compare.Side {
	if p.mixed {
		return compare.PlainPostgres{Postgres: compare.Postgres{Conn: p.conn}}
	}
	return compare.Postgres{Conn: p.conn}
}

func (p postgresShop) close(ctx context.Context) { _ = p.conn.Close(ctx) } // nothing is open in it

type postgresTransaction struct{ tx pgx.Tx }

func (p postgresTransaction) exec(ctx context.Context, sql string) (int64, error) {
	tag, err := p.tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return tag.RowsAffected(), err
}

func (p postgresTransaction) commit(ctx context.Context) error { return p.tx.Commit(ctx) }

// What cannot be rolled back ends with the connection.
func (p postgresTransaction) rollback(ctx context.Context) { _ = p.tx.Rollback(ctx) }
