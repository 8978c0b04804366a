package stream

import (
	"fmt"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream/streampb"
)

// uniqueMessages encodes the unique keys of a shape.
func uniqueMessages(keys []change.UniqueKey) []*streampb.UniqueKey {
	var messages []*streampb.UniqueKey
	for _, u := range keys {
		m := &streampb.UniqueKey{Name: u.Name, NullsEqual: u.NullsEqual, Deferrable: u.Deferrable}
		for _, p := range u.Parts {
			m.Columns = append(m.Columns, uint32(p.Column))
			m.Cases = append(m.Cases, uint32(p.Case))
		}
		for _, c := range u.Where {
			m.Where = append(m.Where, &streampb.Condition{Column: uint32(c.Column), Test: uint32(c.Test), Values: c.Values})
		}
		messages = append(messages, m)
	}
	return messages
}

// parseUnique decodes the unique keys of a shape with so many columns.
func parseUnique(messages []*streampb.UniqueKey, columns int) ([]change.UniqueKey, error) {
	var keys []change.UniqueKey
	for _, m := range messages {
		u := change.UniqueKey{Name: m.GetName(), NullsEqual: m.GetNullsEqual(), Deferrable: m.GetDeferrable()}
		if len(m.GetColumns()) == 0 || len(m.GetCases()) != len(m.GetColumns()) {
			return nil, fmt.Errorf("%w: unique key %s has %d columns with %d cases", errFormat, m.GetName(), len(m.GetColumns()), len(m.GetCases()))
		}
		for i, c := range m.GetColumns() {
			if int64(c) >= int64(columns) || m.GetCases()[i] > uint32(change.Upper) {
				return nil, fmt.Errorf("%w: unique key %s has column %d of %d, case %d", errFormat, m.GetName(), c, columns, m.GetCases()[i])
			}
			u.Parts = append(u.Parts, change.UniquePart{Column: int(c), Case: change.Case(m.GetCases()[i])})
		}
		for _, c := range m.GetWhere() {
			if int64(c.GetColumn()) >= int64(columns) || c.GetTest() > uint32(change.NotIn) {
				return nil, fmt.Errorf("%w: unique key %s has a condition %d on column %d of %d", errFormat, m.GetName(), c.GetTest(), c.GetColumn(), columns)
			}
			u.Where = append(u.Where, change.Condition{Column: int(c.GetColumn()), Test: change.Test(c.GetTest()), Values: c.GetValues()})
		}
		keys = append(keys, u)
	}
	return keys, nil
}
