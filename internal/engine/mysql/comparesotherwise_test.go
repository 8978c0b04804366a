package mysql

import (
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/change"
)

// A table whose key compares otherwise at the origin takes none of its rows: the sites
// would not agree which rows are one.
func TestAKeyThatComparesOtherwiseAtTheOriginIsRefused(t *testing.T) {
	column := func(name, collation string) columnFacts {
		return columnFacts{name: name, dataType: "varchar", typeText: "varchar(20)", collation: collation, types: factsOf("varchar", collation, false)}
	}
	for _, c := range []struct {
		name          string
		origin, local string
		says          string // "" accepted
	}{
		{"the same", "utf8mb4_0900_ai_ci", "utf8mb4_0900_ai_ci", ""},
		{"another character set", "utf8mb3_general_ci", "utf8mb4_general_ci", ""},
		{"compares by bytes", "utf8mb4_0900_bin", "utf8mb4_0900_bin", ""},
		{"one unknown to Concord at both", "utf8mb4_spanish_ci", "utf8mb4_spanish_ci", ""},
		{"other letters", "utf8mb4_0900_ai_ci", "utf8mb4_general_ci", "COLLATE"},
		{"other spaces", "utf8mb4_general_ci", "utf8mb4_general_nopad_ci", "COLLATE"},
		{"other accents", "utf8mb4_0900_as_ci", "utf8mb4_0900_ai_ci", "COLLATE"},
	} {
		for _, unique := range []bool{false, true} {
			origin := &tableFacts{schema: "shop", name: "person", columns: []columnFacts{column("id", "utf8mb4_bin"), column("name", c.origin)}, key: []string{"name"}}
			local := &tableFacts{schema: "shop", name: "person", columns: []columnFacts{column("id", "utf8mb4_bin"), column("name", c.local)}, key: []string{"name"}}
			if unique {
				for _, f := range []*tableFacts{origin, local} {
					f.key, f.unique = []string{"id"}, []uniqueFacts{{name: "name", columns: []string{"name"}}}
				}
			}
			err := misfit(&localTable{tableFacts: local}, origin.shape(), []int{0, 1})
			switch {
			case c.says == "" && err != nil:
				t.Errorf("%s: %v", c.name, err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.local)):
				t.Errorf("%s (unique %t): %v, want the collation %s and the remedy %s", c.name, unique, err, c.local, c.says)
			}
		}
		if shape := (&tableFacts{columns: []columnFacts{column("v", c.origin)}, key: []string{"v"}}).shape(); shape.Columns[0].Kind == change.KindFoldedText && shape.Columns[0].Collation != comparing(c.origin) {
			t.Errorf("%s: the shape says %q", c.name, shape.Columns[0].Collation)
		}
	}
}

func TestDoctorNamesKeysThatOnlyTheServerCanCompare(t *testing.T) {
	for name, warned := range map[string]bool{
		"utf8mb4_0900_ai_ci": false, "utf8mb4_general_ci": false, "utf8mb4_bin": false, "utf8mb4_0900_bin": false,
		"utf8mb4_spanish_ci": true, "utf8mb4_0900_as_ci": true, "utf8mb4_0900_as_cs": true,
	} {
		if got := ownWay(&columnFacts{name: "k", collation: name, types: factsOf("varchar", name, false)}); got != warned {
			t.Errorf("a key of %s is warned of: %t, want %t", name, got, warned)
		}
	}
}
