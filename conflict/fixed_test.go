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
	types := []string{"smallint", "integer", "bigint", "numeric", "numeric(6,2)", "numeric(4)", "numeric(20,4)", "decimal(2,2)",
		"tinyint(1)", "int(3)", "int unsigned", "bigint(20) unsigned", "mediumint unsigned", "smallint(5) unsigned zerofill", "decimal(5,1) unsigned"}
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

// The width that MySQL shows an integer with bounds nothing.
func TestASumIsBoundedByItsType(t *testing.T) {
	for _, c := range []struct {
		typ, state, after string
		fits              bool
	}{
		{"tinyint(1)", "9", "3", true}, {"tinyint(1)", "127", "1", false}, {"tinyint(3) unsigned", "254", "1", true}, {"tinyint unsigned", "255", "1", false},
		{"int(3)", "999", "1", true}, {"int(11)", "2147483647", "1", false}, {"int unsigned", "4294967294", "1", true}, {"int(10) unsigned", "4294967295", "1", false},
		{"mediumint", "8388607", "1", false}, {"bigint unsigned", "18446744073709551614", "1", true}, {"bigint(20) unsigned", "18446744073709551615", "1", false},
		{"int unsigned", "0", "-1", false}, {"bigint", "9223372036854775807", "1", false}, {"integer", "2147483646", "1", true}, {"smallint(5) unsigned zerofill", "65535", "1", false},
	} {
		column := &change.Column{Name: "n", Type: c.typ, Kind: change.KindInt}
		got, err := sum(column, change.TextValue(c.state), change.TextValue("0"), change.TextValue(c.after))
		if (err == nil) != c.fits {
			t.Errorf("%s: %s + %s is %q, %v", c.typ, c.state, c.after, got.Text, err)
		}
	}
}
