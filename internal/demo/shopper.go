package demo

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
)

// How many rows both sites fight for: few, so that there are conflicts.
const (
	hotArticles = 5
	hotSessions = 40
)

// shopper does what users of the shop do, at one site. Not for concurrent use.
type shopper struct {
	site   string
	random *rand.Rand
}

// action is one kind of transaction; it returns how many rows it wrote.
type action struct {
	weight int
	do     func(s *shopper, ctx context.Context, tx pgx.Tx) (int64, error)
}

var actions = []action{
	{25, (*shopper).placeOrder},
	{20, (*shopper).changeStatus},
	{20, (*shopper).deliver},
	{10, (*shopper).changeLine},
	{12, (*shopper).visit},
	{6, (*shopper).logOut},
	{7, (*shopper).editCustomer},
}

// act does one thing of those that users do, in tx.
func (s *shopper) act(ctx context.Context, tx pgx.Tx) (int64, error) {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := s.random.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			return a.do(s, ctx, tx)
		}
	}
	return 0, nil
}

// article is sometimes one that everybody wants.
func (s *shopper) article() string {
	if s.random.IntN(2) == 0 {
		return fmt.Sprintf("SKU-%03d", s.random.IntN(hotArticles))
	}
	return fmt.Sprintf("SKU-%03d", s.random.IntN(100))
}

func (s *shopper) session() string { return fmt.Sprintf("session-%02d", s.random.IntN(hotSessions)) }

func (s *shopper) placeOrder(ctx context.Context, tx pgx.Tx) (int64, error) {
	lines := 1 + s.random.IntN(4)
	var order int64
	err := tx.QueryRow(ctx, `
		INSERT INTO orders (customer_id, total, details, placed_at, updated_at)
		VALUES ($1, $2::int / 100.0, jsonb_build_object('site', $3::text, 'gift', $4::bool), clock_timestamp(), clock_timestamp())
		RETURNING id`, -1-s.random.IntN(500), s.random.IntN(100_000), s.site, s.random.IntN(10) == 0).Scan(&order)
	if err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO order_lines (order_id, line, sku, quantity, price)
		SELECT $1, n, 'SKU-' || lpad((($3 + n) % 100)::text, 3, '0'), 1 + n % 3, 9.99 * n FROM generate_series(1, $2::int) n`,
		order, lines, s.random.IntN(100))
	if err != nil {
		return 0, err
	}
	written := 1 + tag.RowsAffected()
	tag, err = tx.Exec(ctx, `UPDATE inventory SET on_hand = on_hand - 1, changed_by = $2, changed_at = clock_timestamp() WHERE sku = $1`,
		s.article(), s.site)
	return written + tag.RowsAffected(), err
}

// changeStatus moves one of the latest orders on, of whichever site.
func (s *shopper) changeStatus(ctx context.Context, tx pgx.Tx) (int64, error) {
	tag, err := tx.Exec(ctx, `
		UPDATE orders SET status = (ARRAY['paid', 'packed', 'shipped', 'returned'])[$2]::order_status, updated_at = clock_timestamp()
		WHERE id = (SELECT id FROM orders ORDER BY id DESC OFFSET $1 LIMIT 1)`, s.random.IntN(20), 1+s.random.IntN(4))
	return tag.RowsAffected(), err
}

// deliver puts what has come into the warehouse.
func (s *shopper) deliver(ctx context.Context, tx pgx.Tx) (int64, error) {
	tag, err := tx.Exec(ctx, `UPDATE inventory SET on_hand = on_hand + $2, changed_by = $3, changed_at = clock_timestamp() WHERE sku = $1`,
		s.article(), 1+s.random.IntN(5), s.site)
	return tag.RowsAffected(), err
}

// changeLine changes a line of one of the latest orders, or takes it out.
func (s *shopper) changeLine(ctx context.Context, tx pgx.Tx) (int64, error) {
	const which = `(order_id, line) = (SELECT order_id, line FROM order_lines ORDER BY order_id DESC, line OFFSET $1 LIMIT 1)`
	if s.random.IntN(3) == 0 {
		tag, err := tx.Exec(ctx, `DELETE FROM order_lines WHERE `+which, s.random.IntN(20))
		return tag.RowsAffected(), err
	}
	tag, err := tx.Exec(ctx, `UPDATE order_lines SET quantity = $2 WHERE `+which, s.random.IntN(20), 1+s.random.IntN(9))
	return tag.RowsAffected(), err
}

// visit makes a session or goes on with it; both sites use the same few tokens.
func (s *shopper) visit(ctx context.Context, tx pgx.Tx) (int64, error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO sessions VALUES ($1, $2, jsonb_build_object('sku', $3::text, 'at', $4::text), clock_timestamp())
		ON CONFLICT (token) DO UPDATE SET cart = excluded.cart, seen_at = excluded.seen_at`,
		s.session(), 1+s.random.IntN(500), s.article(), s.site)
	return tag.RowsAffected(), err
}

func (s *shopper) logOut(ctx context.Context, tx pgx.Tx) (int64, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM sessions WHERE token = $1`, s.session())
	return tag.RowsAffected(), err
}

func (s *shopper) editCustomer(ctx context.Context, tx pgx.Tx) (int64, error) {
	if s.random.IntN(2) == 0 {
		n := s.random.IntN(1_000_000)
		tag, err := tx.Exec(ctx, `
			INSERT INTO customers (name, email, city, tags, created_at) VALUES ($1, $2, NULL, ARRAY['new', $3], clock_timestamp())
			ON CONFLICT (email) DO NOTHING`,
			fmt.Sprintf("Customer %d", n), fmt.Sprintf("c%d@example.com", n), s.site)
		return tag.RowsAffected(), err
	}
	tag, err := tx.Exec(ctx, `UPDATE customers SET credit = credit + 0.50, tags = ARRAY[$2] WHERE id = $1`, -1-s.random.IntN(500), s.site)
	return tag.RowsAffected(), err
}
