package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/engine/enginetest"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestConformance(t *testing.T) {
	for _, version := range testcluster.Versions(t) {
		t.Run(fmt.Sprint("postgres", version), func(t *testing.T) {
			enginetest.Run(t, enginetest.Fixture{
				New: func(t *testing.T, o enginetest.SiteOptions) *enginetest.Site {
					return conformanceSite(t, version, o)
				},
				Types:   conformanceTypes,
				Dialect: conformanceDialect,
			})
		})
	}
}

var conformanceDialect = enginetest.Dialect{
	Setup: []string{
		`CREATE EXTENSION IF NOT EXISTS citext`,
		`CREATE TYPE mood AS ENUM ('glad', 'so so', 'it''s "bad", {really}')`,
		`CREATE TYPE pair AS (n int, s text)`,
		`CREATE TYPE floatrange AS RANGE (subtype = float8)`,
		`CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')`,
		`CREATE DOMAIN amount AS numeric(12,2) CHECK (VALUE >= 0)`,
		`CREATE DOMAIN flag AS boolean`,
		`CREATE DOMAIN digest AS bytea`,
		`CREATE DOMAIN narrow AS varchar(5)`,
	},
	Numbers: func(n int) string { return fmt.Sprintf("generate_series(1, %d) AS s(n)", n) },
	Bytes: func(n int, seed string) string {
		if n < 2000 {
			return fmt.Sprintf("left(repeat(md5((%s)::text), %d), %d)", seed, n/32+1, n)
		}
		return fmt.Sprintf("(SELECT left(string_agg(md5((%s)::text || '/' || i), ''), %d) FROM generate_series(1, %d) AS i)", seed, n, n/32+1)
	},
	FullImages: func(table string) string { return "ALTER TABLE " + table + " REPLICA IDENTITY FULL" },
	Widen: func(table, column string) string {
		return fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE bigint", table, column)
	},
	Audit: []string{
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (NEW.id); RETURN NULL; END $$`,
		`CREATE TRIGGER note AFTER INSERT ON main FOR EACH ROW EXECUTE FUNCTION note()`,
	},
	Unhurried: []string{`SET synchronous_commit = off`},
}

// conformanceSite prepares an empty database as a site. Its sessions have settings of
// every kind that must not matter.
func conformanceSite(t *testing.T, version int, o enginetest.SiteOptions) *enginetest.Site {
	t.Helper()
	var c *testcluster.Cluster
	if o.Own {
		c = testcluster.Own(t, testcluster.Options{Version: version, Settings: map[string]string{"max_wal_size": "4GB"}})
	} else {
		c = testcluster.ForTest(t, testcluster.Options{Version: version})
	}
	dsn := c.DSN("")
	app := application(t, dsn)
	for name, value := range map[string]string{
		"datestyle": "SQL, DMY", "timezone": "Asia/Kolkata", "bytea_output": "escape", "extra_float_digits": "-5", "intervalstyle": "iso_8601",
	} {
		app.run(fmt.Sprintf(`ALTER DATABASE %s SET %s = %s`, quote(c.Database()), name, literal(value)))
	}
	app.run(o.Schema...)
	opts := Options{Site: o.Name, Peers: o.Peers, Cluster: c.Database(), PartBytes: o.PartBytes}
	db := New(dsn, opts)
	t.Cleanup(func() {
		ctx := testContext(t)
		db.Close(ctx)
		if !o.Own { // origins outlive the test's database
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				t.Errorf("connecting: %v", err)
				return
			}
			defer closeConn(ctx, conn)
			waitFor(t, "the origins to be free", func() bool {
				_, err := conn.Exec(ctx, `SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE starts_with(roname, $1)`, db.slot())
				return err == nil
			})
		}
	})
	if _, err := db.Init(testContext(t), InitOptions{}); err != nil {
		t.Fatalf("preparing the site: %v", err)
	}
	// A successor begins with nothing of what its predecessor knew.
	succeed := func(ctx context.Context) *DB {
		db.Close(ctx)
		db = New(dsn, opts)
		return db
	}
	return &enginetest.Site{
		Database: db,
		Connect: func(ctx context.Context) (enginetest.Session, error) {
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				return nil, err
			}
			return conformanceSession{conn}, nil
		},
		Kill: func(ctx context.Context) (enginetest.Database, error) {
			if err := killAgents(ctx, dsn, opts); err != nil {
				return nil, err
			}
			return succeed(ctx), nil
		},
		Crash: func(ctx context.Context) (enginetest.Database, error) {
			if err := c.Kill(); err != nil {
				return nil, err
			}
			if err := c.Start(ctx); err != nil {
				return nil, err
			}
			return succeed(ctx), nil
		},
	}
}

// killAgents ends the sessions of a site's agents and waits until they are gone.
func killAgents(ctx context.Context, dsn string, opts Options) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	const sessions = `FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, $1)`
	prefix := fmt.Sprintf("concord/%s/", opts.Site)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for left := 1; left > 0; <-tick.C {
		if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) `+sessions, prefix); err != nil {
			return err
		}
		if err := conn.QueryRow(ctx, `SELECT count(*) `+sessions, prefix).Scan(&left); err != nil {
			return err
		}
	}
	return nil
}

type conformanceSession struct{ conn *pgx.Conn }

func (s conformanceSession) Exec(ctx context.Context, sql string) error {
	_, err := s.conn.Exec(ctx, sql)
	return err
}

func (s conformanceSession) Query(ctx context.Context, sql string) ([]string, error) {
	rows, err := s.conn.Query(ctx, sql, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var texts []string
		for _, raw := range row.RawValues() {
			if raw == nil {
				texts = append(texts, "NULL")
			} else {
				texts = append(texts, string(raw))
			}
		}
		return strings.Join(texts, "|"), nil
	})
}

func (s conformanceSession) Close(ctx context.Context) error { return s.conn.Close(ctx) }
