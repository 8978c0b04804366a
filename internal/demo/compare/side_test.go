package compare_test

import (
	"context"
	"errors"
	"testing"

	"github.com/concord-db/concord/internal/demo/compare"
)

// list is a side with one table, whose rows are pairs of key and row in this order.
type list struct {
	pairs [][2]string
	fails error // after the last pair
}

func (l list) Tables(context.Context, string) ([]compare.Table, error) {
	return []compare.Table{{Schema: "shop", Name: "t", Key: []string{"id"}}}, nil
}

func (l list) Open(context.Context, compare.Table) (compare.Rows, error) {
	return &reading{list: l, at: -1}, nil
}

type reading struct {
	list
	at int
}

func (r *reading) Next() bool { r.at++; return r.at < len(r.pairs) }

func (r *reading) Row() (key, row []byte) { return []byte(r.pairs[r.at][0]), []byte(r.pairs[r.at][1]) }

func (r *reading) Err() error { return r.fails }

func (r *reading) Close() {}

func TestSidesThatOrderTheirRowsInTheirOwnWay(t *testing.T) {
	// Servers may sort text differently.
	for _, tt := range []struct {
		name      string
		second    [][2]string
		keys      int64
		different int64
	}{
		{name: "the other way round", second: [][2]string{{"c", "3"}, {"B", "2"}, {"a", "1"}}, keys: 3},
		{name: "and a row differs", second: [][2]string{{"B", "2"}, {"a", "1"}, {"c", "4"}}, keys: 3, different: 1},
		{name: "and one is missing", second: [][2]string{{"B", "2"}, {"a", "1"}}, keys: 3, different: 1},
		{name: "and one is more", second: [][2]string{{"c", "3"}, {"B", "2"}, {"d", "5"}, {"a", "1"}}, keys: 4, different: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := list{pairs: [][2]string{{"a", "1"}, {"B", "2"}, {"c", "3"}}}
			results, err := compare.All(t.Context(), [2]compare.Side{first, list{pairs: tt.second}}, "shop")
			if err != nil {
				t.Fatal(err)
			}
			if r := results[0]; r.Keys != tt.keys || r.Different != tt.different || r.Rows != [2]int64{3, int64(len(tt.second))} {
				t.Errorf("%+v; want %d keys, %d different", r, tt.keys, tt.different)
			}
		})
	}
}

func TestASideThatCannotBeReadToItsEndIsNoVerdict(t *testing.T) {
	gone := errors.New("the server went away")
	rows := [][2]string{{"a", "1"}}
	for i := range 2 {
		sides := [2]compare.Side{list{pairs: rows}, list{pairs: rows}}
		sides[i] = list{pairs: rows, fails: gone}
		if _, err := compare.All(t.Context(), sides, "shop"); !errors.Is(err, gone) {
			t.Errorf("side %d: %v; want %v", i, err, gone)
		}
	}
}
