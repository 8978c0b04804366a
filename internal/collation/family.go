package collation

import "strings"

// NoPad is what the name of a family ends with where spaces at the end of a text count.
const NoPad = "nopad"

// characterSets are those whose collations of one name compare alike: a character set
// says how texts are stored, and those of fewer characters compare these as the others do.
var characterSets = []string{"utf8mb4_", "utf8mb3_", "utf8_"}

// families are the collations that the tables know, by their names without a character
// set, and the table of each.
var families = map[string]string{
	"0900_ai_ci":              "0900_ai_ci nopad",
	"general_ci":              "general_ci",
	"general_nopad_ci":        "general_ci nopad",
	"unicode_ci":              "unicode_ci",
	"unicode_nopad_ci":        "unicode_ci nopad",
	"unicode_520_ci":          "unicode_520_ci",
	"unicode_520_nopad_ci":    "unicode_520_ci nopad",
	"uca1400_ai_ci":           "uca1400_ai_ci",
	"uca1400_nopad_ai_ci":     "uca1400_ai_ci nopad",
	"uca1400_ai_nopad_ci":     "uca1400_ai_ci nopad",
	"latin1_swedish_ci":       "latin1_swedish_ci",
	"latin1_swedish_nopad_ci": "latin1_swedish_ci nopad",
	"ascii_general_ci":        "ascii",
	"ascii_general_nopad_ci":  "ascii nopad",
}

// Of names how a collation of a server compares: two collations with one name compare
// alike, on whatever server. One that is not known has its own name.
func Of(name string) string {
	bare := name
	for _, c := range characterSets {
		bare = strings.TrimPrefix(bare, c)
	}
	if family, ok := families[bare]; ok {
		return family
	}
	return name
}

// Known reports whether Append knows exactly which texts the named way of comparing holds
// equal.
func Known(family string) bool {
	table, _ := split(family)
	return table == "ascii" || tables[table] != nil
}

// split gives the table of a family and whether spaces at the end count.
func split(family string) (table string, nopad bool) {
	return strings.CutSuffix(family, " "+NoPad)
}
