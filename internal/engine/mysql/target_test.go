package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

const from change.Site = "mumbai"

// targetBench is a server that the changes of another site are applied to, in the database
// shop.
type targetBench struct {
	t       *testing.T
	ctx     context.Context
	db      *DB
	app     *conn // an application's session
	applied apply.Checkpoint
}

// target makes the tables in an empty database shop and acquires the changes of the
// other site.
func targetOf(t *testing.T, dsn string, schema ...string) *targetBench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	b := &targetBench{t: t, ctx: ctx}
	b.db = New(dsn, Options{Cluster: "shop", Site: "pune", Peers: []change.Site{from}, Tables: func(name string) bool { return strings.HasPrefix(name, "shop.") }})
	t.Cleanup(func() { b.db.Close(ctx) })
	b.app = b.session()
	b.run("DROP DATABASE IF EXISTS concord", "DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "USE shop")
	b.run(schema...)
	if _, err := b.db.Init(ctx, InitOptions{}); err != nil {
		t.Fatalf("preparing the site: %v", err)
	}
	release, err := b.db.Acquire(ctx, from)
	if err != nil {
		t.Fatalf("acquiring: %v", err)
	}
	t.Cleanup(release)
	return b
}

func (b *targetBench) session() *conn {
	b.t.Helper()
	c, err := b.db.connect(b.ctx, roleHeartbeat)
	if err != nil {
		b.t.Fatalf("connecting: %v", err)
	}
	b.t.Cleanup(c.close)
	return c
}

func (b *targetBench) run(statements ...string) {
	b.t.Helper()
	for _, sql := range statements {
		if _, err := b.app.exec(b.ctx, sql); err != nil {
			b.t.Fatalf("executing %.200s: %v", sql, err)
		}
	}
}

