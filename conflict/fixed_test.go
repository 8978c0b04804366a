package conflict

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/change"
)

// numberText draws what a database may send, and what it does not.
func numberText(t *rapid.T, label string) change.Value {
	switch rapid.IntRange(0, 9).Draw(t, label+" kind") {
	case 0:
		return change.NullValue()
	case 1:
		return change.TextValue(rapid.SampledFrom([]string{"0", "-0", "0.00", "-0.0", "00", "+1", "1.", ".5", "-", "", "1e3", "NaN", "Infinity", "1.2.3",
			"9223372036854775807", "-9223372036854775808", "999999999999999999", "2305843009213693952", "0.000000000000000001", "32767", "-32768"}).Draw(t, label))
	case 2:
		return change.TextValue(rapid.StringMatching(`-?[0-9]{1,25}(\.[0-9]{1,12})?`).Draw(t, label))
	}
	return change.TextValue(rapid.StringMatching(`-?(0|[1-9][0-9]{0,7})(\.[0-9]{1,6})?`).Draw(t, label))
}

// What is added up fast is what apd makes of it, to the last digit; and what the column
// may not hold is left to apd, which says why.
func TestSumsOfSmallNumbersAreThoseOfLargeOnes(t *testing.T) {
	types := []string{"smallint", "integer", "bigint", "numeric", "numeric(6,2)", "numeric(4)", "numeric(20,4)", "decimal(2,2)"}
	fast := 0
	rapid.Check(t, func(t *rapid.T) {
		c := &change.Column{Name: "n", Type: rapid.SampledFrom(types).Draw(t, "type"), Kind: change.KindDecimal}
		state, old, after := numberText(t, "state"), numberText(t, "old"), numberText(t, "after")
		got, ok := sumFixed(c, state, old, after)
		if !ok {
			return
		}
		fast++
		want, err := sumExact(c, state, old, after)
		if err != nil || got != want {
			t.Fatalf("%s: %q + (%q - %q): %q, want %q, %v", c.Type, state.Text, after.Text, old.Text, got.Text, want.Text, err)
		}
	})
	if fast == 0 {
		t.Error("nothing was added up fast")
	}
}
