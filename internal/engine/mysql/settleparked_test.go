package mysql

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

func parkedOf(seq uint64, r change.Row) apply.Parked {
	return apply.Parked{Origin: from, Epoch: 1, Seq: seq, HLC: seq << 8, Seen: change.Seen{"delhi": 1 << 50}, Row: r, Reason: apply.ReasonRejected, Message: "it's \\ why",
		Time: time.Date(2026, 7, 31, 12, 34, 56, 789012000, time.UTC)}
}

// park records changes in a transaction of their own and returns their ids.
func (b *targetBench) park(all ...apply.Parked) []int64 {
	b.t.Helper()
	tx := b.begin()
	if err := tx.Record(b.ctx, nil, all); err != nil {
		b.t.Fatalf("parking: %v", err)
	}
	b.commit(tx)
	parked, err := b.db.Parked(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	var ids []int64
	for _, p := range parked {
		ids = append(ids, p.ID)
	}
	return ids
}

// logged reports whether f leaves rows of shop.item in the server's log.
func (b *targetBench) logged(f func()) bool {
	b.t.Helper()
	server, err := b.app.serverName(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	before, err := b.app.logEnd(b.ctx, server)
	if err != nil {
		b.t.Fatal(err)
	}
	f()
	after, err := b.app.logEnd(b.ctx, server)
	if err != nil {
		b.t.Fatal(err)
	}
	found := false
	for _, row := range b.rows("SHOW BINLOG EVENTS IN '" + after.file + "' FROM " + strconv.FormatUint(before.offset, 10)) {
		found = found || strings.Contains(row, "Table_map") && strings.Contains(row, "item")
	}
	return found
}

func TestParkedChangesAreSettledByLocalWrites(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(20), at TIMESTAMP(6) NULL ON UPDATE CURRENT_TIMESTAMP(6))")
		shape := b.shape("item")
		b.run("INSERT INTO item VALUES (1, 'one', NULL), (2, 'two', NULL), (3, 'three', NULL), (4, 'four', NULL)")
		ids := b.park(
			parkedOf(1, change.Row{Table: shape, Op: change.Update, New: imageOf("1", "ONE", "NULL")}),
			parkedOf(2, change.Row{Table: shape, Op: change.Update, New: imageOf("1", "uno", "NULL")}),
			parkedOf(3, change.Row{Table: shape, Op: change.Update, Old: imageOf("2", "~", "~"), New: imageOf("22", "two", "NULL")}),
			parkedOf(4, change.Row{Table: shape, Op: change.Delete, Old: imageOf("3", "~", "~")}),
			parkedOf(5, change.Row{Table: shape, Op: change.Update, New: imageOf("4", "IV", "NULL")}),
			parkedOf(6, change.Row{Table: shape, Op: change.Insert, New: imageOf("5", "five", "NULL")}),
			parkedOf(7, change.Row{Table: shape, Op: change.Update, New: imageOf("6", "~", "NULL")}),
		)
		if err := b.db.ApplyParked(b.ctx, ids[1]); !errors.Is(err, change.ErrRefused) {
			t.Errorf("settling the second before the first: %v, want refused", err)
		}
		for _, id := range []int64{ids[0], ids[1], ids[2], ids[3], ids[5]} {
			if err := b.db.ApplyParked(b.ctx, id); err != nil {
				t.Errorf("carrying out %d: %v", id, err)
			}
		}
		if err := b.db.ApplyParked(b.ctx, ids[6]); !errors.Is(err, change.ErrRefused) {
			t.Errorf("carrying out what has no row and not all columns: %v, want refused", err)
		}
		if err := b.db.ApplyParked(b.ctx, ids[0]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("carrying out what is settled: %v", err)
		}
		var published bool
		var err error
		if !b.logged(func() { published, err = b.db.DiscardParked(b.ctx, ids[4]) }) {
			t.Error("the row that stays is not in the log: the other sites do not hear of it")
		}
		if err != nil || !published {
			t.Errorf("discarding: %t, %v", published, err)
		}
		if published, err := b.db.DiscardParked(b.ctx, ids[6]); err != nil || published {
			t.Errorf("discarding what has no row: %t, %v", published, err)
		}
		b.holds("SELECT id, v, at FROM item ORDER BY id", "1|uno|NULL", "4|four|NULL", "5|five|NULL", "22|two|NULL")
		b.holds("SELECT count(*) FROM concord.parked", "0")
		b.holds("SELECT seq FROM concord.checkpoint", "1")
	})
}

