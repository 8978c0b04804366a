package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

// originFunctions are what apply and the probe call to mark what they write; only
// superusers may until they are granted. Their arguments differ between versions, so
// they are looked up by name.
var originFunctions = []string{
	"pg_replication_origin_create",
	"pg_replication_origin_oid",
	"pg_replication_origin_progress",
	"pg_replication_origin_session_is_setup",
	"pg_replication_origin_session_reset",
	"pg_replication_origin_session_setup",
	"pg_replication_origin_xact_reset",
	"pg_replication_origin_xact_setup",
}

// settableParameters are what apply sets for itself: no triggers and foreign keys,
// which fired at the origin, and giving way in a deadlock.
var settableParameters = []string{"session_replication_role", "deadlock_timeout"}

// controlRights are the rights on Concord's own tables. The timeline of the site row
// follows a promotion.
var controlRights = []struct{ object, rights string }{
	{"site", "SELECT, UPDATE (timeline)"},
	{"checkpoint", "SELECT, INSERT, UPDATE, DELETE"},
	{"heartbeat", "SELECT, INSERT, UPDATE, DELETE"},
	{"conflict", "SELECT, INSERT, UPDATE, DELETE"},
	{"parked", "SELECT, INSERT, UPDATE, DELETE"},
	{"hold", "SELECT, INSERT, UPDATE, DELETE"},
	{"rules", "SELECT, INSERT, UPDATE"},
	{"conflicts", "SELECT"},
	{"status", "SELECT"},
}

// Grants lists the statements that give role exactly what the agents need, for this
// server and the tables of the configuration, to be run by a superuser before or
// after init. The control schema need not exist for them to be listed.
func (db *DB) Grants(ctx context.Context, role string) ([]string, error) {
	conn, err := db.connect(ctx, roleAdmin)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	c, err := loadCatalog(ctx, conn, db.opts.Tables)
	if err != nil {
		return nil, err
	}
	return db.grants(ctx, conn, role, c)
}

func (db *DB) grants(ctx context.Context, q querier, role string, c *catalog) ([]string, error) {
	to := " TO " + quote(role)
	var database string
	var login, replication bool
	err := q.QueryRow(ctx, `SELECT current_database(), coalesce(r.rolcanlogin, false), coalesce(r.rolreplication OR r.rolsuper, false)
		FROM (VALUES (1)) v LEFT JOIN pg_roles r ON r.rolname = $1`, role).Scan(&database, &login, &replication)
	if err != nil {
		return nil, fmt.Errorf("reading role %s: %w", role, err)
	}
	var exists bool
	if err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists); err != nil {
		return nil, fmt.Errorf("reading role %s: %w", role, err)
	}
	var sql []string
	switch {
	case !exists:
		sql = append(sql, "CREATE ROLE "+quote(role)+" LOGIN REPLICATION")
	case !login || !replication:
		sql = append(sql, "ALTER ROLE "+quote(role)+" LOGIN REPLICATION")
	}
	sql = append(sql, "GRANT CONNECT ON DATABASE "+quote(database)+to)

	var schemas, tables []string
	for _, t := range c.tables {
		if s := quote(t.schema); !slices.Contains(schemas, s) {
			schemas = append(schemas, s)
		}
		tables = append(tables, quote(t.schema, t.name))
	}
	slices.Sort(schemas)
	slices.Sort(tables)
	if len(tables) > 0 {
		sql = append(sql,
			"GRANT USAGE ON SCHEMA "+strings.Join(schemas, ", ")+to,
			"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLE "+strings.Join(tables, ", ")+to)
	}
	sql = append(sql, "GRANT USAGE ON SCHEMA "+quote(controlSchema)+to)
	for _, r := range controlRights {
		sql = append(sql, "GRANT "+r.rights+" ON TABLE "+quote(controlSchema, r.object)+to)
	}
	functions, err := readOriginFunctions(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		sql = append(sql, "GRANT EXECUTE ON FUNCTION "+f+to)
	}
	return append(sql, "GRANT SET ON PARAMETER "+strings.Join(settableParameters, ", ")+to), nil
}

// readOriginFunctions returns the origin functions of this server with their
// arguments, as GRANT names them.
func readOriginFunctions(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT 'pg_catalog.' || quote_ident(proname) || '(' || pg_get_function_identity_arguments(oid) || ')'
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY($1::text[]) ORDER BY 1`, originFunctions)
	if err != nil {
		return nil, fmt.Errorf("reading the origin functions: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("reading the origin functions: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("reading the origin functions: %w: the server has none", change.ErrRefused)
	}
	return names, nil
}

// missingGrants lists the statements for the rights that the connected role lacks.
func missingGrants(ctx context.Context, q querier, c *catalog, needOrigins bool) ([]string, error) {
	var role, database string
	var superuser, replication, connect bool
	err := q.QueryRow(ctx, `SELECT current_user, current_database(), rolsuper, rolreplication OR rolsuper,
		has_database_privilege(current_database(), 'CONNECT') FROM pg_roles WHERE rolname = current_user`).
		Scan(&role, &database, &superuser, &replication, &connect)
	if err != nil {
		return nil, fmt.Errorf("reading the rights of the role: %w", err)
	}
	if superuser {
		return nil, nil
	}
	to := " TO " + quote(role)
	var missing []string
	need := func(has bool, sql string) {
		if !has {
			missing = append(missing, sql)
		}
	}
	var faults []error
	ask := func(query string, args ...any) bool {
		var has *bool // null: the object does not exist, which another check tells
		if err := q.QueryRow(ctx, query, args...).Scan(&has); err != nil {
			faults = append(faults, fmt.Errorf("reading the rights of the role: %w", err))
		}
		return has == nil || *has
	}
	need(replication, "ALTER ROLE "+quote(role)+" REPLICATION")
	schemas := map[string]bool{}
	for _, t := range c.tables {
		if !schemas[t.schema] {
			schemas[t.schema] = true
			need(ask(`SELECT has_schema_privilege($1, 'USAGE')`, t.schema), "GRANT USAGE ON SCHEMA "+quote(t.schema)+to)
		}
		for _, right := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"} {
			need(ask(`SELECT has_table_privilege($1::oid, $2)`, t.oid, right), "GRANT "+right+" ON TABLE "+quote(t.schema, t.name)+to)
		}
	}
	need(ask(`SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1
		UNION ALL SELECT NULL LIMIT 1`, controlSchema), "GRANT USAGE ON SCHEMA "+quote(controlSchema)+to)
	for _, r := range controlRights {
		for right := range strings.SplitSeq(r.rights, ", ") {
			has := `SELECT has_table_privilege(c.oid, $2)`
			what := right
			if name, column, ok := strings.Cut(right, " ("); ok {
				has, what = `SELECT has_column_privilege(c.oid, `+literal(strings.TrimSuffix(column, ")"))+`, $2)`, name
			}
			need(ask(has+` FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'concord' AND c.relname = $1
				UNION ALL SELECT NULL LIMIT 1`, r.object, what), "GRANT "+right+" ON TABLE "+quote(controlSchema, r.object)+to)
		}
	}
	if needOrigins {
		functions, err := readOriginFunctions(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, f := range functions {
			need(ask(`SELECT has_function_privilege($1, 'EXECUTE')`, f), "GRANT EXECUTE ON FUNCTION "+f+to)
		}
	}
	for _, p := range settableParameters {
		need(ask(`SELECT has_parameter_privilege($1, 'SET')`, p), "GRANT SET ON PARAMETER "+p+to)
	}
	return missing, errors.Join(faults...)
}
