package mysql

import (
	"errors"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

func TestInitMayBeRunAgain(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{}, "CREATE TABLE shop.item (id int PRIMARY KEY)")
		start := a.app.text("SELECT start_position FROM concord.site")
		report, err := db.Init(a.ctx, InitOptions{})
		if err != nil || len(report) != 0 {
			a.t.Errorf("the second run reports %q, %v, want nothing to do", report, err)
		}
		if now := a.app.text("SELECT start_position FROM concord.site"); now != start || start == "" {
			a.t.Errorf("the epoch began at %q, now at %q", start, now)
		}
		if epoch, err := db.Epoch(a.ctx); epoch != 1 || err != nil {
			a.t.Errorf("epoch %d, %v", epoch, err)
		}
		if got := a.app.text("SELECT group_concat(origin) FROM concord.checkpoint"); got != "pune" {
			a.t.Errorf("checkpoints of %q", got)
		}
		if got := a.app.text("SELECT group_concat(site) FROM concord.heartbeat"); got != "mumbai" {
			a.t.Errorf("heartbeats of %q", got)
		}
	})
}

func TestANewEpochBeginsOnlyWhenAskedFor(t *testing.T) {
	onEach(t, func(a *admins) {
		db := a.prepared(Options{}, "CREATE TABLE shop.item (id int PRIMARY KEY)")
		start := a.app.text("SELECT start_position FROM concord.site")
		a.app.run("INSERT INTO shop.item VALUES (1)")
		report, err := db.Init(a.ctx, InitOptions{NewEpoch: true})
		if err != nil || len(report) != 1 || !strings.Contains(report[0], "epoch 2") {
			a.t.Errorf("reports %q, %v", report, err)
		}
		if epoch, err := db.Epoch(a.ctx); epoch != 2 || err != nil {
			a.t.Errorf("epoch %d, %v", epoch, err)
		}
		if now := a.app.text("SELECT start_position FROM concord.site"); now == start {
			a.t.Errorf("the new epoch begins where the old one did, at %q", now)
		}
	})
}

// A crash may come between any two statements: what was made stays, and the next run
// makes the rest.
func TestInitCompletesWhatACrashLeft(t *testing.T) {
	onEach(t, func(a *admins) {
		all := statements(controlSQL)
		for _, done := range []int{1, 2, 5, len(all)} {
			a.app.run("DROP DATABASE IF EXISTS concord")
			a.app.run(all[:done]...)
			db := a.db(Options{})
			if _, err := db.Epoch(a.ctx); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "concord init") {
				a.t.Errorf("after %d statements the epoch is %v", done, err)
			}
			if _, err := db.Init(a.ctx, InitOptions{}); err != nil {
				a.t.Fatalf("after %d statements: %v", done, err)
			}
			if epoch, err := db.Epoch(a.ctx); epoch != 1 || err != nil {
				a.t.Errorf("after %d statements: epoch %d, %v", done, epoch, err)
			}
		}
	})
}

func TestInitRefusesTheDatabaseOfAnotherSite(t *testing.T) {
	onEach(t, func(a *admins) {
		a.prepared(Options{})
		other := New(a.dsn, Options{Site: "pune", Cluster: "shop"})
		if _, err := other.Init(a.ctx, InitOptions{}); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "site mumbai of cluster shop") {
			a.t.Errorf("init: %v", err)
		}
		if _, err := other.Epoch(a.ctx); !errors.Is(err, change.ErrRefused) {
			a.t.Errorf("epoch: %v", err)
		}
	})
}

func TestInitRefusesWhatCannotBeReplicated(t *testing.T) {
	onEach(t, func(a *admins) {
		a.app.run("CREATE TABLE shop.keyless (x int)", "CREATE TABLE shop.old (id int PRIMARY KEY) ENGINE = MyISAM", "CREATE TABLE shop.aside (x int)")
		db := a.db(Options{Tables: func(n string) bool { return n != "shop.aside" && strings.HasPrefix(n, "shop.") }})
		_, err := db.Init(a.ctx, InitOptions{})
		if !errors.Is(err, change.ErrRefused) {
			a.t.Fatalf("init: %v", err)
		}
		for _, want := range []string{"shop.keyless", "ADD PRIMARY KEY", "shop.old", "ENGINE = InnoDB"} {
			if !strings.Contains(err.Error(), want) {
				a.t.Errorf("it does not say %q: %v", want, err)
			}
		}
		if strings.Contains(err.Error(), "shop.aside") {
			a.t.Errorf("it names a table that is not replicated: %v", err)
		}
	})
}

func TestInitRefusesALogThatDoesNotTell(t *testing.T) {
	onEach(t, func(a *admins) {
		a.app.run("SET GLOBAL binlog_row_image = 'MINIMAL'")
		defer a.app.run("SET GLOBAL binlog_row_image = 'FULL'")
		if _, err := a.db(Options{}).Init(a.ctx, InitOptions{}); !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "binlog_row_image") {
			a.t.Errorf("init: %v", err)
		}
	})
}
