package config

import (
	"cmp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPolicies(t *testing.T) {
	known := []string{"mumbai", "pune"}
	for _, tt := range []struct {
		text string
		want Policy
		back string // what String gives, when it is not text
	}{
		{"last_write_wins", Policy{Base: LastWriteWins}, ""},
		{"first_write_wins", Policy{Base: FirstWriteWins}, ""},
		{"park", Policy{Base: ParkConflict}, ""},
		{"prefer:mumbai", Policy{Base: Prefer, Prefer: "mumbai"}, ""},
		{"delete_wins", Policy{Base: LastWriteWins, Deletes: DeleteWins}, ""},
		{"update_wins", Policy{Base: LastWriteWins, Deletes: UpdateWins}, ""},
		{"delete_wins+last_write_wins", Policy{Base: LastWriteWins, Deletes: DeleteWins}, "delete_wins"},
		{"delete_wins+prefer:pune", Policy{Base: Prefer, Prefer: "pune", Deletes: DeleteWins}, ""},
		{"first_write_wins+update_wins", Policy{Base: FirstWriteWins, Deletes: UpdateWins}, "update_wins+first_write_wins"},
		{"orders.star:f", Policy{Base: Custom, Resolver: "orders.star:f"}, ""},
		{"update_wins+rules/o.star:f_2", Policy{Base: Custom, Resolver: "rules/o.star:f_2", Deletes: UpdateWins}, ""},
		{"update_wins+park", Policy{Base: ParkConflict, Deletes: UpdateWins}, ""},
	} {
		got, f := parsePolicy(tt.text, known)
		if f != nil || got != tt.want {
			t.Errorf("%q: got %+v, %v", tt.text, got, f)
			continue
		}
		if want := cmp.Or(tt.back, tt.text); got.String() != want {
			t.Errorf("%q is written back as %q", tt.text, got)
		}
	}
}

func TestWrongPolicies(t *testing.T) {
	known := []string{"mumbai", "pune"}
	for _, tt := range []struct{ text, message, part string }{
		{"", `unknown conflict policy ""`, ""},
		{"Last-Write-Wins", `did you mean "last_write_wins"?`, "Last-Write-Wins"},
		{"delete_wins+", `unknown conflict policy ""`, ""},
		{"delete_wins + park", `unknown conflict policy "delete_wins "; did you mean "delete_wins"?`, "delete_wins "},
		{"delete_wins+delete_wins", "cannot be combined", "delete_wins"},
		{"park+last_write_wins", "cannot be combined", "last_write_wins"},
		{"park:mumbai", `unknown conflict policy "park:mumbai"`, "park:mumbai"},
		{"prefer", "prefer needs a site", "prefer"},
		{"prefer:", "prefer needs a site", "prefer:"},
		{"update_wins+prefer:delhi", `there is no site "delhi"`, "delhi"},
		{"prefer:punt", `did you mean "pune"?`, "punt"},
		{"orders.star", "a file and a function", "orders.star"},
		{"orders.star:", "a file and a function", "orders.star:"},
		{"delete_wins+orders.star:1", "a file and a function", "orders.star:1"},
		{"orders.star:f+park", "cannot be combined", "park"},
	} {
		_, f := parsePolicy(tt.text, known)
		if f == nil || !strings.Contains(f.message, tt.message) || f.remedy == "" {
			t.Errorf("%q: got %+v, want %q", tt.text, f, tt.message)
			continue
		}
		if got := tt.text[f.at.from:f.at.to]; got != tt.part {
			t.Errorf("%q: points at %q, want %q", tt.text, got, tt.part)
		}
	}
}

// What String writes is the same policy again.
func TestPolicyTextReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			Base:    rapid.SampledFrom([]string{LastWriteWins, FirstWriteWins, Prefer, ParkConflict}).Draw(t, "base"),
			Deletes: rapid.SampledFrom([]string{"", DeleteWins, UpdateWins}).Draw(t, "deletes"),
		}
		if p.Base == Prefer {
			p.Prefer = "pune"
		}
		if got, f := parsePolicy(p.String(), nil); f != nil || got != p {
			t.Fatalf("%q is read as %+v, %v", p, got, f)
		}
	})
}
