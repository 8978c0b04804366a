package mysql

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/engine/site"
)

// record writes a conflict record as apply would.
func (a *admins) record(at time.Time, table, kind string, n int) {
	a.t.Helper()
	a.app.run(fmt.Sprintf("INSERT INTO concord.conflict (at, table_name, `key`, kind, policy, resolution, older_origin, older_seq, older_hlc, older_op, older_row,"+
		" newer_origin, newer_seq, newer_hlc, newer_op, result_row, key_hash, newer_commit, base_known)"+
		` VALUES ('%s', '%s', '{"id": "%[3]d"}', '%[4]s', 'last_write_wins', 'newer', 'mumbai', %[3]d, 256, 'update', '{"id": "%[3]d", "name": "ü"}',`+
		` 'pune', 7, 512, 'delete', NULL, '%032[3]d', '2026-01-02 03:04:05.678901', TRUE)`, datetime(at), table, n, kind))
}

func TestConflictsAreListedNewestFirstPageByPage(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{})
		start := time.Date(2026, 7, 1, 12, 0, 0, 123456000, time.UTC)
		for n := range 10 {
			a.record(start.Add(time.Duration(n/2)*time.Minute), fmt.Sprint("shop.t", n%2), []string{"insert_exists", "update_deleted"}[n%2], n+1)
		}
		var keys []string
		f := site.ConflictFilter{Limit: 3}
		for pages := 1; ; pages++ {
			page, err := db.ListConflicts(a.ctx, f)
			if err != nil {
				a.t.Fatal(err)
			}
			for _, c := range page.Conflicts {
				keys = append(keys, fmt.Sprint(c.Older.Seq))
			}
			if page.Next == "" {
				if pages != 4 {
					a.t.Errorf("%d pages of 3", pages)
				}
				break
			}
			if f.After, err = site.ParseConflictCursor(page.Next); err != nil {
				a.t.Fatal(err)
			}
		}
		if want := []string{"10", "9", "8", "7", "6", "5", "4", "3", "2", "1"}; !reflect.DeepEqual(keys, want) {
			a.t.Errorf("listed %v", keys)
		}
		for name, c := range map[string]struct {
			f    site.ConflictFilter
			want int
		}{
			"since": {site.ConflictFilter{Since: start.Add(4 * time.Minute)}, 2},
			"until": {site.ConflictFilter{Until: start.Add(time.Minute)}, 2},
			"table": {site.ConflictFilter{Table: "shop.t1"}, 5},
			"kind":  {site.ConflictFilter{Kind: "update_deleted", Since: start.Add(time.Minute)}, 4},
		} {
			if page, err := db.ListConflicts(a.ctx, c.f); err != nil || len(page.Conflicts) != c.want {
				a.t.Errorf("%s: %d records, %v, want %d", name, len(page.Conflicts), err, c.want)
			}
		}
		if conflicts, parked, err := db.Counts(a.ctx); conflicts != 10 || parked != 0 || err != nil {
			a.t.Errorf("counted %d and %d, %v", conflicts, parked, err)
		}
	})
}

func TestAConflictReadsAsItWasRecorded(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{})
		at := time.Date(2026, 7, 1, 12, 0, 0, 123456000, time.UTC)
		a.record(at, "shop.t", "update_deleted", 5)
		page, err := db.ListConflicts(a.ctx, site.ConflictFilter{})
		if err != nil || len(page.Conflicts) != 1 {
			a.t.Fatalf("%+v, %v", page, err)
		}
		c, err := db.Conflict(a.ctx, page.Conflicts[0].ID)
		if err != nil || !reflect.DeepEqual(c, page.Conflicts[0]) {
			a.t.Errorf("listed as %+v, shown as %+v, %v", page.Conflicts[0], c, err)
		}
		commit := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
		want := site.Conflict{
			ID: c.ID, At: at, Table: "shop.t", Key: []byte(`{"id": "5"}`), Kind: "update_deleted", Policy: "last_write_wins", Resolution: "newer",
			Older: site.ConflictSide{Origin: "mumbai", Seq: 5, HLC: 256, Op: "update", Row: []byte(`{"id": "5", "name": "ü"}`)},
			Newer: site.ConflictSide{Origin: "pune", Seq: 7, HLC: 512, Op: "delete", Commit: &commit, Row: []byte("null")},
			Base:  []byte("null"), Result: []byte("null"),
		}
		if !reflect.DeepEqual(c, want) {
			a.t.Errorf("%+v, want %+v", c, want)
		}
		if _, err := db.Conflict(a.ctx, c.ID+1); !errors.Is(err, fs.ErrNotExist) {
			a.t.Errorf("one that there is not: %v", err)
		}
	})
}

func TestOldAndTooManyConflictsAreForgotten(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{})
		for n := range 6 {
			a.record(time.Now().Add(-time.Duration(n)*time.Hour), "shop.t", "insert_exists", n+1)
		}
		// Of one that apply holds nothing is decided; nobody waits.
		holder := a.session(a.dsn)
		holder.run("START TRANSACTION", "SELECT * FROM concord.conflict WHERE older_seq = 6 FOR UPDATE")
		if n, err := db.PruneConflicts(a.ctx, 210*time.Minute, 0); n != 1 || err != nil {
			a.t.Errorf("pruned %d of two old ones, one held: %v", n, err)
		}
		holder.run("ROLLBACK")
		if n, err := db.PruneConflicts(a.ctx, 210*time.Minute, 0); n != 1 || err != nil {
			a.t.Errorf("pruned %d: %v", n, err)
		}
		if n, err := db.PruneConflicts(a.ctx, 24*time.Hour, 3); n != 1 || err != nil {
			a.t.Errorf("pruned %d of more than three: %v", n, err)
		}
		if got := a.app.text("SELECT group_concat(older_seq ORDER BY at DESC) FROM concord.conflict"); got != "1,2,3" {
			a.t.Errorf("%s are left", got)
		}
	})
}
