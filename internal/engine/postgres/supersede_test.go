package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// What the database makes of conflicts recorded one after the other is what
// apply.Conflict says: Same, Supersedes and Fill, in SQL.
func TestRecordsSupersedeEachOtherAsApplySays(t *testing.T) {
	onEachVersion(t, func(t *testing.T, c *testcluster.Cluster) {
		a := applying(t, c, Options{}, `CREATE TABLE public.t (id int PRIMARY KEY, v text)`)
		s := a.shape("t")
		sites := []change.Site{"delhi", "mumbai", "pune"}
		seen := rapid.MapOfN(rapid.SampledFrom(sites), rapid.Uint64Range(0, 6), 0, 3)
		ops := rapid.SampledFrom([]change.Op{change.Insert, change.Update, change.Update, change.Delete, change.Truncate})
		rapid.Check(t, func(rt *rapid.T) {
			a.app.run(`DELETE FROM concord.conflict`)
			side := func(name string, not change.Site) apply.Side {
				origin := rapid.SampledFrom(slices.DeleteFunc(slices.Clone(sites), func(o change.Site) bool { return o == not })).Draw(rt, name+" origin")
				seq := rapid.Uint64Range(1, 6).Draw(rt, name+" seq")
				d := apply.Side{Version: change.Version{HLC: seq << 8, Origin: origin}, Seq: seq, Seen: seen.Draw(rt, name+" seen"), Op: ops.Draw(rt, name+" op")}
				if d.Op != change.Delete && d.Op != change.Truncate && rapid.Bool().Draw(rt, name+" is known") {
					d.Image = img("1", fmt.Sprint(rapid.IntRange(0, 9).Draw(rt, name+" image")))
					d.Standing = rapid.Bool().Draw(rt, name+" stands")
				}
				return d
			}
			var want []apply.Conflict
			for range rapid.IntRange(1, 5).Draw(rt, "records") {
				older := side("older", "")
				n := apply.Conflict{
					Table: s, Key: img("1", "~"), Row: keyOf(s, img("1", "~")), Kind: "update_origin_differs", Policy: "last_write_wins", Resolution: "newer",
					Older: older, Newer: side("newer", older.Version.Origin), Time: someTime, Withdrawn: rapid.IntRange(0, 5).Draw(rt, "withdrawn") == 0,
				}
				n.Result = n.Newer.Image
				if rapid.Bool().Draw(rt, "arrives") {
					n.Arrived = []apply.Arrival{{Origin: n.Older.Version.Origin, Seq: n.Older.Seq, Seen: n.Older.Seen}}
				}
				tx := a.begin()
				if err := tx.Record(a.ctx, []apply.Conflict{n}, nil); err != nil {
					rt.Fatal(err)
				}
				a.commit(tx)
				want = apply.Recorded(want, []apply.Conflict{n})
			}
			var lines []string
			for _, c := range want {
				line := func(d *apply.Side) string {
					return fmt.Sprintf("%s %d %s %t", d.Version.Origin, d.Seq, d.Op, d.Image != nil)
				}
				lines = append(lines, fmt.Sprintf("%s, %s, %t", line(&c.Older), line(&c.Newer), c.Result != nil))
			}
			if len(lines) == 0 {
				lines = []string{""}
			}
			slices.Sort(lines)
			got := strings.Split(a.app.text(`SELECT coalesce(string_agg(line, E'\n'), '') FROM (SELECT format('%s %s %s %s, %s %s %s %s, %s', older_origin, older_seq, older_op, CASE WHEN older_row IS NULL THEN 'false' ELSE 'true' END,
				newer_origin, newer_seq, newer_op, CASE WHEN newer_row IS NULL THEN 'false' ELSE 'true' END, CASE WHEN result_row IS NULL THEN 'false' ELSE 'true' END) AS line FROM concord.conflict) r`), "\n")
			slices.Sort(got)
			if !slices.Equal(got, lines) {
				rt.Fatalf("recorded\n%q\nwant\n%q", got, lines)
			}
		})
	})
}
