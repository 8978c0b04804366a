package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/testcluster"
)

// However many conflicts there are, a page of them is read from an index, and what is recorded finds what it replaces by an index too.
func TestAPageOfManyConflictsIsReadFromAnIndex(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		a.app.run(`INSERT INTO concord.conflict (at, table_name, key, key_hash, kind, policy, resolution, older_origin, older_seq, older_hlc, older_op, newer_origin, newer_seq, newer_hlc, newer_op)
			SELECT '2026-07-31Z'::timestamptz + n * interval '1 second', 'public.t' || n % 100, jsonb_build_object('id', n::text), md5(n::text)::uuid,
				CASE n % 3 WHEN 0 THEN 'insert_exists' ELSE 'update_origin_differs' END, 'last_write_wins', 'newer', 'mumbai', n, n, 'update', 'pune', n, n, 'update'
			FROM generate_series(1, 200000) n`, `ANALYZE concord.conflict`)
		plan := func(sql string, args ...any) string {
			t.Helper()
			rows, err := a.app.Query(a.ctx, "EXPLAIN "+sql, args...)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, line)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return strings.Join(lines, "\n")
		}
		start := time.Date(2026, 7, 31, 0, 0, 0, 0, time.UTC)
		after := site.ConflictCursor{At: start.Add(100_000 * time.Second), ID: 100_000}
		for _, tc := range []struct {
			f     site.ConflictFilter
			index string
		}{
			{site.ConflictFilter{}, "conflict_at"},
			{site.ConflictFilter{After: after}, "conflict_at"},
			{site.ConflictFilter{Since: start.Add(50_000 * time.Second), Until: start.Add(150_000 * time.Second), After: after}, "conflict_at"},
			{site.ConflictFilter{Kind: "insert_exists"}, "conflict_at"},
			{site.ConflictFilter{Table: "public.t7"}, "conflict_table"},
			{site.ConflictFilter{Table: "public.t7", Kind: "insert_exists", Since: start.Add(50_000 * time.Second), After: after}, "conflict_table"},
		} {
			tc.f.Limit = 50
			where, args := conflictsWhere(tc.f)
			if got := plan(conflictsQuery+where, args...); !strings.Contains(got, tc.index) || !strings.Contains(got, "Index Scan") || strings.Contains(got, "Seq Scan") {
				t.Errorf("%+v:\n%s", tc.f, got)
			}
			if page, err := a.ListConflicts(a.ctx, tc.f); err != nil || len(page.Conflicts) != 50 || page.Next == "" {
				t.Errorf("%+v: %d conflicts, next %q, %v", tc.f, len(page.Conflicts), page.Next, err)
			}
		}
		one := someConflict(a.shape("t"), 1)
		text, err := json.Marshal([]conflictRecord{conflictRecordOf(&one)})
		if err != nil {
			t.Fatal(err)
		}
		for what, sql := range map[string]string{"recording": conflictSQL, "looking for what is recorded": recordedSQL} {
			if got := plan(sql, string(text)); !strings.Contains(got, "using conflict_of") || strings.Contains(got, "Seq Scan on conflict") {
				t.Errorf("%s:\n%s", what, got)
			}
		}
		for what, sql := range map[string]string{
			"old":      fmt.Sprintf(`SELECT id FROM concord.conflict WHERE at < '%s' ORDER BY at, id LIMIT 1000 FOR UPDATE SKIP LOCKED`, start.Format(time.RFC3339)),
			"too many": `SELECT at, id FROM concord.conflict ORDER BY at DESC, id DESC OFFSET 100000 LIMIT 1`,
		} {
			if got := plan(sql); !strings.Contains(got, "using conflict_at") || strings.Contains(got, "Sort") {
				t.Errorf("finding those that are %s:\n%s", what, got)
			}
		}
		tx := a.begin()
		if err := tx.Record(a.ctx, []apply.Conflict{one}, nil); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)
	})
}
