package simulation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// stockStatement is a statement of an application on the table of stock: counters
// that go up and down, limits that are raised and lowered, tags put on and taken off.
func (a *application) stockStatement(s *session) {
	t := stockTable
	key := fmt.Sprint(a.rng.IntN(a.keys))
	now := s.get(rowID{t.QualifiedName(), key})
	dice := a.rng.IntN(100)
	switch {
	case dice < 2:
		_ = s.truncate(t)
	case now == nil:
		_ = s.insert(t, a.freshStock(key))
	case dice < 8:
		_ = s.remove(t, key)
	case dice < 13:
		if s.remove(t, key) == nil {
			_ = s.insert(t, a.freshStock(key))
		}
	case dice < 18:
		to := slices.Clone(now)
		to[0] = change.TextValue(fmt.Sprint(a.rng.IntN(a.keys)))
		a.changeStock(to)
		if to[0] != now[0] && s.get(keyOf(t, to)) == nil {
			_ = s.update(t, now, to)
		}
	default:
		to := slices.Clone(now)
		for range 1 + a.rng.IntN(3) {
			a.changeStock(to)
		}
		_ = s.update(t, now, to)
	}
}

func (a *application) freshStock(key string) []change.Value {
	a.made++
	number := func() change.Value { return change.TextValue(fmt.Sprint(a.rng.IntN(100))) }
	return []change.Value{
		change.TextValue(key), number(), cents(int64(a.rng.IntN(10000))), number(), number(),
		a.tags(nil), change.TextValue(fmt.Sprintf("%s.%d", a.site.name, a.made)),
	}
}

// changeStock changes one column of a row.
func (a *application) changeStock(row []change.Value) {
	column := 1 + a.rng.IntN(len(row)-1)
	if a.rng.IntN(20) == 0 {
		row[column] = change.NullValue()
		return
	}
	switch column {
	case 1:
		n := whole(row[1]) + int64(a.rng.IntN(11)-5)
		if a.rng.IntN(30) == 0 {
			n = 32760
		}
		row[1] = change.TextValue(fmt.Sprint(min(n, 32767)))
	case 2:
		n := hundredths(row[2]) + int64(a.rng.IntN(1001)-500)
		if a.rng.IntN(30) == 0 {
			n = 999_900
		}
		row[2] = cents(min(n, 999_999))
	case 3, 4:
		row[column] = change.TextValue(fmt.Sprint(a.rng.IntN(200) - 100))
	case 5:
		row[5] = a.tags(splitTags(row[5]))
	default:
		a.made++
		row[6] = change.TextValue(fmt.Sprintf("%s.%d", a.site.name, a.made))
	}
}

// tags puts a tag on, or takes it off.
func (a *application) tags(now []string) change.Value {
	tag := string(rune('a' + a.rng.IntN(5)))
	if i := slices.Index(now, tag); i >= 0 {
		return joinTags(slices.Delete(slices.Clone(now), i, i+1))
	}
	return joinTags(append(slices.Clone(now), tag))
}

func splitTags(v change.Value) []string {
	text := strings.Trim(v.Text, "{}")
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func joinTags(tags []string) change.Value {
	return change.TextValue("{" + strings.Join(tags, ",") + "}")
}

// whole reads an integer, NULL as zero.
func whole(v change.Value) int64 {
	var n int64
	_, _ = fmt.Sscan(v.Text, &n)
	return n
}

// hundredths reads a number of two decimals in its hundredths, NULL as zero.
func hundredths(v change.Value) int64 {
	return whole(change.TextValue(strings.Replace(v.Text, ".", "", 1)))
}

// cents writes hundredths as a number of two decimals.
func cents(n int64) change.Value {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return change.TextValue(fmt.Sprintf("%s%d.%02d", sign, n/100, n%100))
}
