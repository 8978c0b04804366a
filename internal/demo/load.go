package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Load is the writing of applications at one site.
type Load struct {
	dsn     string
	name    string
	writers int
	pause   time.Duration

	transactions, rows, failed atomic.Int64
}

// NewLoad returns a load of writers connections that rest for pause between two
// transactions.
func NewLoad(name, dsn string, writers int, pause time.Duration) *Load {
	return &Load{name: name, dsn: dsn, writers: writers, pause: pause}
}

// Counts returns what has been committed so far.
func (l *Load) Counts() (transactions, rows int64) { return l.transactions.Load(), l.rows.Load() }

// Run writes until ctx ends. A server that goes away is waited for.
func (l *Load) Run(ctx context.Context) {
	done := make(chan struct{})
	for w := range l.writers {
		go func() {
			l.write(ctx, rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(w))))
			done <- struct{}{}
		}()
	}
	for range l.writers {
		<-done
	}
}

func (l *Load) write(ctx context.Context, r *rand.Rand) {
	var conn *pgx.Conn
	for ctx.Err() == nil {
		if conn == nil || conn.IsClosed() {
			c, err := pgx.Connect(ctx, l.dsn)
			if err != nil {
				wait(ctx, 200*time.Millisecond)
				continue
			}
			conn = c
		}
		n, err := l.transaction(ctx, conn, r)
		if err == nil {
			l.transactions.Add(1)
			l.rows.Add(int64(n))
		} else {
			l.failed.Add(1)
		}
		wait(ctx, l.pause)
	}
	if conn != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // the load is over
	}
}

// wait returns after d or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// transaction is one of the things a shop does. Both sites share the stock, the
// customers and the sessions: that is where they meet.
func (l *Load) transaction(ctx context.Context, conn *pgx.Conn, r *rand.Rand) (rows int, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		do := func(sql string, args ...any) error {
			tag, err := tx.Exec(ctx, sql, args...)
			rows += int(tag.RowsAffected())
			return err
		}
		switch p := r.IntN(100); {
		case p < 35:
			return l.order(ctx, tx, r, do)
		case p < 60: // stock that both sites count
			return do(`UPDATE inventory SET on_hand = on_hand - $1, changed_by = $2 WHERE sku = $3`, 1+r.IntN(5), l.name, sku(r, 20))
		case p < 75: // a customer moves
			return do(`UPDATE customers SET city = $1 WHERE id = $2`, l.name+" "+fmt.Sprint(r.IntN(100)), -1-r.IntN(40))
		case p < 90: // both sites open the same sessions
			return do(`INSERT INTO sessions VALUES ($1, $2, jsonb_build_object('site', $3::text, 'n', $4::int))
				ON CONFLICT (id) DO UPDATE SET data = excluded.data, seen = now()`, session(r), -1-r.IntN(200), l.name, r.IntN(1000))
		case p < 97:
			return do(`DELETE FROM sessions WHERE id = $1`, session(r))
		default:
			return do(`UPDATE orders SET status = $1, changed = now() WHERE id = (SELECT max(id) FROM orders)`, []string{"paid", "shipped", "cancelled"}[r.IntN(3)])
		}
	})
	return rows, err
}

func (l *Load) order(ctx context.Context, tx pgx.Tx, r *rand.Rand, do func(string, ...any) error) error {
	var id int64
	if err := tx.QueryRow(ctx, `INSERT INTO orders (customer) VALUES ($1) RETURNING id`, -1-r.IntN(200)).Scan(&id); err != nil {
		return err
	}
	lines := 1 + r.IntN(4)
	for n := range lines {
		if err := do(`INSERT INTO order_lines VALUES ($1, $2, $3, $4, $5)`, id, n+1, sku(r, 100), 1+r.IntN(3), fmt.Sprintf("%d.%02d", 1+r.IntN(90), r.IntN(100))); err != nil {
			return err
		}
	}
	return do(`UPDATE orders SET total = (SELECT sum(quantity * price) FROM order_lines WHERE order_id = $1) WHERE id = $1`, id)
}

func sku(r *rand.Rand, n int) string { return fmt.Sprintf("SKU-%d", 1+r.IntN(n)) }

func session(r *rand.Rand) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", r.IntN(60))
}
