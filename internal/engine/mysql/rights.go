package mysql

import (
	"context"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/internal/engine/site"
)

// rights lists what the connected user may not do but must. Rights on tables are found
// by explaining the statements that need them, so that it does not matter whether they
// come from a role, from the database or from the table.
func (e *examination) rights(ctx context.Context) error {
	if e.catalog == nil {
		return nil
	}
	who, err := currentAccount(ctx, e.c)
	if err != nil {
		return err
	}
	held, err := heldRights(ctx, e.c)
	if err != nil {
		return err
	}
	scope, err := grantScope(ctx, e.c)
	if err != nil {
		return err
	}
	to := " TO " + who.String()
	var missing []string
	need := func(has bool, right, on string) {
		if !has {
			missing = append(missing, "GRANT "+right+" ON "+on+to)
		}
	}
	for _, r := range globalRights[e.c.flavor] {
		need(held.on("*.*", r), r, "*.*")
	}
	for _, t := range controlTables {
		for _, right := range controlRights {
			has, err := may(ctx, e.c, right, "concord", t.name, t.column)
			if err != nil {
				return err
			}
			need(has, right, "`concord`.*")
		}
	}
	for _, t := range e.sorted() {
		for _, right := range rowRights {
			on := scope(t.schema)
			if right == "TRIGGER" {
				need(held.on("*.*", right) || held.on(on, right) || held.on(quote(t.schema)+".*", right) || held.on(quote(t.schema, t.name), right), right, on)
				continue
			}
			has, err := may(ctx, e.c, right, t.schema, t.name, t.columns[0].name)
			if err != nil {
				return err
			}
			need(has, right, on)
		}
	}
	if e.c.flavor == mySQL {
		for _, v := range lockViews {
			_, err := e.c.exec(ctx, "SELECT 1 FROM "+quote("performance_schema", v)+" LIMIT 0")
			if errorNumber(err) == 0 && err != nil {
				return err
			}
			need(err == nil, "SELECT", quote("performance_schema", v))
		}
	}
	missing = compactStrings(missing)
	if n := len(missing); n > 0 {
		e.add("rights", site.Critical, fmt.Sprintf("the role lacks %d of the rights it needs", n), strings.Join(missing, "; "))
		return nil
	}
	e.fine("rights", "the role may do all it needs")
	return nil
}

// compactStrings leaves the first of equal texts.
func compactStrings(all []string) (out []string) {
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// controlTables are what the agents write, each with one of its columns.
var controlTables = []struct{ name, column string }{
	{"site", "one"}, {"checkpoint", "origin"}, {"heartbeat", "site"}, {"conflict", "id"}, {"parked", "id"}, {"hold", "origin"}, {"rules", "site"},
}

// may reports whether a statement that needs the right would be let through. Of what is
// not there it says yes: another check tells.
func may(ctx context.Context, c *conn, right, schema, table, column string) (bool, error) {
	t, col := quote(schema, table), quote(column)
	sql := map[string]string{
		"SELECT": "EXPLAIN SELECT " + col + " FROM " + t + " WHERE FALSE",
		"INSERT": "EXPLAIN INSERT INTO " + t + " (" + col + ") SELECT " + col + " FROM " + t + " WHERE FALSE",
		"UPDATE": "EXPLAIN UPDATE " + t + " SET " + col + " = " + col + " WHERE FALSE",
		"DELETE": "EXPLAIN DELETE FROM " + t + " WHERE FALSE",
	}[right]
	_, err := c.exec(ctx, sql)
	switch errorNumber(err) {
	case gomysql.ER_TABLEACCESS_DENIED_ERROR, gomysql.ER_COLUMNACCESS_DENIED_ERROR, gomysql.ER_DBACCESS_DENIED_ERROR:
		return false, nil
	case 0:
		return err == nil, err
	}
	return true, nil // the server got beyond the question of rights
}

func currentAccount(ctx context.Context, c *conn) (a account, err error) {
	err = c.rows(ctx, "SELECT CURRENT_USER()", func(row []string) { a = parseAccount(row[0]) })
	return a, err
}

// grantLines are what SHOW GRANTS says of the session, roles that are active included.
type grantLines []struct{ rights, on string }

func heldRights(ctx context.Context, c *conn) (held grantLines, err error) {
	err = c.rows(ctx, "SHOW GRANTS", func(row []string) {
		rest, isGrant := strings.CutPrefix(row[0], "GRANT ")
		rights, on, hasScope := strings.Cut(rest, " ON ")
		if isGrant && hasScope {
			on, _, _ = strings.Cut(on, " TO ")
			held = append(held, struct{ rights, on string }{", " + rights + ", ", on})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading the rights of the role: %w", err)
	}
	return held, nil
}

// on reports whether the right is held there.
func (g grantLines) on(scope, right string) bool {
	for _, l := range g {
		if l.on == scope && (strings.Contains(l.rights, ", "+right+", ") || strings.Contains(l.rights, ", ALL PRIVILEGES, ")) {
			return true
		}
	}
	return false
}
