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

// loadSchema: accounts is written by both sites on the same rows; ledger takes one
// row for every transaction, so that a missing or doubled one shows; notes has its
// rows created and deleted by both.
const loadSchema = `
CREATE TABLE marker (id text PRIMARY KEY);
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, owner text NOT NULL, changed_by text);
CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL, n numeric(12,3));
CREATE TABLE ledger (site text, writer int, n bigint, what text NOT NULL, PRIMARY KEY (site, writer, n));
INSERT INTO accounts SELECT i, 1000, 'owner ' || i, 'start' FROM generate_series(1, 50) i;
`

// onceSchema, behind loadSchema, notes each time a row of ledger is written, by an
// application or by apply. It is not replicated and not undone by a second write.
const onceSchema = `
CREATE SCHEMA audit;
CREATE TABLE audit.written (site text, writer int, n bigint);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO audit.written VALUES (NEW.site, NEW.writer, NEW.n); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION audit.note();
ALTER TABLE ledger ENABLE ALWAYS TRIGGER note;
`

// load writes to one site with several writers until stopped.
type load struct {
	s       *site
	stop    context.CancelFunc
	wg      sync.WaitGroup
	commits atomic.Int64
}

// startLoad begins writing. Writers reconnect when the server goes away; a
// transaction whose commit was cut off may or may not be there, its number is not
// used again.
func startLoad(t *testing.T, s *site, writers int, seed uint64, pause time.Duration) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{s: s, stop: cancel}
	t.Logf("load on %s: seed %d", s.name, seed)
	for w := range writers {
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			l.write(ctx, w, rand.New(rand.NewPCG(seed, uint64(w))), pause)
		}()
	}
	t.Cleanup(func() { cancel(); l.wg.Wait() })
	return l
}

func (l *load) write(ctx context.Context, writer int, r *rand.Rand, pause time.Duration) {
	var conn *pgx.Conn
	var err error
	defer func() {
		if conn != nil {
			conn.Close(context.Background())
		}
	}()
	for n := int64(1); ctx.Err() == nil; n++ {
		if conn == nil || conn.IsClosed() {
			if conn, err = pgx.Connect(ctx, l.s.dsn); err != nil {
				conn = nil
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
		}
		if err := l.transaction(ctx, conn, writer, n, r); err == nil {
			l.commits.Add(1)
		} else if errors.Is(err, context.Canceled) {
			return
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

func (l *load) transaction(ctx context.Context, conn *pgx.Conn, writer int, n int64, r *rand.Rand) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		what := ""
		for range 1 + r.IntN(3) {
			sql := statement(l.s.name, r)
			what += sql + "; "
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO ledger VALUES ($1, $2, $3, $4)", l.s.name, writer, n, what)
		return err
	})
}

func statement(site string, r *rand.Rand) string {
	id := 1 + r.IntN(60)
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		return fmt.Sprintf("UPDATE accounts SET balance = balance + %d, changed_by = '%s' WHERE id = %d", r.IntN(200)-100, site, id)
	case 4:
		return fmt.Sprintf("DELETE FROM accounts WHERE id = %d", id)
	case 5:
		return fmt.Sprintf("INSERT INTO accounts VALUES (%d, %d, 'new', '%s') ON CONFLICT (id) DO UPDATE SET balance = excluded.balance, changed_by = excluded.changed_by", id, r.IntN(1000), site)
	case 6, 7:
		return fmt.Sprintf("INSERT INTO notes VALUES (%d, '%s %d', %d.%03d) ON CONFLICT (id) DO NOTHING", id, site, r.IntN(1000), r.IntN(99), r.IntN(999))
	case 8:
		return fmt.Sprintf("UPDATE notes SET body = body || '.', n = n + 1 WHERE id = %d", id)
	default:
		return fmt.Sprintf("DELETE FROM notes WHERE id = %d", id)
	}
}

// end stops the load and returns how many transactions are known to be committed.
func (l *load) end() int64 {
	l.stop()
	l.wg.Wait()
	return l.commits.Load()
}

// requireLedger checks that each site has every transaction of both, once: the
// ledger has one row for each, and both sites hold the same.
func (p *mesh) requireLedger(commits ...int64) {
	p.t.Helper()
	var sum int64
	for _, c := range commits {
		sum += c
	}
	for _, s := range p.sites {
		var n int64
		if _, err := fmt.Sscan(s.one("SELECT count(*) FROM ledger"), &n); err != nil {
			p.t.Fatal(err)
		}
		if n < sum {
			p.t.Errorf("%s: ledger has %d transactions, %d were committed", s.name, n, sum)
		}
		p.t.Logf("%s: %d transactions in the ledger, %d known to be committed", s.name, n, sum)
	}
}

// requireOnce checks that each site wrote each transaction of the ledger once, and
// that none was applied twice. The schema has onceSchema.
func (p *mesh) requireOnce() {
	p.t.Helper()
	for _, s := range p.sites {
		written := s.query("SELECT site, writer, n, count(*) FROM audit.written GROUP BY 1, 2, 3 HAVING count(*) > 1 ORDER BY 1, 2, 3 LIMIT 5")
		if len(written) > 0 {
			p.t.Errorf("%s: applied more than once (site|writer|n|times): %v", s.name, written)
		}
		if n := s.one("SELECT count(*) - (SELECT count(*) FROM ledger) FROM audit.written"); n != "0" {
			p.t.Errorf("%s: %s more writes than transactions in the ledger", s.name, n)
		}
	}
}
