package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

func TestReplicaIdentityDecidesTheOldImage(t *testing.T) {
	setup := []string{
		`CREATE TABLE d (id int PRIMARY KEY, a text, b int)`,
		`CREATE TABLE x (id int PRIMARY KEY, code text NOT NULL, b int)`,
		`CREATE UNIQUE INDEX x_code ON x (code)`,
		`ALTER TABLE x REPLICA IDENTITY USING INDEX x_code`,
		`CREATE TABLE f (id int PRIMARY KEY, a text, b int)`,
		`ALTER TABLE f REPLICA IDENTITY FULL`,
		`CREATE TABLE u (a text NOT NULL, b int NOT NULL, c int, UNIQUE (b, a))`,
		`ALTER TABLE u REPLICA IDENTITY FULL`,
	}
	steps := []struct{ sql, want string }{
		{`INSERT INTO d VALUES (1, 'one', NULL)`, "insert public.d - -> 1|one|NULL"},
		{`UPDATE d SET b = 2`, "update public.d - -> 1|one|2"},
		{`UPDATE d SET id = 7`, "update public.d 1|~|~ -> 7|one|2"},
		{`DELETE FROM d`, "delete public.d 7|~|~ -> -"},
		{`INSERT INTO x VALUES (1, 'c', 1)`, "insert public.x - -> 1|c|1"},
		{`UPDATE x SET id = 2`, "update public.x - -> 2|c|1"},
		{`UPDATE x SET code = 'd'`, "update public.x ~|c|~ -> 2|d|1"},
		{`DELETE FROM x`, "delete public.x ~|d|~ -> -"},
		{`INSERT INTO f VALUES (1, 'one', NULL)`, "insert public.f - -> 1|one|NULL"},
		{`UPDATE f SET b = 2`, "update public.f 1|one|NULL -> 1|one|2"},
		{`UPDATE f SET id = 7`, "update public.f 1|one|2 -> 7|one|2"},
		{`DELETE FROM f`, "delete public.f 7|one|2 -> -"},
		{`INSERT INTO u VALUES ('k', 1, NULL)`, "insert public.u - -> k|1|NULL"},
		{`UPDATE u SET c = 5`, "update public.u k|1|NULL -> k|1|5"},
	}
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, setup...)
		var want []string
		for _, s := range steps {
			f.app.run(s.sql)
			want = append(want, s.want)
		}
		evs := f.open("").until()
		expect(t, all(evs), want...)

		keys := map[string]string{"public.d": "[0]", "public.x": "[1]", "public.f": "[0]", "public.u": "[0 1]"}
		moved := 0
		for _, ev := range evs {
			for _, r := range ev.Rows {
				if got := fmt.Sprint(r.Table.Key); got != keys[r.Table.QualifiedName()] {
					t.Errorf("key of %s is %s, want %s", r.Table.QualifiedName(), got, keys[r.Table.QualifiedName()])
				}
				if full := r.Table.Name == "f" || r.Table.Name == "u"; r.Table.Full != full {
					t.Errorf("%s full: %v", r.Table.Name, r.Table.Full)
				}
				if r.MovesKey() {
					moved++
				}
			}
		}
		if moved != 3 {
			t.Errorf("%d updates move the key, want 3", moved)
		}
	})
}

func TestUnchangedLargeValuesAreNotNull(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{},
			`CREATE TABLE d (id int PRIMARY KEY, big text, n int)`,
			`CREATE TABLE f (id int PRIMARY KEY, big text, n int)`,
			`ALTER TABLE d ALTER big SET STORAGE EXTERNAL`, `ALTER TABLE f ALTER big SET STORAGE EXTERNAL`,
			`ALTER TABLE f REPLICA IDENTITY FULL`)
		big := strings.Repeat("x", 10000)
		for _, table := range []string{"d", "f"} {
			f.app.run(fmt.Sprintf(`INSERT INTO %s VALUES (1, repeat('x', 10000), 0)`, table), fmt.Sprintf(`UPDATE %s SET n = 1`, table))
		}
		expect(t, all(f.open("").until()),
			"insert public.d - -> 1|"+big+"|0",
			"update public.d - -> 1|~|1",
			"insert public.f - -> 1|"+big+"|0",
			"update public.f 1|"+big+"|0 -> 1|"+big+"|1") // the old image has it
	})
}

