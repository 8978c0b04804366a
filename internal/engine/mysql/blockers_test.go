package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
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

// Apply gives way at once, so nobody waits. Who makes it do so is named all the same, by
// the lock that it was refused, and only for as long as that is news.
func TestWhoMakesApplyGiveWayIsNamed(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id int PRIMARY KEY, n int)", "INSERT INTO item VALUES (1, 0)")
		b.run("START TRANSACTION", "UPDATE item SET n = n + 1")
		if all, err := b.db.Blockers(b.ctx); len(all) != 0 || err != nil {
			t.Errorf("apply has not been refused anything: %q, %v", all, err)
		}
		tx := b.begin()
		_, err := tx.Write(b.ctx, []apply.Write{{Action: apply.Update, Row: &change.Row{Table: b.shape("item"), Op: change.Update, New: []change.Value{change.TextValue("1"), change.TextValue("7")}}}})
		if !errors.Is(err, apply.ErrTransient) {
			t.Fatalf("writing a locked row: %v", err)
		}
		tx.Rollback(b.ctx)
		want := fmt.Sprintf("session %d of admin", b.app.c.GetConnectionID())
		eventually(t, want, func() bool {
			all, err := b.db.Blockers(b.ctx)
			if err != nil {
				t.Fatal(err)
			}
			return len(all) == 1 && strings.Contains(all[0], want)
		})
		b.run("ROLLBACK")
		eventually(t, "nobody", func() bool {
			all, err := b.db.Blockers(b.ctx)
			return err == nil && len(all) == 0
		})
	})
}
