package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/demo/compare"
)

// mysqlShop is a shop on MySQL or MariaDB.
type mysqlShop struct {
	conn   *client.Conn
	failed bool // the connection did, or a call was given up
}

// openMySQL connects to a server of the demo, which asks for no password.
func openMySQL(ctx context.Context, dsn string) (shop, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	conn, err := client.ConnectWithContext(ctx, u.Host, u.User.Username(), "", strings.TrimPrefix(u.Path, "/"), transactionTimeout)
	if err != nil {
		return nil, err
	}
	m := &mysqlShop{conn: conn}
	for _, sql := range []string{"SET NAMES utf8mb4", "SET time_zone = '+00:00'", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"} {
		if err := m.exec(ctx, sql); err != nil {
			m.close(ctx)
			return nil, err
		}
	}
	return m, nil
}

// execute ends with ctx: then the connection is of no more use.
func (m *mysqlShop) execute(ctx context.Context, sql string) (*gomysql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, func() { _ = m.conn.SetDeadline(time.Unix(1, 0)) })
	r, err := m.conn.Execute(sql)
	if !stop() {
		m.failed = true
		return nil, context.Cause(ctx)
	}
	if err != nil {
		var said *gomysql.MyError
		m.failed = !errors.As(err, &said)
		return nil, fmt.Errorf("%s: %w", beginning(sql), err)
	}
	return r, nil
}

// beginning is as much of a statement as an error message wants.
func beginning(sql string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(sql), "\n")
	if runes := []rune(line); len(runes) > 120 {
		line = string(runes[:119]) + "…"
	}
	return line
}

func (m *mysqlShop) dialect() dialect { return mysqlDialect }

func (m *mysqlShop) broken() bool { return m.failed }

func (m *mysqlShop) mark(ctx context.Context, site string) (int64, error) {
	if err := m.exec(ctx, fmt.Sprintf("INSERT INTO markers VALUES ('%s', 1) ON DUPLICATE KEY UPDATE number = number + 1", site)); err != nil {
		return 0, err
	}
	return m.marked(ctx, site)
}

func (m *mysqlShop) marked(ctx context.Context, site string) (int64, error) {
	return m.number(ctx, fmt.Sprintf("SELECT number FROM markers WHERE site = '%s'", site))
}

// number is what a query returns; 0 without a row.
func (m *mysqlShop) number(ctx context.Context, sql string) (int64, error) {
	line, err := m.line(ctx, sql)
	if err != nil || line == nil {
		return 0, err
	}
	return strconv.ParseInt(line[0], 10, 64)
}

func (m *mysqlShop) manyCustomers(ctx context.Context, batch string, many int) error {
	const chunk = 1000
	tx, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback(ctx)
	for from := 1; from <= many; from += chunk {
		var b strings.Builder
		for i := from; i < from+chunk && i <= many; i++ {
			fmt.Fprintf(&b, ", ('Load %d', '%s-%d@example.com', 'Mumbai', now())", i, batch, i)
		}
		if _, err := tx.exec(ctx, "INSERT INTO customers (name, email, city, created_at) VALUES "+b.String()[2:]); err != nil {
			return err
		}
	}
	return tx.commit(ctx)
}

func (m *mysqlShop) kinds(ctx context.Context) (map[string]int64, error) {
	rows, err := m.rows(ctx, "SELECT kind, count(*) FROM concord.conflict GROUP BY kind")
	kinds := map[string]int64{}
	for _, row := range rows {
		if kinds[row[0]], err = strconv.ParseInt(row[1], 10, 64); err != nil {
			return nil, err
		}
	}
	return kinds, err
}

func (m *mysqlShop) parked(ctx context.Context) (int64, error) {
	return m.number(ctx, "SELECT count(*) FROM concord.parked")
}

func (m *mysqlShop) recorded(ctx context.Context, table, column, value string) ([]string, error) {
	in := make([]string, 0, 4)
	for _, image := range []string{"`key`", "older_row", "newer_row", "result_row"} {
		in = append(in, fmt.Sprintf("json_unquote(json_extract(%s, '$.%s'))", image, column))
	}
	rows, err := m.rows(ctx, fmt.Sprintf("SELECT DISTINCT concat(kind, ', by ', policy) FROM concord.conflict WHERE table_name = '%s' AND '%s' IN (%s)",
		table, value, strings.Join(in, ", ")))
	var found []string
	for _, row := range rows {
		found = append(found, row[0])
	}
	return found, err
}

func (m *mysqlShop) exec(ctx context.Context, sql string) error {
	_, err := m.execute(ctx, sql)
	return err
}

func (m *mysqlShop) line(ctx context.Context, sql string) ([]string, error) {
	rows, err := m.rows(ctx, sql)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// rows are what a query returns, as text.
func (m *mysqlShop) rows(ctx context.Context, sql string) ([][]string, error) {
	r, err := m.execute(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return compare.Texts(r), nil
}

func (m *mysqlShop) begin(ctx context.Context) (transaction, error) {
	if err := m.exec(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	return &mysqlTransaction{shop: m}, nil
}

func (m *mysqlShop) side() compare.Side { return compare.MySQL{Conn: m.conn} }

func (m *mysqlShop) close(context.Context) { _ = m.conn.Close() } // nothing is open in it

type mysqlTransaction struct {
	shop *mysqlShop
	over bool
}

func (t *mysqlTransaction) exec(ctx context.Context, sql string) (int64, error) {
	r, err := t.shop.execute(ctx, sql)
	if err != nil {
		return 0, err
	}
	return int64(r.AffectedRows), nil
}

func (t *mysqlTransaction) commit(ctx context.Context) error {
	t.over = true
	return t.shop.exec(ctx, "COMMIT")
}

// What cannot be rolled back ends with the connection.
func (t *mysqlTransaction) rollback(ctx context.Context) {
	if !t.over && !t.shop.failed && t.shop.exec(context.WithoutCancel(ctx), "ROLLBACK") != nil {
		t.shop.failed = true
	}
}