func TestTruncateNamesEveryTableItEmptied(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{},
			`CREATE TABLE a (id int PRIMARY KEY)`, `CREATE TABLE b (id int PRIMARY KEY REFERENCES a)`, `CREATE TABLE c (id int PRIMARY KEY)`)
		f.app.run(`INSERT INTO a VALUES (1)`, `BEGIN`, `INSERT INTO c VALUES (1)`, `TRUNCATE a, c RESTART IDENTITY CASCADE`, `INSERT INTO c VALUES (2)`, `COMMIT`)
		rows := f.open("").until()[1].Rows
		got := lines(rows)
		if len(got) != 5 || got[0] != "insert public.c - -> 1" || got[4] != "insert public.c - -> 2" {
			t.Fatalf("read %q", got)
		}
		emptied := map[string]bool{}
		for _, r := range rows[1:4] {
			if r.Op != change.Truncate || r.Old != nil || r.New != nil {
				t.Errorf("read %v, want a truncate without images", r)
			}
			emptied[r.Table.Name] = true
		}
		if len(emptied) != 3 {
			t.Errorf("emptied %v, want a, b and c", emptied)
		}
	})
}

func TestPartitionsSpeakAsTheirRoot(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{},
			`CREATE TABLE p (id int, part int, note text, PRIMARY KEY (id, part)) PARTITION BY LIST (part)`,
			`CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)`,
			`CREATE TABLE p2 (note text, part int NOT NULL, id int NOT NULL, PRIMARY KEY (id, part))`,
			`ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2)`)
		f.app.run(`INSERT INTO p VALUES (1, 1, 'one')`, `INSERT INTO p2 VALUES ('two', 2, 2)`,
			`UPDATE p SET part = 2 WHERE id = 1`, `DELETE FROM p WHERE id = 2`, `TRUNCATE p`)
		expect(t, all(f.open("").until()),
			"insert public.p - -> 1|1|one",
			"insert public.p - -> 2|2|two",
			"delete public.p 1|1|~ -> -", // a move between partitions
			"insert public.p - -> 1|2|one",
			"delete public.p 2|2|~ -> -",
			"truncate public.p - -> -")
	})
}

func TestSchemaChangesTakeEffectAtTheirPlaceInTheLog(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, `CREATE TABLE item (id int PRIMARY KEY, a text)`, `ALTER TABLE item REPLICA IDENTITY FULL`,
			`CREATE TYPE mood AS ENUM ('glad')`)
		l := f.open("")
		f.app.run(`INSERT INTO item VALUES (1, 'x')`)
		if got := lines(l.nextLocal().Rows); got[0] != "insert public.item - -> 1|x" {
			t.Fatal(got)
		}
		f.app.run(`ALTER TABLE item ADD b mood`,
			`INSERT INTO item VALUES (2, 'y', 'glad')`,
			`ALTER TABLE item DROP a`,
			`UPDATE item SET b = 'glad' WHERE id = 1`,
			`ALTER TABLE item RENAME b TO feeling`, `ALTER TABLE item ADD d int DEFAULT 4`,
			`DELETE FROM item WHERE id = 1`,
			`ALTER TABLE item ALTER id TYPE bigint`,
			`INSERT INTO item VALUES (3)`)
		evs := l.until()
		rows := all(evs)
		expect(t, rows[:3],
			"insert public.item - -> 2|y|glad",
			"update public.item 1|NULL -> 1|glad",
			"delete public.item 1|glad|4 -> -")
		if last := rows[len(rows)-1]; last != "insert public.item - -> 3|NULL|4" {
			t.Errorf("last %q", last)
		}
		shape := evs[0].Rows[0].Table
		if shape.Columns[2].Kind != change.KindEnum || shape.Columns[2].Type != "public.mood" {
			t.Errorf("the new column is %+v, want an enum", shape.Columns[2])
		}
		if evs[0].Rows[0].Table.ID == evs[1].Rows[0].Table.ID {
			t.Error("two shapes have one fingerprint")
		}
	})
}

func TestShapesSayWhatTheCatalogueKnows(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		f := prepared(t, c, Options{}, `CREATE TABLE item (
			id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n serial,
			twice int GENERATED ALWAYS AS (2 * 21) STORED, price numeric(10, 2))`)
		f.app.run(`INSERT INTO item (price) VALUES (1.5)`)
		row := f.open("").until()[0].Rows[0]
		expect(t, lines([]change.Row{row}), "insert public.item - -> 1|1|1.50")
		want := []change.Column{
			{Name: "id", Type: "bigint", Kind: change.KindInt, Identity: true},
			{Name: "n", Type: "integer", Kind: change.KindInt, Identity: true},
			{Name: "price", Type: "numeric(10,2)", Kind: change.KindDecimal},
		}
		for i, w := range want {
			if row.Table.Columns[i] != w {
				t.Errorf("column %+v, want %+v", row.Table.Columns[i], w)
			}
		}
		if row.Table.ID == 0 {
			t.Error("the shape is not sealed")
		}
	})
}
