package mysql

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/engine/site"
)

// A page of a long list is read by an index, whatever is asked for: what it costs does
// not grow with the list.
func TestAPageOfConflictsIsReadByAnIndex(t *testing.T) {
	onEach(t, func(a *admins) {
		a.prepared(Options{})
		start := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		for n := range 10 {
			a.record(start.Add(time.Duration(n)*time.Hour), fmt.Sprint("shop.t", n%2), []string{"insert_exists", "update_deleted"}[n%2], n)
		}
		for n := 10; n < 20000; n *= 2 {
			a.app.run("INSERT INTO concord.conflict (at, table_name, `key`, kind, policy, resolution, older_origin, older_seq, older_hlc, older_op, newer_origin, newer_seq, newer_hlc, newer_op)" +
				fmt.Sprintf(" SELECT at + INTERVAL %d SECOND, table_name, `key`, kind, policy, resolution, older_origin, older_seq, older_hlc, older_op, newer_origin, newer_seq, newer_hlc, newer_op FROM concord.conflict", n))
		}
		a.app.run("ANALYZE TABLE concord.conflict")
		middle := site.ConflictCursor{At: start.Add(4 * time.Hour), ID: 10000}
		for name, f := range map[string]site.ConflictFilter{
			"the first page":           {},
			"a page in the middle":     {After: middle},
			"a table":                  {Table: "shop.t1"},
			"a table, in the middle":   {Table: "shop.t1", After: middle},
			"since a moment":           {Since: start.Add(5 * time.Hour)},
			"until a moment":           {Until: start.Add(3 * time.Hour)},
			"a kind that half of have": {Kind: "insert_exists"},
		} {
			f.Limit = 100
			where, args := conflictsWhere(f)
			a.readsFew(name, 1000, func() error {
				page, err := readConflicts(a.ctx, a.app.c, where, args...)
				if err == nil && len(page) != 101 {
					err = fmt.Errorf("%d records", len(page))
				}
				return err
			})
		}
		oldest := datetime(start.Add(20 * time.Second))
		a.app.run("START TRANSACTION")
		for sql, args := range map[string][]any{
			pruneOldSQL:  {oldest, 10},
			pruneManySQL: {oldest, oldest, 1, 10},
		} {
			a.readsFew(sql, 100, func() error {
				r, err := a.app.c.query(a.ctx, sql, args...)
				if err == nil {
					r.Close()
				}
				return err
			})
		}
		a.app.run("ROLLBACK")
	})
}

// readsFew fails when what f asks makes the server read more than so many records.
func (a *admins) readsFew(what string, most int, f func() error) {
	a.t.Helper()
	a.app.run("FLUSH STATUS")
	if err := f(); err != nil {
		a.t.Fatalf("%s: %v", what, err)
	}
	read := 0
	if err := a.app.c.rows(a.ctx, "SHOW SESSION STATUS LIKE 'Handler\\_read%'", func(row []string) {
		n, _ := strconv.Atoi(row[1]) // they are numbers
		read += n
	}); err != nil {
		a.t.Fatal(err)
	}
	if read > most {
		a.t.Errorf("%s: %d of 20480 records were read", what, read)
	}
}
