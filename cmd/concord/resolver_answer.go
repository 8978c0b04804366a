package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/concord-db/concord/internal/ruletest"
)

// resolverAnswer is the answer of concord resolver test.
type resolverAnswer struct {
	Rule      string               `json:"rule"`
	Table     string               `json:"table"`
	Known     bool                 `json:"table_known"` // by its database; else of the cases' columns
	Column    string               `json:"column,omitempty"`
	OK        bool                 `json:"ok"`
	Cases     int                  `json:"cases"`
	Wrong     []ruletest.WrongCase `json:"wrong"`
	Histories ruletest.Report      `json:"histories"`
	Next      string               `json:"next"`
}

func newResolverAnswer(name string, r *ruletest.Rule) *resolverAnswer {
	a := &resolverAnswer{Rule: name, Table: r.Table.QualifiedName(), Cases: len(r.Cases), Wrong: append([]ruletest.WrongCase{}, r.CheckCases()...)}
	if r.Column >= 0 {
		a.Column = r.Table.Columns[r.Column].Name
	}
	return a
}

// conclude says what to do next.
func (a *resolverAnswer) conclude(t *resolverTest) {
	a.OK = len(a.Wrong) == 0 && a.Histories.Broken == nil
	a.Known = t.table != ""
	again := "concord resolver test " + a.Rule
	if t.table != "" {
		again += " --table " + t.table
	}
	switch {
	case a.OK && a.Column != "":
		column := a.Column
		if t.table == "" {
			column = "COLUMN"
		}
		a.Next = fmt.Sprintf("columns = { %s = %q } in the [[table]] of the configuration, then: concord config check", column, a.Rule)
	case a.OK:
		a.Next = fmt.Sprintf("conflict = %q in the [[table]] of the configuration, then: concord config check", a.Rule)
	case a.Histories.Broken != nil:
		a.Next = fmt.Sprintf("correct the rule, then: %s --first %d", again, a.Histories.Broken.Seed)
	default:
		a.Next = "correct the rule, or the case, then: " + again
	}
}

func (a *resolverAnswer) print(w io.Writer) {
	for _, c := range a.Wrong {
		fmt.Fprintf(w, "%s\n  older  %s\n  newer  %s\n  base   %s\n  want   %s\n  got    %s\n\n", c.Name, c.Older, c.Newer, c.Base, c.Want, c.Got)
	}
	if b := a.Histories.Broken; b != nil {
		fmt.Fprintf(w, "%s: %s\nthe smallest history of %d sites that shows it:\n", b.What, b.Detail, b.Sites)
		for _, l := range b.Lines {
			fmt.Fprintf(w, "  %s\n", l)
		}
		if len(b.Call) > 0 {
			fmt.Fprintln(w, "it is asked with")
		}
		for _, l := range b.Call {
			fmt.Fprintf(w, "  %s\n", l)
		}
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	of := "rows"
	if a.Column != "" {
		of = "a column"
	}
	if a.Known {
		of = strings.Replace(of, "a column", "column "+a.Column, 1) + " of " + a.Table
	}
	fmt.Fprintf(t, "rule\t%s, for %s\n", a.Rule, of)
	cases := "none: give some in a list test_FUNCTION"
	if a.Cases > 0 {
		cases = fmt.Sprintf("%d of %d as wanted", a.Cases-len(a.Wrong), a.Cases)
	}
	fmt.Fprintf(t, "cases\t%s\n", cases)
	h := fmt.Sprintf("%d, arriving in %d orders: one row, no failure, nothing undone that knew all", a.Histories.Histories, a.Histories.Orders)
	if b := a.Histories.Broken; b != nil {
		h = fmt.Sprintf("number %d breaks it, seed %d", a.Histories.Histories, b.Seed)
	}
	fmt.Fprintf(t, "histories\t%s\n", h)
	t.Flush()
	fmt.Fprintf(w, "next: %s\n", a.Next)
}
