package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// clash is two transactions that do not know of each other: both hold their locks
// before either commits.
type clash struct {
	title   string
	table   string
	key     string // column
	before  string // makes the row, at the first site, replicated before the clash; "" for none
	writes  [2]string
	compare string // reads what became of the row
	says    string // tells its columns
}

// clashes are the conflicts that the demo makes. %s is the value of the key: a number.
var clashes = []clash{
	{
		title: "A counter raised and lowered: both add up", table: "inventory", key: "sku",
		before: `INSERT INTO inventory VALUES ('%s', 'Clash', 100, 'nobody', now())`,
		writes: [2]string{`UPDATE inventory SET on_hand = on_hand + 7 WHERE sku = '%s'`,
			`UPDATE inventory SET on_hand = on_hand - 4 WHERE sku = '%s'`},
		compare: `SELECT on_hand FROM inventory WHERE sku = '%s'`, says: "on_hand %s",
	},
	{
		title: "Two different columns of one row: both changes stay", table: "customers", key: "email",
		before:  `INSERT INTO customers (name, email, city, created_at) VALUES ('Clash', '%s', 'Nashik', now())`,
		writes:  [2]string{`UPDATE customers SET city = 'Mumbai' WHERE email = '%s'`, `UPDATE customers SET name = 'Pune' WHERE email = '%s'`},
		compare: `SELECT city, name FROM customers WHERE email = '%s'`, says: "city %s, name %s",
	},
	{
		title: "An order is shipped and paid: a rule in Starlark decides", table: "orders", key: "id",
		before: `INSERT INTO orders (id, customer_id, status, total, placed_at, updated_at) VALUES (%s, -1, 'new', 1, now(), now())`,
		writes: [2]string{`UPDATE orders SET status = 'shipped' WHERE id = %s`,
			`UPDATE orders SET status = 'paid' WHERE id = %s`},
		compare: `SELECT status FROM orders WHERE id = %s`, says: "status %s",
	},
	{
		title: "One e-mail taken by two new customers: the last write has it", table: "customers", key: "email",
		writes: [2]string{`INSERT INTO customers (name, email, city, created_at) VALUES ('From Mumbai', '%s', 'Mumbai', now())`,
			`INSERT INTO customers (name, email, city, created_at) VALUES ('From Pune', '%s', 'Pune', now())`},
		compare: `SELECT count(*), max(name) FROM customers WHERE email = '%s'`, says: "%s customer, %s",
	},
	{
		title: "One deletes what the other updates: the delete wins", table: "sessions", key: "token",
		before:  `INSERT INTO sessions VALUES ('%s', 1, '{"items": 1}', now())`,
		writes:  [2]string{`DELETE FROM sessions WHERE token = '%s'`, `UPDATE sessions SET cart = '{"items": 2}' WHERE token = '%s'`},
		compare: `SELECT customer_id, cart FROM sessions WHERE token = '%s'`, says: "the session of %s with the cart %s",
	},
}

// Conflict writes the same rows at both sites, shows what became of them at each, and
// returns ErrDifferent when that is not the same.
func (c *Client) Conflict(ctx context.Context, out io.Writer) error {
	shops, closeAll, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	ctx, cancel := context.WithTimeoutCause(ctx, catchUp, fmt.Errorf("it did not catch up within %s: concord status -c %s", catchUp, c.state.Config))
	defer cancel()
	for _, k := range clashes {
		if err := k.make(ctx, out, shops, c.state.DB.schema(), strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil {
			return err
		}
	}
	return nil
}

func (k clash) make(ctx context.Context, out io.Writer, shops [2]shop, schema, value string) error {
	fmt.Fprintf(out, "%s\n", k.title)
	if k.before != "" {
		if err := shops[0].exec(ctx, fmt.Sprintf(k.before, value)); err != nil {
			return fmt.Errorf("making a row at %s: %w", names[0], err)
		}
		if err := quiesce(ctx, shops); err != nil {
			return err
		}
	}
	if err := k.write(ctx, out, shops, value); err != nil {
		return err
	}
	if err := quiesce(ctx, shops); err != nil {
		return err
	}
	var results [2]string
	for i, shop := range shops {
		line, err := shop.line(ctx, fmt.Sprintf(k.compare, value))
		if err != nil {
			return fmt.Errorf("reading the row at %s: %w", names[i], err)
		}
		if results[i] = "no row"; line != nil {
			columns := make([]any, len(line))
			for j, text := range line {
				columns[j] = text
			}
			results[i] = fmt.Sprintf(k.says, columns...)
		}
		records, err := k.records(ctx, shop, schema, value)
		if err != nil {
			return fmt.Errorf("reading the conflicts of %s: %w", names[i], err)
		}
		fmt.Fprintf(out, "  %-7s has %s; recorded: %s\n", names[i], results[i], records)
	}
	if results[0] != results[1] {
		return ErrDifferent
	}
	return nil
}

// write runs both transactions so that neither can know of the other.
func (k clash) write(ctx context.Context, out io.Writer, shops [2]shop, value string) error {
	var txs [2]transaction
	for i, shop := range shops {
		tx, err := shop.begin(ctx)
		if err != nil {
			return fmt.Errorf("writing at %s: %w", names[i], err)
		}
		defer tx.rollback(context.WithoutCancel(ctx))
		sql := fmt.Sprintf(k.writes[i], value)
		fmt.Fprintf(out, "  %-7s %s\n", names[i], sql)
		if _, err := tx.exec(ctx, sql); err != nil {
			return fmt.Errorf("writing at %s: %w", names[i], err)
		}
		txs[i] = tx
	}
	var errs [2]error
	var wait sync.WaitGroup
	for i, tx := range txs {
		wait.Go(func() { errs[i] = tx.commit(ctx) })
	}
	wait.Wait()
	return errors.Join(errs[:]...)
}

// records says what the site recorded of the conflict.
func (k clash) records(ctx context.Context, shop shop, schema, value string) (string, error) {
	found, err := shop.recorded(ctx, schema+"."+k.table, k.key, value)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "nothing", nil
	}
	return strings.Join(found, "; "), nil
}
