package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// globalRights are those on the whole server, which are there for no smaller part:
// reading the log and where it ends; at MariaDB also marking what apply writes by a
// server id, and seeing who holds it up.
var globalRights = map[flavor][]string{
	mySQL:   {"REPLICATION SLAVE", "REPLICATION CLIENT"},
	mariaDB: {"REPLICATION SLAVE", "BINLOG MONITOR", "BINLOG REPLAY", "PROCESS"},
}

// lockViews tell, at MySQL, who holds apply up.
var lockViews = []string{"data_lock_waits", "data_locks", "metadata_locks", "threads", "events_transactions_current", "session_connect_attrs"}

// rowRights are those on tables. TRIGGER lets doctor see the triggers that fire for what
// is applied.
var (
	rowRights     = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER"}
	controlRights = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
)

// account is a user with the hosts it may connect from.
type account struct{ user, host string }

// parseAccount reads USER or USER@HOST.
func parseAccount(s string) account {
	if i := strings.LastIndexByte(s, '@'); i > 0 {
		return account{s[:i], s[i+1:]}
	}
	return account{s, "%"}
}

func (a account) String() string { return literal(a.user) + "@" + literal(a.host) }

// Grants lists the statements that give role, USER or USER@HOST, exactly what the agents
// need, for this server and the databases of the tables that the configuration selects;
// to be run by an administrator before or after init. Rights are on whole databases: a
// table that is made later is replicated without more ado.
func (db *DB) Grants(ctx context.Context, role string) (all []string, err error) {
	err = db.admin(ctx, "listing the rights of "+role, func(c *conn) error {
		tables, err := loadCatalog(ctx, c, db.opts.Tables)
		if err != nil {
			return err
		}
		all, err = grants(ctx, c, parseAccount(role), tables)
		return err
	})
	return all, err
}

func grants(ctx context.Context, c *conn, a account, tables *catalog) ([]string, error) {
	to := " TO " + a.String()
	var sql []string
	exists, err := accountExists(ctx, c, a)
	if err != nil {
		return nil, err
	}
	if !exists {
		// Locked: nobody comes in without a password before it has one.
		sql = append(sql, "CREATE USER "+a.String()+" ACCOUNT LOCK")
	}
	sql = append(sql, "GRANT "+strings.Join(globalRights[c.flavor], ", ")+" ON *.*"+to)
	if c.flavor == mySQL {
		for _, v := range lockViews {
			sql = append(sql, "GRANT SELECT ON "+quote("performance_schema", v)+to)
		}
	}
	on, err := grantScope(ctx, c)
	if err != nil {
		return nil, err
	}
	sql = append(sql, "GRANT "+strings.Join(controlRights, ", ")+" ON "+on(controlSchema)+to)
	for _, s := range tables.schemas() {
		sql = append(sql, "GRANT "+strings.Join(rowRights, ", ")+" ON "+on(s)+to)
	}
	return sql, nil
}

// grantScope returns how GRANT names all tables of a database: _ and % in its name match
// other names unless they are escaped, or partial_revokes is on.
func grantScope(ctx context.Context, c *conn) (func(schema string) string, error) {
	escape := strings.NewReplacer(`\`, `\\`, "_", `\_`, "%", `\%`)
	err := c.rows(ctx, `SHOW GLOBAL VARIABLES LIKE 'partial\_revokes'`, func(row []string) {
		if row[1] == "ON" {
			escape = strings.NewReplacer()
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading partial_revokes: %w", err)
	}
	return func(schema string) string { return quote(escape.Replace(schema)) + ".*" }, nil
}

// schemas are the databases of the tables, by name.
func (c *catalog) schemas() []string {
	var all []string
	for _, t := range c.tables {
		all = append(all, t.schema)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func accountExists(ctx context.Context, c *conn, a account) (bool, error) {
	r, err := c.query(ctx, "SHOW GRANTS FOR "+a.String())
	switch errorNumber(err) {
	case gomysql.ER_NONEXISTING_GRANT:
		return false, nil
	case 0:
	default:
		return false, initError("looking for the account "+a.String(), err)
	}
	if err != nil {
		return false, fmt.Errorf("looking for the account %s: %w", a, err)
	}
	r.Close()
	return true, nil
}

// giveRights runs the grants. Those that are there already change nothing.
func (db *DB) giveRights(ctx context.Context, c *conn, role string, tables *catalog) (done string, err error) {
	a := parseAccount(role)
	sql, err := grants(ctx, c, a, tables)
	if err != nil {
		return "", err
	}
	done = "granted the agents' rights to " + a.String()
	for _, statement := range sql {
		if _, err := c.exec(ctx, statement); err != nil {
			return "", initError("granting rights to "+a.String(), err)
		}
		if strings.HasPrefix(statement, "CREATE USER ") {
			done = fmt.Sprintf("created the account %s, locked; give it a password: ALTER USER %s IDENTIFIED BY '…' ACCOUNT UNLOCK", a, a)
		}
	}
	return done, nil
}
