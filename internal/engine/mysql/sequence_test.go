package mysql

import (
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/engine/site"
)

// A column of MariaDB may take its numbers from a sequence, which two sites would both
// begin at 1.
func TestSequencesOfMariaDBAreSharedOut(t *testing.T) {
	onEach(t, func(a *admins) {
		if strings.HasPrefix(a.dsn, string(mySQL)) {
			return // it has none
		}
		a.app.run("CREATE SEQUENCE shop.numbers", "CREATE SEQUENCE shop.shared INCREMENT BY 2 START WITH 2",
			"CREATE TABLE shop.doc (id bigint DEFAULT (NEXT VALUE FOR shop.numbers) PRIMARY KEY, place bigint DEFAULT (NEXT VALUE FOR shop.shared))",
			"INSERT INTO shop.doc (id) VALUES (1700)")
		db := a.prepared(Options{Index: 1})
		checks := db.Doctor(a.ctx)
		if c := finding(checks, "shop.doc.id", "steps by 1", "ALTER SEQUENCE `shop`.`numbers` INCREMENT BY 2 RESTART WITH "); c == nil || c.Status != site.Critical {
			a.t.Errorf("the sequence of the key: %+v", checks)
		}
		if c := finding(checks, "shop.shared"); c != nil {
			a.t.Errorf("the sequence that has its share: %+v", *c)
		}
		a.app.run(strings.SplitN(finding(checks, "shop.doc.id").Remedy, " (", 2)[0])
		if c := finding(db.Doctor(a.ctx), "shop.doc.id"); c != nil {
			a.t.Errorf("after the remedy: %+v", *c)
		}
		tables, err := db.Schema(a.ctx)
		if err != nil || len(tables) != 1 {
			a.t.Fatalf("%+v, %v", tables, err)
		}
		for i, want := range []site.Sequence{{Column: "id", Name: "`shop`.`numbers`", Increment: 2}, {Column: "place", Name: "`shop`.`shared`", Increment: 2}} {
			got := tables[0].Sequences[i]
			want.Last = got.Last // the server takes many at once
			if got != want || got.Last%2 != 0 {
				a.t.Errorf("sequence %+v, want like %+v and of this site's share", got, want)
			}
		}
	})
}
