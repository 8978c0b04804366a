package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	mysqlSchema = "CREATE TABLE marker (id varchar(60) PRIMARY KEY);\n" +
		"CREATE TABLE accounts (id int PRIMARY KEY, owner varchar(80), balance decimal(20,4), note mediumtext, seen datetime(6), flags set('a','b','c'), kind enum('x','y'), raw varbinary(40), big bigint unsigned);\n" +
		"CREATE TABLE ledger (id varchar(40) PRIMARY KEY, amount int NOT NULL);\n"
	mysqlRules = "[[table]]\nmatch = \"shop.*\"\n"
)

// mysqlLoad writes at one site until it is told to end: rows that only it makes, and
// conflicting writes of rows that every site writes.
type mysqlLoad struct {
	end     func() int64
	commits atomic.Int64
}

func startMySQLLoad(t *testing.T, s *site, writers int, seed uint64) *mysqlLoad {
	ctx, cancel := context.WithCancel(context.Background())
	l := &mysqlLoad{}
	var group sync.WaitGroup
	l.end = func() int64 {
		cancel()
		group.Wait()
		return l.commits.Load()
	}
	t.Cleanup(cancel)
	for w := range writers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for n := 0; ctx.Err() == nil; n++ {
				if l.transaction(s, r, fmt.Sprintf("%s-%d-%d", s.name, w, n)) {
					l.commits.Add(1)
				}
				poll()
			}
		})
	}
	return l
}

// transaction reports whether it committed; a server that is down or a deadlock ends it.
func (l *mysqlLoad) transaction(s *site, r *rand.Rand, name string) bool {
	c, err := connectTo(s)
	if err != nil {
		return false
	}
	defer c.Close()
	statements := []string{"BEGIN", fmt.Sprintf("INSERT INTO ledger VALUES ('%s', %d)", name, r.IntN(1000))}
	for range 1 + r.IntN(3) {
		id := r.IntN(40)
		switch r.IntN(6) {
		case 0:
			statements = append(statements, fmt.Sprintf("DELETE FROM accounts WHERE id = %d", id))
		case 1, 2:
			statements = append(statements, fmt.Sprintf("REPLACE INTO accounts VALUES (%d, 'it''s %s €', %d.%04d, repeat('n', %d), '2026-11-23 10:00:00.%06d', 'a,c', 'y', x'00ff%02x', 18446744073709551%03d)",
				id, name, r.IntN(1e6), r.IntN(1e4), r.IntN(300), r.IntN(1e6), r.IntN(256), r.IntN(616)))
		default:
			statements = append(statements, fmt.Sprintf("UPDATE accounts SET owner = '%s', balance = balance + 1.5, flags = '%s' WHERE id BETWEEN %d AND %d", name, []string{"", "a", "b,c"}[r.IntN(3)], id, id+r.IntN(4)))
		}
	}
	for _, sql := range append(statements, "COMMIT") {
		if _, err := c.Execute(sql); err != nil {
			return false
		}
	}
	return true
}
