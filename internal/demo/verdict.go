package demo

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/concord-db/concord/internal/demo/compare"
)

// Verdict is what a comparison of both sides found.
type Verdict struct {
	Tables []compare.Result `json:"tables"`
	// Conflicts and Parked are what Concord recorded at each site; Kinds says how many
	// of each kind of conflict.
	Conflicts [2]int64            `json:"conflicts"`
	Kinds     [2]map[string]int64 `json:"kinds"`
	Parked    [2]int64            `json:"parked"`
	// Waited is how long the sides took to catch up once nothing was written.
	Waited time.Duration `json:"waited_ns"`
	// Again says that the first reading found differences that the second did not:
	// settled after both sides had said that they had everything.
	Again bool `json:"again"`
}

// Equal reports whether every row is the same on both sides.
func (v Verdict) Equal() bool {
	for _, t := range v.Tables {
		if !t.Equal() {
			return false
		}
	}
	return len(v.Tables) > 0
}

// Print says the verdict to people.
func (v Verdict) Print(w io.Writer) {
	fmt.Fprintf(w, "Both sides have what the other wrote, after %.2f s. Every row, all columns:\n\n", v.Waited.Seconds())
	fmt.Fprintf(w, "%-20s %10s %10s %12s\n", "TABLE", strings.ToUpper(names[0]), strings.ToUpper(names[1]), "DIFFERENCES")
	for _, t := range v.Tables {
		fmt.Fprintf(w, "%-20s %10d %10d %12d\n", t.Table, t.Rows[0], t.Rows[1], t.Different)
	}
	fmt.Fprintln(w)
	for _, t := range v.Tables {
		for _, e := range t.Examples {
			fmt.Fprintf(w, "%s key %s\n", t.Table, e.Key)
			for i, row := range e.Rows {
				if row == "" {
					row = "no row"
				}
				fmt.Fprintf(w, "  %-7s %s\n", names[i], row)
			}
		}
	}
	for i, name := range names {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(v.Kinds[i])) {
			kinds = append(kinds, fmt.Sprintf("%s %d", kind, v.Kinds[i][kind]))
		}
		fmt.Fprintf(w, "%-7s settled %d conflicts: %s\n", name, v.Conflicts[i], strings.Join(kinds, ", "))
		if v.Parked[i] > 0 {
			fmt.Fprintf(w, "%-7s parked %d changes\n", name, v.Parked[i])
		}
	}
	switch {
	case v.Equal() && v.Again:
		fmt.Fprintln(w, "verdict: equal, at the second reading")
	case v.Equal():
		fmt.Fprintln(w, "verdict: equal")
	default:
		fmt.Fprintln(w, "verdict: DIFFERENT")
	}
}
