package mysql

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// What the server makes of conflicts recorded one after the other is what
// apply.Conflict says: Same, Supersedes and Fill.
func TestRecordsSupersedeEachOtherAsApplySays(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
		s := b.shape("t")
		sites := []change.Site{"delhi", "mumbai", "pune"}
		seen := rapid.MapOfN(rapid.SampledFrom(sites), rapid.Uint64Range(0, 6), 0, 3)
		ops := rapid.SampledFrom([]change.Op{change.Insert, change.Update, change.Update, change.Delete, change.Truncate})
		key, _ := conflict.KeyOf(s, imageOf("1", "~"), nil)
		rapid.Check(t, func(rt *rapid.T) {
			b.run("DELETE FROM concord.conflict")
			side := func(name string, not change.Site) apply.Side {
				origin := rapid.SampledFrom(slices.DeleteFunc(slices.Clone(sites), func(o change.Site) bool { return o == not })).Draw(rt, name+" origin")
				seq := rapid.Uint64Range(1, 6).Draw(rt, name+" seq")
				d := apply.Side{Version: change.Version{HLC: seq << 8, Origin: origin}, Seq: seq, Seen: seen.Draw(rt, name+" seen"), Op: ops.Draw(rt, name+" op")}
				if d.Op != change.Delete && d.Op != change.Truncate && rapid.Bool().Draw(rt, name+" is known") {
					d.Image = imageOf("1", fmt.Sprint(rapid.IntRange(0, 9).Draw(rt, name+" image")))
					d.Standing = rapid.Bool().Draw(rt, name+" stands")
				}
				return d
			}
			var want []apply.Conflict
			for range rapid.IntRange(1, 5).Draw(rt, "records") {
				older := side("older", "")
				n := apply.Conflict{
					Table: s, Key: imageOf("1", "~"), Row: key, Kind: "update_origin_differs", Policy: "last_write_wins", Resolution: "newer",
					Older: older, Newer: side("newer", older.Version.Origin), Time: time.Date(2026, 7, 31, 12, 34, 56, 789012000, time.UTC),
					Withdrawn: rapid.IntRange(0, 5).Draw(rt, "withdrawn") == 0,
				}
				n.Result = n.Newer.Image
				if rapid.Bool().Draw(rt, "arrives") {
					n.Arrived = []apply.Arrival{{Origin: n.Older.Version.Origin, Seq: n.Older.Seq, Seen: n.Older.Seen}}
				}
				tx := b.begin()
				if err := tx.Record(b.ctx, []apply.Conflict{n}, nil); err != nil {
					rt.Fatal(err)
				}
				b.commit(tx)
				want = apply.Recorded(want, []apply.Conflict{n})
			}
			var lines []string
			for _, c := range want {
				line := func(d *apply.Side) string {
					return fmt.Sprintf("%s %d %s %s", d.Version.Origin, d.Seq, d.Op, valueOf(d.Image))
				}
				lines = append(lines, fmt.Sprintf("%s, %s, %s", line(&c.Older), line(&c.Newer), valueOf(c.Result)))
			}
			slices.Sort(lines)
			got := b.rows("SELECT concat(concat_ws(' ', older_origin, older_seq, older_op, coalesce(json_unquote(json_extract(older_row, '$.v')), 'none')), ', '," +
				"concat_ws(' ', newer_origin, newer_seq, newer_op, coalesce(json_unquote(json_extract(newer_row, '$.v')), 'none')), ', ', coalesce(json_unquote(json_extract(result_row, '$.v')), 'none')) FROM concord.conflict")
			slices.Sort(got)
			if !slices.Equal(got, lines) {
				rt.Fatalf("recorded\n%q\nwant\n%q", got, lines)
			}
		})
	})
}

func TestItIsKnownWhichConflictsAreRecorded(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		b := targetOf(t, dsn, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
		s := b.shape("t")
		of := func(n int) apply.Conflict {
			key := imageOf(fmt.Sprint(n), "~")
			row, _ := conflict.KeyOf(s, key, nil)
			return apply.Conflict{
				Table: s, Key: key, Row: row, Kind: "update_deleted", Policy: "last_write_wins", Resolution: "newer", Time: time.Date(2026, 7, 31, 12, 34, 56, 789012000, time.UTC),
				Older:  apply.Side{Version: change.Version{HLC: 1 << 40, Origin: "mumbai"}, Seq: 3, XID: 745, Op: change.Delete},
				Newer:  apply.Side{Version: change.Version{HLC: 1<<40 + uint64(n), Origin: "pune"}, Seq: uint64(n), Op: change.Update, Image: imageOf(fmt.Sprint(n), "it's \\ \"v\"")},
				Result: imageOf(fmt.Sprint(n), "it's \\ \"v\""), BaseKnown: true,
			}
		}
		var all []apply.Conflict
		for n := range 2*recordRows + 10 {
			all = append(all, of(n+1))
		}
		tx := b.begin()
		if err := tx.Record(b.ctx, all, nil); err != nil {
			t.Fatal(err)
		}
		b.commit(tx)
		b.holds("SELECT count(*), min(json_unquote(json_extract(newer_row, '$.v'))), max(older_xid) FROM concord.conflict", fmt.Sprintf(`%d|it's \ "v"|745`, len(all)))
		other := of(2)
		other.Newer.Version.HLC++
		got, err := b.db.Recorded(b.ctx, append([]apply.Conflict{other, of(1), of(5000)}, all...))
		if err != nil || got[0] || !got[1] || got[2] || slices.Contains(got[3:], false) {
			t.Errorf("recorded: %t, %v", got[:3], err)
		}
	})
}

func valueOf(image []change.Value) string {
	if image == nil {
		return "none"
	}
	return image[1].Text
}
