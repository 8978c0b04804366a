package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/testcluster"
)

// servers are those of a pair that is written at both sides by a load: PostgreSQL in
// some versions, or other products.
type servers struct {
	versions []int
	products engines
}

var (
	postgres15 = servers{versions: []int{15, 15}}
	postgres18 = servers{versions: []int{18, 18}}
	mariaDB    = servers{products: engines{testcluster.MariaDB, testcluster.MariaDB}}
	mySQL      = servers{products: engines{testcluster.MySQL, testcluster.MySQL}}
	mixed      = servers{versions: []int{18}, products: engines{"", testcluster.MariaDB}}
)

func (s servers) String() string {
	name := s.products.String()
	if s.versions != nil {
		name = strings.Replace(name, "postgres", fmt.Sprintf("postgres %d", s.versions[0]), 1)
	}
	return name
}

// mysqlLoadSchema is loadSchema and onceSchema as MySQL and MariaDB write them.
const mysqlLoadSchema = `CREATE TABLE marker (id varchar(60) PRIMARY KEY);
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, owner text NOT NULL, changed_by text);
CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL, n numeric(12,3));
CREATE TABLE ledger (site varchar(20), writer int, n bigint, what text NOT NULL, PRIMARY KEY (site, writer, n));
INSERT INTO accounts WITH RECURSIVE i (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 50) SELECT i, 1000, concat('owner ', i), 'start' FROM i;
CREATE DATABASE audit;
CREATE TABLE audit.written (site varchar(20), writer int, n bigint);
CREATE TRIGGER inserted AFTER INSERT ON ledger FOR EACH ROW INSERT INTO audit.written VALUES (NEW.site, NEW.writer, NEW.n);
CREATE TRIGGER updated AFTER UPDATE ON ledger FOR EACH ROW INSERT INTO audit.written VALUES (NEW.site, NEW.writer, NEW.n);
`

// pair makes two sites with the tables of the load, and with what notes each row of
// ledger that is written.
func (s servers) pair(t *testing.T, o pairOptions) *pair {
	t.Helper()
	o.versions, o.products = s.versions, s.products
	o.rules = "[[table]]\nmatch = \"public.*\"\n"
	switch {
	case turn(s.products, 0) != "":
		o.rules = mysqlRules
	case turn(s.products, 1) != "":
		o.rules += "names = { pune = \"shop.*\" }\n"
	}
	postgres, others := loadSchema+onceSchema, mysqlLoadSchema
	if !s.products.alike() { // texts are as long as at the other site, and keys compare alike
		postgres = strings.NewReplacer("id text PRIMARY", "id varchar(60) PRIMARY", "site text,", "site varchar(20),").Replace(postgres)
		others = strings.NewReplacer(" text", " longtext", "varchar(20)", "varchar(20) "+binaryText(false), "varchar(60)", "varchar(60) "+binaryText(false)).Replace(others)
	}
	for i := range 2 {
		schema, product := postgres, turn(s.products, i)
		if product != "" {
			schema = strings.ReplaceAll(others, "binary_of_product", byteCollations[product])
		}
		o.schemas = append(o.schemas, schema)
	}
	return newPair(t, o)
}

// restartServer stops the site's server in order and starts it again; a server of MySQL
// then begins another file of its log.
func (s *site) restartServer() {
	s.t.Helper()
	var err error
	if s.mysql != nil {
		err = s.mysql.Stop(s.t.Context())
	} else {
		err = s.cluster.Stop(s.t.Context(), testcluster.Fast)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.startServer()
}

// requireEqualTexts compares the tables of sites that have different servers: every column
// as the server prints it.
func (p *mesh) requireEqualTexts() {
	p.t.Helper()
	first := p.sites[0]
	for _, table := range first.query("SELECT table_name FROM information_schema.tables WHERE table_schema IN ('public', 'shop') AND table_type = 'BASE TABLE' ORDER BY 1") {
		a := first.query("SELECT * FROM " + table)
		for _, s := range p.sites[1:] {
			b := s.query("SELECT * FROM " + table)
			if n := diff(p.t, table, s.name, a, b); n > 0 {
				p.t.Errorf("table %s: %d rows differ (%d at %s, %d at %s)", table, n, len(a), first.name, len(b), s.name)
			}
		}
	}
}
