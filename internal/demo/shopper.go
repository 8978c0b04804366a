package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
)

// How many rows both sites fight for: few, so that there are conflicts.
const (
	hotArticles = 5
	hotSessions = 40
)

// shopper does what users of the shop do, at one site. Not for concurrent use.
type shopper struct {
	site   string
	speaks dialect
	random *rand.Rand
}

// action is one kind of transaction: its statements.
type action struct {
	weight int
	do     func(s *shopper) []string
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

// act does one thing of those that users do, in tx, and returns how many rows it wrote.
func (s *shopper) act(ctx context.Context, tx transaction) (written int64, err error) {
	for _, sql := range s.choose().do(s) {
		n, err := tx.exec(ctx, sql)
		if err != nil {
			return 0, err
		}
		written += n
	}
	return written, nil
}

func (s *shopper) choose() action {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := s.random.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			return a
		}
	}
	return actions[0]
}

// article is sometimes one that everybody wants.
func (s *shopper) article() string {
	if s.random.IntN(2) == 0 {
		return fmt.Sprintf("SKU-%03d", s.random.IntN(hotArticles))
	}
	return fmt.Sprintf("SKU-%03d", s.random.IntN(100))
}

func (s *shopper) session() string { return fmt.Sprintf("session-%02d", s.random.IntN(hotSessions)) }

func (s *shopper) customer() int { return -1 - s.random.IntN(500) }

func (s *shopper) placeOrder() []string {
	var lines []string
	first := s.random.IntN(100)
	for n := range 1 + s.random.IntN(4) {
		lines = append(lines, fmt.Sprintf("(%s, %d, 'SKU-%03d', %d, %d.99)", s.speaks.order, n+1, (first+n)%100, 1+n%3, 9*(n+1)))
	}
	return []string{
		fmt.Sprintf(`INSERT INTO orders (customer_id, total, details, placed_at, updated_at) VALUES (%d, %d.%02d, '{"site": "%s", "gift": %t}', now(), now())`,
			s.customer(), s.random.IntN(1000), s.random.IntN(100), s.site, s.random.IntN(10) == 0),
		`INSERT INTO order_lines (order_id, line, sku, quantity, price) VALUES ` + strings.Join(lines, ", "),
		fmt.Sprintf(`UPDATE inventory SET on_hand = on_hand - 1, changed_by = '%s', changed_at = now() WHERE sku = '%s'`, s.site, s.article()),
	}
}

// changeStatus moves one of the latest orders on, of whichever site.
func (s *shopper) changeStatus() []string {
	status := []string{"paid", "packed", "shipped", "returned"}[s.random.IntN(4)]
	return []string{fmt.Sprintf(`UPDATE orders SET status = '%s', updated_at = now()
		WHERE id = (SELECT id FROM (SELECT id FROM orders ORDER BY id DESC LIMIT 1 OFFSET %d) AS latest)`, status, s.random.IntN(20))}
}

// deliver puts what has come into the warehouse.
func (s *shopper) deliver() []string {
	return []string{fmt.Sprintf(`UPDATE inventory SET on_hand = on_hand + %d, changed_by = '%s', changed_at = now() WHERE sku = '%s'`,
		1+s.random.IntN(5), s.site, s.article())}
}

// changeLine changes a line of one of the latest orders, or takes it out.
func (s *shopper) changeLine() []string {
	which := fmt.Sprintf(`(order_id, line) = (SELECT order_id, line
		FROM (SELECT order_id, line FROM order_lines ORDER BY order_id DESC, line LIMIT 1 OFFSET %d) AS latest)`, s.random.IntN(20))
	if s.random.IntN(3) == 0 {
		return []string{`DELETE FROM order_lines WHERE ` + which}
	}
	return []string{fmt.Sprintf(`UPDATE order_lines SET quantity = %d WHERE `, 1+s.random.IntN(9)) + which}
}

// visit makes a session or goes on with it; both sites use the same few tokens.
func (s *shopper) visit() []string {
	return []string{fmt.Sprintf(`INSERT INTO sessions (token, customer_id, cart, seen_at) VALUES ('%s', %d, '{"sku": "%s", "at": "%s"}', now()) %s`,
		s.session(), 1+s.random.IntN(500), s.article(), s.site, s.speaks.refresh)}
}

func (s *shopper) logOut() []string {
	return []string{fmt.Sprintf(`DELETE FROM sessions WHERE token = '%s'`, s.session())}
}

func (s *shopper) editCustomer() []string {
	if s.random.IntN(2) == 0 {
		n := s.random.IntN(1_000_000)
		return []string{fmt.Sprintf(`INSERT INTO customers (name, email, tags, created_at) VALUES ('Customer %d', 'c%d@example.com', '["new", "%s"]', now()) %s`,
			n, n, s.site, s.speaks.ignore)}
	}
	return []string{fmt.Sprintf(`UPDATE customers SET credit = credit + 0.50, tags = '["%s"]' WHERE id = %d`, s.site, s.customer())}
}
