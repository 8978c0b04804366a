package mysql

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhoHoldsApplyUpIsNamed(t *testing.T) {
	onEach(t, func(a *admins) {
		a.app.run("CREATE TABLE shop.item (id int PRIMARY KEY, n int)", "INSERT INTO shop.item VALUES (1, 0)")
		db := a.db(Options{})
		waiter, err := db.connect(a.ctx, roleAdmin)
		if err != nil {
			a.t.Fatal(err)
		}
		defer waiter.close()
		asker, err := db.connect(a.ctx, roleAdmin)
		if err != nil {
			a.t.Fatal(err)
		}
		defer asker.close()
		id := waiter.c.GetConnectionID()
		if all, err := blockers(a.ctx, asker, []uint32{id}); len(all) != 0 || err != nil {
			a.t.Errorf("nobody waits: %q, %v", all, err)
		}
		for _, held := range []string{"UPDATE shop.item SET n = n + 1", "LOCK TABLES shop.item WRITE"} {
			holder := a.session(a.dsn)
			holder.run("START TRANSACTION", held)
			done := make(chan error, 1)
			go func() {
				_, err := waiter.exec(a.ctx, "UPDATE shop.item SET n = n + 10 WHERE id = 1")
				done <- err
			}()
			want := fmt.Sprintf("session %d of admin", holder.c.c.GetConnectionID())
			if waiter.flavor == mariaDB && strings.HasPrefix(held, "LOCK") {
				want = "uses the table"
			}
			eventually(a.t, held+": "+want, func() bool {
				all, err := blockers(a.ctx, asker, []uint32{id})
				if err != nil || strings.Contains(strings.Join(all, ""), "n + 1") {
					a.t.Fatalf("%q, %v", all, err)
				}
				return len(all) == 1 && strings.Contains(all[0], want)
			})
			holder.run("UNLOCK TABLES", "ROLLBACK")
			if err := <-done; err != nil {
				a.t.Fatal(err)
			}
		}
	})
}
