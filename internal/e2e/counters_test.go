package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// counterSchema: every writer notes what it added in the transaction that added it,
// so that what must come out is known whatever became of an answer.
const counterSchema = `
CREATE TABLE marker (id text PRIMARY KEY);
CREATE TABLE inventory (id int PRIMARY KEY, on_hand bigint NOT NULL, price numeric(14,4) NOT NULL, note text);
ALTER TABLE inventory REPLICA IDENTITY FULL;
CREATE TABLE booking (site text, writer int, n bigint, item int, delta int, PRIMARY KEY (site, writer, n));
INSERT INTO inventory SELECT i, 1000000, 10 FROM generate_series(1, 20) i;
CREATE TABLE accounts (id int PRIMARY KEY, balance numeric NOT NULL);
ALTER TABLE accounts REPLICA IDENTITY FULL;
INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 20) i;
`

const counterRules = `
[[table]]
match   = "public.inventory"
columns = { on_hand = "sum", price = "sum", "*" = "last_write_wins" }

[[table]]
match   = "public.accounts"
columns = { balance = "sum" }

[[table]]
match = "public.*"
`

// writers run a transaction again and again at one site until they are ended.
type writers struct {
	stop    context.CancelFunc
	wg      sync.WaitGroup
	commits atomic.Int64
}

// startWriters begins n writers at s. transaction gets the number of its writer and of
// its try; tries that fail are left behind.
func startWriters(t *testing.T, s *site, n int, seed uint64, transaction func(context.Context, *pgx.Conn, int, int64, *rand.Rand) error) *writers {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writers{stop: cancel}
	for i := range n {
		w.wg.Add(1)
		go func() {
			defer w.wg.Done()
			w.write(ctx, s, i, rand.New(rand.NewPCG(seed, uint64(i))), transaction)
		}()
	}
	t.Cleanup(func() { w.end() })
	return w
}

func (w *writers) write(ctx context.Context, s *site, writer int, r *rand.Rand, transaction func(context.Context, *pgx.Conn, int, int64, *rand.Rand) error) {
	var conn *pgx.Conn
	for n := int64(1); ctx.Err() == nil; n++ {
		if conn == nil || conn.IsClosed() {
			c, err := pgx.Connect(ctx, s.dsn)
			if err != nil {
				pause(ctx, 100*time.Millisecond)
				continue
			}
			conn = c
			defer c.Close(context.Background())
		}
		switch err := transaction(ctx, conn, writer, n, r); {
		case err == nil:
			w.commits.Add(1)
		case errors.Is(err, context.Canceled):
			return
		}
		pause(ctx, 5*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (w *writers) end() int64 {
	w.stop()
	w.wg.Wait()
	return w.commits.Load()
}

// trouble kills agents and cuts lines at random for a while.
func (p *mesh) trouble(r *rand.Rand, d time.Duration) (kills, cuts int) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		<-time.After(time.Duration(200+r.IntN(1200)) * time.Millisecond)
		s := p.sites[r.IntN(len(p.sites))]
		if r.IntN(2) == 0 {
			s.kill()
			<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
			s.start()
			kills++
		} else {
			s.proxy.Cut()
			<-time.After(time.Duration(r.IntN(1500)) * time.Millisecond)
			s.proxy.Heal()
			cuts++
		}
	}
	return kills, cuts
}

// Counters of the same rows are raised and lowered at all sites at once, with agents
// killed and lines cut: in the end each is what it was plus all that was booked.
func TestInventoryAddsUp(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d sites", n), func(t *testing.T) {
			m := newMesh(t, n, pairOptions{versions: []int{15, 18}, schema: counterSchema, rules: counterRules})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var all []*writers
			for i, s := range m.sites {
				s.start()
				all = append(all, startWriters(t, s, 8, seed+uint64(i), bookAt(s)))
			}
			kills, cuts := m.trouble(rand.New(rand.NewPCG(seed, 99)), time.Duration(8*scale())*time.Second)
			var commits int64
			for _, w := range all {
				commits += w.end()
			}
			m.drain(120 * time.Second)
			m.requireEqual()
			for _, s := range m.sites {
				wrong := s.query(`SELECT i.id, i.on_hand, 1000000 + b.sum, i.price FROM inventory i
					JOIN (SELECT item, sum(delta) FROM booking GROUP BY 1) b ON b.item = i.id
					WHERE i.on_hand <> 1000000 + b.sum OR i.price <> 10 + b.sum * 0.0001`)
				if len(wrong) > 0 {
					t.Errorf("%s: item, on hand, booked, price: %v", s.name, wrong)
				}
				if parked := s.one("SELECT count(*) FROM concord.parked"); parked != "0" {
					t.Errorf("%s: %s changes are parked", s.name, parked)
				}
			}
			t.Logf("%d transactions, %d kills, %d cuts, %s conflicts at %s", commits, kills, cuts,
				m.sites[0].one("SELECT count(*) FROM concord.conflict"), m.sites[0].name)
		})
	}
}

func bookAt(s *site) func(context.Context, *pgx.Conn, int, int64, *rand.Rand) error {
	return func(ctx context.Context, conn *pgx.Conn, writer int, n int64, r *rand.Rand) error {
		item, delta := 1+r.IntN(20), r.IntN(200)-100
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "UPDATE inventory SET on_hand = on_hand + $1, price = price + $1 * 0.0001, note = $2 WHERE id = $3", delta, s.name, item); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO booking VALUES ($1, $2, $3, $4, $5)", s.name, writer, n, item, delta)
			return err
		})
	}
}

// Money moves between accounts at all sites at once: whoever adds the accounts up, at
// any site and any moment, finds the same total.
func TestTheBankNeverLosesMoney(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d sites", n), func(t *testing.T) {
			m := newMesh(t, n, pairOptions{versions: []int{18, 15}, schema: counterSchema, rules: counterRules})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var all, readers []*writers
			for i, s := range m.sites {
				s.start()
				all = append(all, startWriters(t, s, 4, seed+uint64(i), transfer))
				readers = append(readers, startWriters(t, s, 1, 0, func(ctx context.Context, conn *pgx.Conn, _ int, _ int64, _ *rand.Rand) error {
					var total string
					if err := conn.QueryRow(ctx, "SELECT sum(balance)::text FROM accounts").Scan(&total); err != nil {
						return err
					}
					if total != "2000" {
						t.Errorf("%s: the accounts hold %s, not 2000", s.name, total)
					}
					return nil
				}))
			}
			kills, cuts := m.trouble(rand.New(rand.NewPCG(seed, 99)), time.Duration(6*scale())*time.Second)
			var commits, reads int64
			for _, w := range all {
				commits += w.end()
			}
			m.drain(120 * time.Second)
			for _, w := range readers {
				reads += w.end()
			}
			m.requireEqual()
			t.Logf("%d transfers, %d reads of the total, %d kills, %d cuts, %s conflicts at %s", commits, reads, kills, cuts,
				m.sites[0].one("SELECT count(*) FROM concord.conflict"), m.sites[0].name)
		})
	}
}

func transfer(ctx context.Context, conn *pgx.Conn, _ int, _ int64, r *rand.Rand) error {
	from, to := 1+r.IntN(20), 1+r.IntN(20)
	if from == to {
		return nil
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE accounts SET balance = balance + CASE id WHEN $1 THEN -$3::numeric ELSE $3::numeric END WHERE id IN ($1, $2)", from, to, r.IntN(100))
		return err
	})
}