func TestARowIsPublishedAgainAsItIs(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(20))")
		shape := b.shape("item")
		b.run("INSERT INTO item VALUES (1, 'one')")
		p := parkedOf(1, change.Row{Table: shape, Op: change.Update, New: imageOf("1", "~")})
		b.park(p)
		if there, err := b.db.Republish(b.ctx, shape, imageOf("2", "~"), []apply.Parked{p}); err != nil || there {
			t.Errorf("publishing what is not there: %t, %v", there, err)
		}
		if vacant, err := b.db.UnparkVacant(b.ctx, shape, imageOf("1", "~"), []apply.Parked{p}); err != nil || vacant {
			t.Errorf("what is there is vacant: %t, %v", vacant, err)
		}
		b.holds("SELECT count(*) FROM concord.parked", "1")
		var there bool
		var err error
		if !b.logged(func() { there, err = b.db.Republish(b.ctx, shape, imageOf("1", "~"), []apply.Parked{p}) }) {
			t.Error("the row is not in the log")
		}
		if err != nil || !there {
			t.Errorf("publishing: %t, %v", there, err)
		}
		b.holds("SELECT count(*) FROM concord.parked", "0")
		b.holds("SELECT id, v FROM item", "1|one")
		b.park(p)
		if vacant, err := b.db.UnparkVacant(b.ctx, shape, imageOf("9", "~"), []apply.Parked{p}); err != nil || !vacant {
			t.Errorf("nothing is there: %t, %v", vacant, err)
		}
		b.holds("SELECT count(*) FROM concord.parked", "0")
	})
}

func TestHoldsKeepTheMomentTheyBegan(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn)
		since := time.Date(2026, 7, 31, 12, 34, 56, 789012000, time.UTC)
		hold := func(h apply.Hold, moved bool) {
			t.Helper()
			tx := b.begin()
			if err := tx.(apply.HoldTx).Hold(b.ctx, h, moved); err != nil {
				t.Fatalf("holding: %v", err)
			}
			b.commit(tx)
		}
		h := apply.Hold{Origin: from, Table: "shop.item", From: 7, Columns: []string{"a", "it's"}, Message: "no \\ column", Since: since, Low: change.Seen{"delhi": 1 << 50}}
		want := func(from uint64, message string) {
			t.Helper()
			all, err := b.db.Holds(b.ctx)
			if err != nil || len(all) != 1 || all[0].From != from || all[0].Message != message || !all[0].Since.Equal(since) || all[0].Low["delhi"] != 1<<50 || len(all[0].Columns) != 2 {
				t.Errorf("holds: %+v, %v; want from %d, %s", all, err, from, message)
			}
		}
		hold(h, false)
		want(7, h.Message)
		later := h
		later.From, later.Since, later.Message = 9, since.Add(time.Hour), "again"
		hold(later, false)
		want(7, "again")
		hold(later, true)
		want(9, "again")
		tx := b.begin()
		if err := tx.(apply.HoldTx).Unhold(b.ctx, from, "shop.item"); err != nil {
			t.Fatal(err)
		}
		b.commit(tx)
		if all, err := b.db.Holds(b.ctx); err != nil || len(all) != 0 {
			t.Errorf("after the end: %+v, %v", all, err)
		}
	})
}
