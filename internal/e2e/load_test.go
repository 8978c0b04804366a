package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

func (l *load) write(ctx context.Context, writer int, r *rand.Rand, wait time.Duration) {
	var c session
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	for n := int64(1); ctx.Err() == nil; n++ {
		if c == nil || c.closed() {
			var err error
			if c, err = l.s.connect(ctx); err != nil {
				c = nil
				pause(ctx, 100*time.Millisecond)
				continue
			}
		}
		if err := c.transaction(ctx, l.transaction(writer, n, r)); err == nil {
			l.commits.Add(1)
		} else if errors.Is(err, context.Canceled) {
			return
		}
		if wait > 0 {
			pause(ctx, wait)
		}
	}
}

func (l *load) transaction(writer int, n int64, r *rand.Rand) []string {
	var all []string
	for range 1 + r.IntN(3) {
		all = append(all, statement(l.s, r))
	}
	what := strings.ReplaceAll(strings.Join(all, "; "), "'", "''")
	return append(all, fmt.Sprintf("INSERT INTO ledger VALUES ('%s', %d, %d, '%s')", l.s.name, writer, n, what))
}

func statement(s *site, r *rand.Rand) string {
	id, add, body := 1+r.IntN(60), r.IntN(200)-100, r.IntN(1000)
	replaced, ignored, longer := "ON CONFLICT (id) DO UPDATE SET balance = excluded.balance, changed_by = excluded.changed_by", "ON CONFLICT (id) DO NOTHING", "body || '.'"
	if s.mysql != nil {
		replaced, ignored, longer = "ON DUPLICATE KEY UPDATE balance = VALUES(balance), changed_by = VALUES(changed_by)", "ON DUPLICATE KEY UPDATE id = id", "concat(body, '.')"
	}
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		return fmt.Sprintf("UPDATE accounts SET balance = balance + %d, changed_by = '%s' WHERE id = %d", add, s.name, id)
	case 4:
		return fmt.Sprintf("DELETE FROM accounts WHERE id = %d", id)
	case 5:
		return fmt.Sprintf("INSERT INTO accounts VALUES (%d, %d, 'new', '%s') %s", id, body, s.name, replaced)
	case 6, 7:
		return fmt.Sprintf("INSERT INTO notes VALUES (%d, '%s %d', %d.%03d) %s", id, s.name, body, r.IntN(99), r.IntN(999), ignored)
	case 8:
		return fmt.Sprintf("UPDATE notes SET body = %s, n = n + 1 WHERE id = %d", longer, id)
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
