package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/concord-db/concord/internal/testcluster"
)

// Databases says which servers the two sites have.
type Databases string

// The choices.
const (
	Postgres Databases = "postgres" // PostgreSQL, the oldest and the newest that are installed
	MariaDB  Databases = "mariadb"
	MySQL    Databases = "mysql"
	Mixed    Databases = "mixed" // PostgreSQL in mumbai, MariaDB in pune
)

// ParseDatabases reads a choice.
func ParseDatabases(s string) (Databases, error) {
	switch d := Databases(s); d {
	case Postgres, MariaDB, MySQL, Mixed:
		return d, nil
	}
	return "", fmt.Errorf("--db %q is none of postgres, mariadb, mysql and mixed", s)
}

// schema is what the cluster calls the schema of the shop's tables.
func (d Databases) schema() string {
	if d == Postgres || d == Mixed {
		return "public"
	}
	return database
}

// names is what the sites that have the shop elsewhere call its tables: a line of a rule
// for the table, or for * of them; "" where all call them the same.
func (d Databases) names(table string) string {
	if d != Mixed {
		return ""
	}
	return fmt.Sprintf("names    = { %s = \"%s.%s\" }\n", names[1], database, table)
}

// servers lists who starts each site's server, and what it is for people.
func (d Databases) servers() (start [2]starter, what [2]string, err error) {
	postgres := func(i, version int) {
		start[i] = func(ctx context.Context, dir string, index int) (server, string, error) {
			return startPostgres(ctx, dir, index, version)
		}
		what[i] = fmt.Sprintf("PostgreSQL %d", version)
	}
	other := func(i int, product testcluster.Product) {
		start[i] = func(ctx context.Context, dir string, index int) (server, string, error) {
			return startMySQL(ctx, dir, index, product)
		}
		what[i] = map[testcluster.Product]string{testcluster.MariaDB: "MariaDB", testcluster.MySQL: "MySQL"}[product]
	}
	if d == MariaDB || d == MySQL {
		for i := range names {
			other(i, testcluster.Product(d))
		}
		return start, what, nil
	}
	installed := testcluster.Installed()
	if len(installed) == 0 {
		return start, what, errors.New("no PostgreSQL server is installed: run scripts/install-servers.sh")
	}
	// The oldest and the newest, as sites are seldom upgraded on one day.
	postgres(0, installed[0])
	if d == Mixed {
		other(1, testcluster.MariaDB)
	} else {
		postgres(1, installed[len(installed)-1])
	}
	return start, what, nil
}

// starter starts the server of the site at index and makes the shop anew; dsn is the
// shop's.
type starter func(ctx context.Context, dir string, index int) (s server, dsn string, err error)

// openShop connects to a site's database. all are those of the cluster.
func openShop(ctx context.Context, dsn string, all Databases) (shop, error) {
	if strings.HasPrefix(dsn, "postgres") {
		return openPostgres(ctx, dsn, all == Mixed)
	}
	return openMySQL(ctx, dsn)
}

// clientOf is how a person at a terminal connects.
func clientOf(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "postgres" || u.Scheme == "postgresql" {
		return "psql '" + dsn + "'"
	}
	return fmt.Sprintf("%s -h %s -P %s -u %s %s", u.Scheme, u.Hostname(), u.Port(), u.User.Username(), strings.TrimPrefix(u.Path, "/"))
}
