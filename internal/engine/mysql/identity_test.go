package mysql

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

func TestAServerSaysWhoItIs(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.db(Options{})
		id, err := db.Identity(a.ctx)
		if err != nil || id.Epoch != 0 || id.Site != "" || id.Version == "" || !strings.HasPrefix(a.dsn, id.Engine+"://") {
			a.t.Errorf("before init: %+v, %v", id, err)
		}
		if _, err := db.Init(a.ctx, InitOptions{}); err != nil {
			a.t.Fatal(err)
		}
		id, err = db.Identity(a.ctx)
		if err != nil || id.Epoch != 1 || id.Site != "mumbai" || id.Cluster != "shop" || id.Log != "inactive" || id.Retained != 0 {
			a.t.Errorf("after init: %+v, %v", id, err)
		}
		if id.Offset.Abs() > time.Second+id.Uncertainty || id.Uncertainty <= 0 {
			a.t.Errorf("on one machine the clocks differ by %s, give or take %s", id.Offset, id.Uncertainty)
		}
	})
}

// What a crash may take back is not called safe.
func TestFlushPromisesWhatTheServerKeeps(t *testing.T) {
	onEach(t, func(a *admins) {
		before := a.app.text("SELECT @@global.sync_binlog")
		defer a.app.run("SET GLOBAL sync_binlog = " + before)
		db := a.db(Options{})
		a.app.run("SET GLOBAL sync_binlog = 1")
		if a.app.text("SELECT @@global.innodb_flush_log_at_trx_commit") == "1" {
			if err := db.Flush(a.ctx); err != nil {
				a.t.Errorf("with every commit on the disk: %v", err)
			}
		}
		a.app.run("SET GLOBAL sync_binlog = 100")
		if err := db.Flush(a.ctx); err == nil || !strings.Contains(err.Error(), change.ErrRefused.Error()) {
			a.t.Errorf("with commits in memory: %v", err)
		}
	})
}

// What has not been released is what the server must keep, over all its files.
func TestRetainedIsTheLogBehindWhatWasReleased(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{}, "CREATE TABLE shop.item (id int PRIMARY KEY, body longtext)")
		c := a.app.c
		at, err := c.startPosition(a.ctx)
		if err != nil {
			a.t.Fatal(err)
		}
		retained := func() int64 {
			a.t.Helper()
			n, err := db.RetainedBytes(a.ctx)
			if err != nil {
				a.t.Fatal(err)
			}
			return n
		}
		if n := retained(); n != 0 {
			a.t.Errorf("%d bytes before anything was released", n)
		}
		(&reader{db: db}).Release(at.position())
		if n := retained(); n != 0 {
			a.t.Errorf("%d bytes when all was released", n)
		}
		a.app.run("INSERT INTO shop.item VALUES (1, repeat('x', 100000))", "FLUSH BINARY LOGS", "INSERT INTO shop.item VALUES (2, repeat('x', 100000))")
		if n := retained(); n < 200000 || n > 210000 {
			a.t.Errorf("%d bytes, want those of two rows of 100000", n)
		}
	})
}

// What a person asks of a database that init has not prepared, or with an account that
// lacks a right, says what to do.
func TestAdministrationSaysWhatIsMissing(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.db(Options{})
		_, err := db.ListConflicts(a.ctx, site.ConflictFilter{})
		if !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "concord init --site mumbai") {
			a.t.Errorf("before init: %v", err)
		}
		a.prepared(Options{})
		a.app.run("DROP USER IF EXISTS agent@'%'", "CREATE USER agent@'%' IDENTIFIED BY 'Agent-1-pw'")
		defer a.app.run("DROP USER agent@'%'")
		db.dsn = a.as("agent", "Agent-1-pw")
		if _, err = db.ListConflicts(a.ctx, site.ConflictFilter{}); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "concord init --grants") {
			a.t.Errorf("without rights: %v", err)
		}
		if _, err = db.Epoch(a.ctx); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "concord init") {
			a.t.Errorf("the epoch without rights: %v", err)
		}
	})
}

// The other sites take the product from the dsn.
func TestADsnThatNamesTheOtherProductIsRefused(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		scheme, rest, _ := strings.Cut(dsn, "://")
		other := map[string]string{"mysql": "mariadb", "mariadb": "mysql"}[scheme]
		db := New(other+"://"+rest, Options{Site: "mumbai", Cluster: "shop"})
		defer db.Close(t.Context())
		_, err := db.Identity(t.Context())
		if !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "write "+scheme+"://") {
			t.Errorf("a %s behind %s:// is %v", scheme, other, err)
		}
	})
}
