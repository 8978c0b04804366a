package mysql

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// With the rights that init gives, and no others, an agent does all it ever does.
func TestTheAgentsMayDoAllThatTheyDo(t *testing.T) {
	onEach(t, func(a *admins) {
		a.app.run("DROP USER IF EXISTS agent@'%'", "CREATE TABLE shop.item (id int PRIMARY KEY, n int)")
		defer a.app.run("DROP USER IF EXISTS agent@'%'")
		if _, err := a.db(Options{}).Init(a.ctx, InitOptions{Role: "agent"}); err != nil {
			a.t.Fatal(err)
		}
		a.app.run("ALTER USER agent@'%' IDENTIFIED BY 'Agent-1-pw' ACCOUNT UNLOCK")
		db := a.db(Options{})
		db.dsn = a.as("agent", "Agent-1-pw")

		r, err := db.Open(a.ctx, "")
		if err != nil {
			a.t.Fatalf("reading the log: %v", err)
		}
		defer func() { _ = r.Close(a.ctx) }()
		release, err := db.Acquire(a.ctx, "pune")
		if err != nil {
			a.t.Fatalf("acquiring: %v", err)
		}
		defer release()
		lost, give, err := db.Lead(a.ctx, "capture")
		if err != nil {
			a.t.Fatalf("leading: %v", err)
		}
		defer give()
		table, err := loadTable(a.ctx, a.app.c, "shop", "item")
		if err != nil {
			a.t.Fatal(err)
		}
		shape := table.shape()
		row := change.Row{Table: shape, Op: change.Insert, New: []change.Value{change.TextValue("1"), change.TextValue("5")}}
		parked := apply.Parked{Origin: "pune", Epoch: 1, Seq: 1, HLC: 256, Row: row, Reason: "rejected", Time: time.Now()}
		tx, err := db.Begin(a.ctx, apply.Checkpoint{Origin: "pune", Epoch: 1, Seq: 1, HLC: 256})
		if err != nil {
			a.t.Fatalf("beginning: %v", err)
		}
		defer tx.Rollback(a.ctx)
		try := func(what string, err error) {
			a.t.Helper()
			if err != nil {
				a.t.Errorf("%s: %v", what, err)
			}
		}
		_, err = tx.Write(a.ctx, []apply.Write{{Action: apply.Insert, Row: &row}})
		try("writing", err)
		_, err = tx.Read(a.ctx, shape, [][]change.Value{row.New})
		try("reading", err)
		try("recording", tx.Record(a.ctx, nil, []apply.Parked{parked}))
		_, err = tx.LogPosition(a.ctx)
		try("asking for the end of the log", err)
		try("committing", tx.Commit(a.ctx))
		all, err := db.Parked(a.ctx)
		if err != nil || len(all) != 1 {
			a.t.Fatalf("parked: %+v, %v", all, err)
		}
		try("applying what is parked", db.ApplyParked(a.ctx, all[0].ID))
		try("the heartbeat", db.Beat(a.ctx, "mumbai", time.Now()))
		try("remembering rules", db.SaveRules(a.ctx, "mumbai", change.Rules{{Match: []string{"*"}}}))
		_, err = db.Rules(a.ctx)
		try("rules", err)
		_, err = db.Identity(a.ctx)
		try("identity", err)
		_, err = db.ListConflicts(a.ctx, site.ConflictFilter{})
		try("conflicts", err)
		_, err = db.PruneConflicts(a.ctx, time.Hour, 10)
		try("pruning", err)
		_, _, err = db.Counts(a.ctx)
		try("counting", err)
		_, err = db.Holds(a.ctx)
		try("tables held back", err)
		_, err = db.Checkpoints(a.ctx)
		try("checkpoints", err)
		_, err = db.RetainedBytes(a.ctx)
		try("retained", err)
		if err := db.Flush(a.ctx); err != nil && !strings.Contains(err.Error(), "sync_binlog") {
			a.t.Errorf("flushing: %v", err)
		}
		try("blockers", db.admin(a.ctx, "asking", func(c *conn) error {
			_, err := blockers(a.ctx, c, []uint32{1 << 30})
			return err
		}))
		if _, _, err := a.db(Options{}).Lead(a.ctx, "capture"); !errors.Is(err, change.ErrStandby) || !strings.Contains(err.Error(), "agent from") {
			a.t.Errorf("who leads: %v", err)
		}
		select {
		case <-lost:
			a.t.Error("the lead was lost")
		default:
		}
	})
}
