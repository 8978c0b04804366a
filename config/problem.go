package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, or worth a look, at a place in the file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"` // what to do; may be empty
	// Excerpt is the line of the file with passwords hidden, and below it a line of
	// carets under the place. Empty when the file has no such line.
	Excerpt string `json:"excerpt,omitempty"`
}

// String renders the problem on several lines, without a newline at the end.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if text, marks, ok := strings.Cut(p.Excerpt, "\n"); ok {
		fmt.Fprintf(&b, "\n%5d | %s\n      | %s", p.Line, text, marks)
	}
	if p.Remedy != "" {
		fmt.Fprintf(&b, "\n      %s", p.Remedy)
	}
	return b.String()
}

// Errors is everything that is wrong with a file, in the order of the file. It is
// never empty.
type Errors []Problem

// Error renders all problems, one after the other.
func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, p := range e {
		parts[i] = p.String()
	}
	return strings.Join(parts, "\n")
}

// sorted orders problems by place and drops repetitions.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(problems)
}