// rows runs a query; columns are joined by "|".
func (b *targetBench) rows(sql string) (all []string) {
	b.t.Helper()
	r, err := b.app.query(b.ctx, sql)
	if err != nil {
		b.t.Fatalf("querying %.200s: %v", sql, err)
	}
	defer r.Close()
	err = each(r, func(f *fields) error {
		texts := make([]string, r.ColumnNumber())
		for i := range texts {
			if s := f.next(); s != nil {
				texts[i] = *s
			} else {
				texts[i] = "NULL"
			}
		}
		all = append(all, strings.Join(texts, "|"))
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// holds fails unless a query returns exactly the rows.
func (b *targetBench) holds(sql string, want ...string) {
	b.t.Helper()
	if got := b.rows(sql); !slices.Equal(got, want) {
		b.t.Errorf("%s\nreturns %q\nwant    %q", sql, got, want)
	}
}

// shape is that of a table as the catalogue has it.
func (b *targetBench) shape(name string) *change.Table {
	b.t.Helper()
	t, err := loadTable(b.ctx, b.app, "shop", name)
	if err != nil || t == nil {
		b.t.Fatalf("table %s: %v", name, err)
	}
	return t.shape()
}

func (b *targetBench) next() apply.Checkpoint {
	return apply.Checkpoint{Origin: from, Epoch: 1, Seq: b.applied.Seq + 1, HLC: (b.applied.Seq + 1) << 8, Previous: b.applied.Seq}
}

func (b *targetBench) begin() apply.Tx {
	b.t.Helper()
	tx, err := b.db.Begin(b.ctx, b.next())
	if err != nil {
		b.t.Fatalf("beginning: %v", err)
	}
	b.t.Cleanup(func() { tx.Rollback(b.ctx) })
	return tx
}

func (b *targetBench) commit(tx apply.Tx) {
	b.t.Helper()
	if err := tx.Commit(b.ctx); err != nil {
		b.t.Fatalf("committing: %v", err)
	}
	b.applied = b.next()
}

// write writes and returns the missing, in order.
func (b *targetBench) write(tx apply.Tx, writes ...apply.Write) string {
	b.t.Helper()
	missing, err := tx.Write(b.ctx, writes)
	if err != nil {
		b.t.Fatalf("writing: %v", err)
	}
	slices.Sort(missing)
	return fmt.Sprint(missing)
}

func insertOf(t *change.Table, img []change.Value) apply.Write {
	return apply.Write{Action: apply.Insert, Row: &change.Row{Table: t, Op: change.Insert, New: img}}
}

func updateOf(t *change.Table, img []change.Value) apply.Write {
	return apply.Write{Action: apply.Update, Row: &change.Row{Table: t, Op: change.Update, New: img}}
}

func deleteOf(t *change.Table, img []change.Value) apply.Write {
	return apply.Write{Action: apply.Delete, Row: &change.Row{Table: t, Op: change.Delete, Old: img}}
}

func as(a apply.Action, w apply.Write) apply.Write {
	w.Action = a
	return w
}

// img makes an image from texts; "NULL" is null, "~" is unchanged.
func imageOf(texts ...string) []change.Value {
	image := make([]change.Value, len(texts))
	for i, s := range texts {
		switch s {
		case "NULL":
			image[i] = change.NullValue()
		case "~":
		default:
			image[i] = change.TextValue(s)
		}
	}
	return image
}

func shown(image []change.Value) string {
	if image == nil {
		return "none"
	}
	texts := make([]string, len(image))
	for i, v := range image {
		texts[i] = [...]string{"~", "NULL", v.Text}[v.State]
	}
	return strings.Join(texts, "|")
}

func TestEveryActionOnRowsThatAreThereAndRowsThatAreNot(t *testing.T) {
	for name, table := range map[string]string{
		"one key":           "CREATE TABLE item (id INT PRIMARY KEY, a TEXT, b INT)",
		"another key":       "CREATE TABLE item (id INT PRIMARY KEY, a TEXT, b INT UNIQUE)",
		"no primary key":    "CREATE TABLE item (id INT NOT NULL UNIQUE, a TEXT, b INT)",
		"moments by itself": "CREATE TABLE item (id INT PRIMARY KEY, a TEXT, b INT, at TIMESTAMP(6) NULL ON UPDATE CURRENT_TIMESTAMP(6) DEFAULT NULL)",
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, dsn string) {
				b := targetOf(t, dsn, table)
				shape := b.shape("item")
				if len(shape.Columns) > 3 { // the origin does not have it
					shape.Columns = shape.Columns[:3]
					shape.Seal()
				}
				b.run("INSERT INTO item (id, a, b) VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), (4, 'four', 4), (5, 'five', 5)")
				tx := b.begin()
				if missing := b.write(tx,
					updateOf(shape, imageOf("1", "changed", "NULL")),
					updateOf(shape, imageOf("8", "nobody", "0")),
					updateOf(shape, imageOf("2", "~", "22")), // the rest stays
					deleteOf(shape, imageOf("3", "~", "~")),
					deleteOf(shape, imageOf("9", "~", "~")),
					insertOf(shape, imageOf("6", "it's \\ six", "6")),
					as(apply.Put, updateOf(shape, imageOf("4", "put", "44"))),
					as(apply.Put, updateOf(shape, imageOf("7", "new", "NULL"))),
					as(apply.Remove, deleteOf(shape, imageOf("5", "~", "~"))),
					as(apply.Remove, deleteOf(shape, imageOf("10", "~", "~"))),
				); missing != "[1 4]" {
					t.Errorf("missing = %s, want the update of 8 and the delete of 9", missing)
				}
				move := func(old, new []change.Value) apply.Write {
					return apply.Write{Action: apply.Update, Row: &change.Row{Table: shape, Op: change.Update, Old: old, New: new}}
				}
				if missing := b.write(tx,
					move(imageOf("2", "~", "~"), imageOf("12", "~", "23")),
					move(imageOf("99", "~", "~"), imageOf("98", "x", "1")),
				); missing != "[1]" {
					t.Errorf("moving keys: missing = %s, want the second", missing)
				}
				read, err := tx.Read(b.ctx, shape, [][]change.Value{imageOf("12", "~", "~"), imageOf("2", "~", "~"), imageOf("7", "~", "~")})
				if err != nil {
					t.Fatalf("reading: %v", err)
				}
				if shown(read[0]) != "12|two|23" || read[1] != nil || shown(read[2]) != "7|new|NULL" {
					t.Errorf("read %v", read)
				}
				// What is written as it is was found all the same.
				if missing := b.write(tx, updateOf(shape, imageOf("12", "two", "23"))); missing != "[]" {
					t.Errorf("writing a row as it is: missing = %s", missing)
				}
				b.commit(tx)
				b.holds("SELECT id, a, b FROM item ORDER BY id", "1|changed|NULL", "4|put|44", `6|it's \ six|6`, "7|new|NULL", "12|two|23")
				if name == "moments by itself" {
					b.holds("SELECT count(*) FROM item WHERE at IS NOT NULL", "0")
				}
				b.holds("SELECT origin, epoch, seq, hlc FROM concord.checkpoint", "mumbai|1|1|256")
			})
		})
	}
}

func TestTheCheckpointMovesOrNothingDoes(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE item (id INT PRIMARY KEY)")
		shape := b.shape("item")
		tx := b.begin()
		b.write(tx, insertOf(shape, imageOf("1")))
		b.commit(tx)
		for what, c := range map[string]apply.Checkpoint{
			"behind":  {Origin: from, Epoch: 1, Seq: 1, Previous: 0},
			"ahead":   {Origin: from, Epoch: 1, Seq: 3, Previous: 2},
			"missing": {Origin: "nobody", Epoch: 1, Seq: 1, Previous: 0},
		} {
			if c.Origin != from {
				release, err := b.db.Acquire(b.ctx, c.Origin)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				b.run("DELETE FROM concord.checkpoint WHERE origin = 'nobody'")
			}
			stale, err := b.db.Begin(b.ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stale.Write(b.ctx, []apply.Write{insertOf(shape, imageOf("2"))}); !errors.Is(err, apply.ErrFenced) {
				t.Errorf("writing from a checkpoint %s: %v, want fenced", what, err)
			}
			stale.Rollback(b.ctx)
			stale, err = b.db.Begin(b.ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			if err := stale.Commit(b.ctx); !errors.Is(err, apply.ErrFenced) {
				t.Errorf("committing from a checkpoint %s: %v, want fenced", what, err)
			}
		}
		b.holds("SELECT id FROM item", "1")
		empty := b.begin()
		b.commit(empty)
		b.holds("SELECT seq FROM concord.checkpoint", "2")
	})
}
