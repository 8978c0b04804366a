package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/testcluster"
)

// Two sites write two texts that are one key to the database, though their bytes differ,
// under a primary key and under a unique key at once: it is decided, as for any key.
func TestKeysThatACollationHoldsEqualAreDecided(t *testing.T) {
	for _, c := range []struct {
		product   testcluster.Product
		collation string
		pairs     [][2]string
	}{
		{testcluster.MySQL, "utf8mb4_0900_ai_ci", [][2]string{{"é", "E"}, {"straße", "STRASSE"}, {"Ǆ", "dž"}}},
		{testcluster.MariaDB, "utf8mb4_general_ci", [][2]string{{"é", "E"}, {"o", "Ö  "}}},
		{testcluster.MariaDB, "utf8mb4_uca1400_ai_ci", [][2]string{{"é", "E"}, {"straße", "STRASSE "}}},
	} {
		t.Run(c.collation, func(t *testing.T) {
			p := newPair(t, pairOptions{products: engines{c.product, c.product}, rules: mysqlRules,
				mysql: fmt.Sprintf("CREATE TABLE marker (id varchar(60) PRIMARY KEY);\n"+
					"CREATE TABLE word (id varchar(40) COLLATE %[1]s PRIMARY KEY, site varchar(10));\n"+
					"CREATE TABLE person (id int PRIMARY KEY, name varchar(40) COLLATE %[1]s UNIQUE, site varchar(10));\n", c.collation)})
			p.a.start()
			p.b.start()
			p.quiesce(60 * time.Second)
			p.a.proxy.Cut()
			p.b.proxy.Cut()
			for i, pair := range c.pairs {
				p.a.exec(fmt.Sprintf("INSERT INTO word VALUES ('%s', 'a');\nINSERT INTO person VALUES (%d, '%[1]s', 'a');\n", pair[0], 10+i))
				p.b.exec(fmt.Sprintf("INSERT INTO word VALUES ('%s', 'b');\nINSERT INTO person VALUES (%d, '%[1]s', 'b');\n", pair[1], 50+i))
			}
			p.a.proxy.Heal()
			p.b.proxy.Heal()
			p.quiesce(60 * time.Second)
			p.requireEqualMySQL()
			for _, s := range p.sites {
				for _, table := range []string{"word", "person"} {
					if got := s.query("SELECT count(*), min(site), max(site) FROM " + table)[0]; got != fmt.Sprintf("%d|b|b", len(c.pairs)) {
						t.Errorf("%s at %s: %s, want one row of each pair, the one written later", table, s.name, got)
					}
				}
				if got := s.query("SELECT count(*) FROM concord.parked")[0]; got != "0" {
					t.Errorf("%s: %s changes are parked", s.name, got)
				}
				if got := s.query("SELECT count(*) FROM concord.conflict")[0]; got == "0" {
					t.Errorf("%s: no conflict is recorded", s.name)
				}
			}
			// The key is one row from then on, in whatever letters it is named.
			p.a.exec(fmt.Sprintf("UPDATE word SET site = 'both' WHERE id = '%s';\n", c.pairs[0][0]))
			p.b.exec(fmt.Sprintf("UPDATE word SET id = '%s' WHERE id = '%s';\n", c.pairs[1][0], c.pairs[1][1]))
			p.quiesce(60 * time.Second)
			p.requireEqualMySQL()
		})
	}
}
