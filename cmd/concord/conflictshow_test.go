package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	enginesite "github.com/concord-db/concord/internal/engine/site"
)

func TestAConflictIsToldToAPerson(t *testing.T) {
	at := time.Date(2026, 7, 31, 12, 0, 0, 0, time.UTC)
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	merged := enginesite.Conflict{
		ID: 17, At: at, Table: "public.stock", Key: raw(`{"id": "7"}`), Kind: "update_origin_differs", Policy: "columns{on_hand = sum}", Resolution: "merged",
		Older: enginesite.ConflictSide{Origin: "mumbai", Seq: 3, HLC: 1785499200000000 << 8, XID: 745, Commit: &at, Op: "update", Row: raw(`{"id": "7", "on_hand": "95", "note": "a\tb"}`)},
		Newer: enginesite.ConflictSide{Origin: "pune", Seq: 9, HLC: 1785499200000000<<8 + 1, Op: "update", Row: raw(`{"id": "7", "on_hand": "90", "note": null}`)},
		Base:  raw(`{"id": "7", "on_hand": "100", "note": null}`), Result: raw(`{"id": "7", "on_hand": "85", "note": "a\tb"}`),
	}
	deleted := merged
	deleted.Kind, deleted.Resolution, deleted.Base, deleted.Result = "delete_origin_differs", "newer", nil, raw("null")
	deleted.Newer.Op, deleted.Newer.Row, deleted.Older.Row = "delete", raw("null"), nil
	parked := merged
	parked.Resolution, parked.Message = "parked", "column on_hand: beyond smallint"
	unique := merged
	unique.Kind, unique.Unique, unique.Resolution = "multiple_unique_conflicts", "customer_mail", "newer"
	for name, tc := range map[string]struct {
		c    enginesite.Conflict
		want []string
	}{
		"merged": {merged, []string{
			"row       public.stock {\"id\": \"7\"}",
			"older     update at mumbai, committed 2026-07-31 12:00:00.000000 UTC, transaction id 745, transaction 3 of its stream, version 2026-07-31T12:00:00.000000Z",
			"result    merged: the rule made a row of both",
			"COLUMN   base  older: mumbai  newer: pune  result", "on_hand  100   95             90           85", "note     NULL  a b            NULL         a b",
			"the same in all: id", "next: nothing to do",
		}},
		"deleted": {deleted, []string{"mumbai wrote the row, pune deleted it", "pune's write wins over mumbai's: the row is gone", "not known      (no row)     (no row)"}},
		"parked":  {parked, []string{"result    parked: column on_hand: beyond smallint", "next: concord parked list", "COLUMN   base  older: mumbai  newer: pune\n"}},
		"unique":  {unique, []string{"two rows have the same value of the unique key customer_mail", "the other row is deleted"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := showConflict(&b, &tc.c); err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("%q is missing from\n%s", want, b.String())
				}
			}
		})
	}
	merged.Base = raw(`{`)
	if err := showConflict(&strings.Builder{}, &merged); err == nil {
		t.Error("a record that is no JSON is shown")
	}
}
