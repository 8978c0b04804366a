package collation_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/concord-db/concord/internal/collation"
)

var known = []string{"utf8mb4_0900_ai_ci", "utf8mb4_general_ci", "utf8mb3_unicode_ci", "utf8mb4_unicode_520_ci",
	"utf8mb4_uca1400_ai_ci", "utf8mb4_uca1400_nopad_ai_ci", "latin1_swedish_ci", "ascii_general_ci"}

func form(name, text string) string {
	return string(collation.Append(nil, collation.Of(name), text))
}

func TestTextsThatACollationHoldsEqualHaveOneForm(t *testing.T) {
	for _, c := range []struct {
		a, b string
		in   []string // those that hold them equal
	}{
		{"A", "a", known},
		{"a", "b", nil},
		{"", " ", []string{known[1], known[2], known[3], known[4], known[6], known[7]}},
		{"a", "a  ", []string{known[1], known[2], known[3], known[4], known[6], known[7]}},
		{"é", "E", []string{known[0], known[1], known[2], known[3], known[4], known[5], known[6]}},
		{"e\u0301", "é", []string{known[0], known[2], known[3], known[4], known[5]}},
		{"ß", "ss", []string{known[0], known[2], known[3], known[4], known[5]}},
		{"ß", "s", []string{known[1]}},
		{"Æ", "ae", []string{known[0], known[3], known[4], known[5]}},
		{"각", "\u1100\u1161\u11a8", []string{known[0]}},
		{"a\u0001", "a", []string{known[0], known[2], known[3], known[4], known[5]}},
		{"😀", "😁", []string{known[1], known[2]}},
	} {
		for _, name := range known {
			if name == "latin1_swedish_ci" && slices.ContainsFunc([]rune(c.a+c.b), func(r rune) bool { return r > 0xff }) ||
				name == "ascii_general_ci" && slices.ContainsFunc([]rune(c.a+c.b), func(r rune) bool { return r > 0x7f }) {
				continue // not of its character set
			}
			if got, want := form(name, c.a) == form(name, c.b), slices.Contains(c.in, name); got != want {
				t.Errorf("%s holds %q and %q equal: %t, want %t", name, c.a, c.b, got, want)
			}
		}
	}
}

func TestOneWayOfComparingHasOneName(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"utf8mb4_general_ci", "utf8mb3_general_ci", true},
		{"uca1400_ai_ci", "utf8mb4_uca1400_ai_ci", true},
		{"utf8mb4_general_ci", "utf8mb4_general_nopad_ci", false},
		{"utf8mb4_general_ci", "latin1_general_ci", false},
		{"utf8mb4_0900_ai_ci", "utf8mb4_uca1400_ai_ci", false},
		{"utf8mb4_0900_as_ci", "utf8mb4_0900_ai_ci", false},
	} {
		if got := collation.Of(c.a) == collation.Of(c.b); got != c.same {
			t.Errorf("%s and %s compare alike: %t, want %t", c.a, c.b, got, c.same)
		}
	}
}

// A form is of its own kind: it is equal to its text.
func TestAFormIsEqualToItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(append(known, "utf8mb4_spanish_ci")).Draw(t, "collation")
		text := rapid.String().Draw(t, "text")
		if once := form(name, text); form(name, once) != once {
			t.Fatalf("%q is %q is %q", text, once, form(name, once))
		}
	})
}

func BenchmarkASCII(b *testing.B) {
	var buf []byte
	family := collation.Of("utf8mb4_0900_ai_ci")
	for b.Loop() {
		buf = collation.Append(buf[:0], family, "Customer-00012345")
	}
}
