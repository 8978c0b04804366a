package logical

import (
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

// kinds are those that columns of a family have at every engine.
var kinds = map[Family]change.Kind{
	Bool: change.KindBool, Int: change.KindInt, Year: change.KindInt, Decimal: change.KindDecimal, Float: change.KindFloat, Text: change.KindText, Bytes: change.KindBytes,
	Date: change.KindDate, Time: change.KindTime, Timestamp: change.KindTimestamp, TimestampTZ: change.KindTimestampTZ, UUID: change.KindUUID, JSON: change.KindJSONB, Enum: change.KindEnum,
}

// A column of the type that is proposed takes every value, and its values go back.
func TestCounterpartsHoldEveryValue(t *testing.T) {
	all := map[string][]Type{}
	for _, c := range correspond {
		all[PostgreSQL] = append(all[PostgreSQL], col(PostgreSQL, c.postgres, c.here))
		all[MySQL] = append(all[MySQL], col(MySQL, c.mysql, c.mysqlKind))
		all[MariaDB] = append(all[MariaDB], col(MariaDB, c.mariadb, c.maria))
	}
	none := map[Family]bool{Native: true, Interval: true, Array: true}
	for engine, types := range all {
		for _, from := range types {
			for _, to := range []string{PostgreSQL, MySQL, MariaDB} {
				if to == engine {
					continue
				}
				name := Counterpart(from, to)
				if name == "" {
					if !none[from.Family] && from.Family != Enum && from.Family != Set && from.Family != Spatial && from.Precision != 0 && from.Name != "numeric" {
						t.Errorf("%s of %s has no counterpart in %s", from.Name, engine, to)
					}
					continue
				}
				there := col(to, strings.TrimSuffix(name, " NULL"), kinds[from.Family])
				there.Compared = from.Compared
				if v := Pair(from, there, false); v.Fit == Refused {
					t.Errorf("%s of %s and %s of %s: %s", from.Name, engine, name, to, v.Reason)
				}
				if v := Pair(there, from, false); v.Fit == Refused && from.Family != Text && from.Family != Bytes && from.Family != Int && from.Family != Inet && from.Family != Year {
					t.Errorf("%s of %s does not go back to %s of %s: %s", name, to, from.Name, engine, v.Reason)
				}
			}
		}
	}
}
