package mysql

import (
	"reflect"
	"slices"
	"testing"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

func TestSchemaIsWhatSitesCompare(t *testing.T) {
	onEach(t, func(a *admins) {
		a.app.run("CREATE TABLE shop.t (a bigint AUTO_INCREMENT, mood enum('glad','it''s'), c decimal(10,2) NOT NULL, twice decimal(10,2) AS (c * 2) STORED, tags set('x','y'), PRIMARY KEY (c, a), UNIQUE KEY by_a (a))",
			"CREATE TABLE shop.hidden (id int PRIMARY KEY, c decimal(10,2), a bigint, CONSTRAINT of_t FOREIGN KEY (c, a) REFERENCES shop.t (c, a))",
			"INSERT INTO shop.t (a, c) VALUES (41, 1)")
		db := a.db(Options{Tables: func(n string) bool { return n == "shop.t" }})
		got, err := db.Schema(a.ctx)
		if err != nil || len(got) != 1 {
			a.t.Fatalf("%+v, %v", got, err)
		}
		table := got[0]
		if want := []site.Column{
			{Name: "a", Type: table.Columns[0].Type, Kind: change.KindInt, NotNull: true},
			{Name: "mood", Type: "enum('glad','it''s')", Kind: change.KindEnum, Labels: []string{"glad", "it's"}},
			{Name: "c", Type: "decimal(10,2)", Kind: change.KindDecimal, NotNull: true},
			{Name: "tags", Type: "set('x','y')", Kind: change.KindNative, Labels: []string{"x", "y"}},
		}; !reflect.DeepEqual(table.Columns, want) || !table.Full {
			a.t.Errorf("columns %+v, want %+v", table.Columns, want)
		}
		if want := []string{"a", "c"}; !slices.Equal(table.Key, want) {
			a.t.Errorf("key %v, want %v", table.Key, want)
		}
		if want := []site.Sequence{{Column: "a", Name: "`shop`.`t`", Increment: 1, Last: 41, Server: true}}; !slices.Equal(table.Sequences, want) {
			a.t.Errorf("sequences %v, want %v", table.Sequences, want)
		}
		if want := []string{"by_a"}; !slices.Equal(table.Unique, want) {
			a.t.Errorf("unique keys %v, want %v", table.Unique, want)
		}
		if len(table.ForeignKeys) != 1 || table.ForeignKeys[0].Child != "shop.hidden" || !slices.Equal(table.ForeignKeys[0].Columns, []string{"c", "a"}) {
			a.t.Errorf("foreign keys %+v", table.ForeignKeys)
		}
	})
}
