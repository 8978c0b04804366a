package stream

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// What a site asks for arrives as it was asked, whatever bytes a key has, and the replies
// come back in order.
func TestRowsAreAskedForOverTheBus(t *testing.T) {
	s := newSite(t, "mumbai")
	table := (&change.Table{Schema: "public", Name: "blobs", Key: []int{0, 1}, Columns: []change.Column{
		{Name: "id", Type: "bytea", Kind: change.KindBytes}, {Name: "n", Type: "int4", Kind: change.KindInt},
	}}).Seal()
	want := []change.RowRequest{
		{Table: table, Key: []change.Value{change.TextValue("\x00\xff\"'"), change.TextValue("7")}, Above: change.Version{HLC: 1<<63 + 1, Origin: "mumbai"}, Seen: change.Seen{"pune": 1 << 60, "mumbai": 3}},
		{Table: table, Key: []change.Value{change.TextValue(""), change.NullValue()}, Above: change.Version{HLC: 9, Origin: "mumbai"}, Seen: change.Seen{}},
	}
	var got []change.RowRequest
	background(t, func(ctx context.Context) error {
		return ServeRows(ctx, s.bus, "shop", "mumbai", func(_ context.Context, requests []change.RowRequest) ([]change.RowReply, error) {
			switch got = requests; len(requests) {
			case 2:
				return []change.RowReply{change.RowPublished, change.RowGone}, nil
			case 1:
				return nil, errors.New("not today")
			}
			return nil, nil
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	asking := func(requests []change.RowRequest) ([]change.RowReply, error) {
		for {
			replies, err := AskRows(ctx, s.bus, "shop", "mumbai", requests)
			if err == nil || !strings.Contains(err.Error(), "no responders") || ctx.Err() != nil {
				return replies, err
			}
		}
	}
	replies, err := asking(want)
	if err != nil || !reflect.DeepEqual(replies, []change.RowReply{change.RowPublished, change.RowGone}) {
		t.Fatalf("%v %v", replies, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("asked for %+v, want %+v", got, want)
	}
	if _, err := asking(want[:1]); err == nil || !strings.Contains(err.Error(), "asking site mumbai for rows: it says: not today") {
		t.Errorf("a refusal reads %v", err)
	}
	if _, err := asking(append(want, want...)); err == nil || !strings.Contains(err.Error(), "0 replies to 4 requests") {
		t.Errorf("too few replies read %v", err)
	}
	for _, bad := range []string{"", "{", `[{}]`, `[{"table":"t"}]`} {
		if _, err := readRows([]byte(bad)); !errors.Is(err, errRows) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
