package postgres

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/testcluster"
)

// testdata/control_1.sql is the oldest control schema there is in databases.
func TestInitBringsTheOldestControlSchemaUpToDate(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		oldest, err := os.ReadFile("testdata/control_1.sql")
		if err != nil {
			t.Fatal(err)
		}
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		const shape = `SELECT string_agg(format('%s.%s %s %s', table_name, column_name, data_type, is_nullable), E'\n' ORDER BY table_name, column_name, data_type)
			FROM (SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'concord'
			UNION ALL SELECT tablename, 'index', indexdef, '' FROM pg_indexes WHERE schemaname = 'concord') x(table_name, column_name, data_type, is_nullable)`
		fresh := a.app.text(shape)
		a.release()
		a.app.run(`CREATE TABLE public.kept AS SELECT * FROM concord.site`, `DROP SCHEMA concord CASCADE`, string(oldest),
			`INSERT INTO concord.site SELECT one, cluster, site, epoch, slot, start_position, system, timeline, created_at FROM public.kept`,
			`INSERT INTO concord.checkpoint VALUES ('pune', 1, 7, 8, now())`,
			`INSERT INTO concord.heartbeat VALUES ('mumbai', now())`,
			`INSERT INTO concord.conflict (at, table_name, key, kind, policy, resolution, older_origin, older_seq, older_hlc, older_op, older_row,
				newer_origin, newer_seq, newer_hlc, newer_op, newer_row, result_row)
			VALUES ('2026-07-31Z', 'public.t', '{"id": "1"}', 'update_deleted', 'last_write_wins', 'newer', 'mumbai', 1, 2, 'delete', NULL, 'pune', 3, 4, 'update', '{"id": "1"}', '{"id": "1"}')`,
			`DROP TABLE public.kept`)

		for what, err := range map[string]error{
			"epoch": func() error { _, err := a.Epoch(a.ctx); return err }(),
			"open":  func() error { _, err := a.Open(a.ctx, ""); return err }(),
		} {
			if !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "concord init --site mumbai") {
				t.Errorf("%s with the old schema: %v, want what to do", what, err)
			}
		}
		if !slices.ContainsFunc(a.Doctor(a.ctx), func(c Check) bool {
			return c.Status == site.Critical && c.Remedy == "concord init --site mumbai"
		}) {
			t.Error("doctor finds nothing")
		}

		report, err := a.Init(a.ctx, InitOptions{})
		if err != nil || !slices.Contains(report, "brought schema concord from version 1 to 2") {
			t.Fatalf("init: %q %v", report, err)
		}
		if report, err := a.Init(a.ctx, InitOptions{}); err != nil || len(report) != 0 {
			t.Errorf("init again: %q %v", report, err)
		}
		if got := a.app.text(shape); got != fresh {
			t.Errorf("the altered schema is\n%s\na fresh one\n%s", got, fresh)
		}
		a.want(`SELECT seq FROM concord.checkpoint`, "(7)")
		a.seq = 7
		a.acquire()
		tx := a.begin()
		if err := tx.Record(a.ctx, []apply.Conflict{someConflict(a.shape("t"), 2)}, nil); err != nil {
			t.Fatal(err)
		}
		a.commit(tx)
		page, err := a.ListConflicts(a.ctx, site.ConflictFilter{Table: "public.t"})
		if err != nil || len(page.Conflicts) != 2 {
			t.Fatalf("%+v %v", page, err)
		}
		if old := page.Conflicts[1]; old.Base != nil || old.Older.XID != 0 || old.Older.Commit != nil || string(old.Older.Row) != "null" {
			t.Errorf("the old conflict reads %+v", old)
		}
	})
}
