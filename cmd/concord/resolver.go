package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/concord-db/concord/conflict/resolver"
	"github.com/concord-db/concord/internal/ruletest"
)

func newResolverCommand(opts *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resolver",
		Short: "Examine rules for conflicts that are written in Starlark",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("say what: %s test FILE:FUNCTION", cmd.CommandPath())
		},
	}
	cmd.AddCommand(newResolverTestCommand(opts))
	return cmd
}

// resolverTest is what concord resolver test is asked for.
type resolverTest struct {
	file, function string
	table, column  string
	site           string
	first, seeds   uint64
}

func newResolverTestCommand(opts *globalOptions) *cobra.Command {
	t := &resolverTest{}
	cmd := &cobra.Command{
		Use:   "test FILE:FUNCTION [--table TABLE [--column COLUMN]]",
		Short: "Check a rule's cases, and try it in random histories of two and three sites",
		Long: "Checks the cases that the file gives for the rule, in a list test_FUNCTION:\n\n" +
			"    test_order_status = [\n" +
			"        {\"older\": {\"id\": 1, \"status\": \"shipped\"}, \"newer\": {\"id\": 1, \"status\": \"paid\"},\n" +
			"         \"base\": {\"id\": 1, \"status\": \"new\"}, \"want\": {\"status\": \"shipped\"}},\n    ]\n\n" +
			"Without \"base\" no row was known to both. \"want\" names the columns that matter, or is None:\n" +
			"no row; instead of it \"fails\" says which words the error has. \"name\" is optional. For a rule of\n" +
			"a column they are values instead of rows. test_values = {\"status\": [\"new\", …]} names values\n" +
			"that are tried beside those of the cases.\n\n" +
			"Then sites write at random without knowing of each other, and what they wrote arrives in every\n" +
			"order: the rule must give one row, must not fail, must return what the table takes, and must\n" +
			"not undo a write that knew all others. The smallest history that breaks it is shown.\n\n" +
			"With --table rows have that table's columns, as its database says; else those of the cases.\n" +
			"Exit 0: nothing is wrong with it; 1: something is; 2: trouble.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ok bool
			t.file, t.function, ok = strings.Cut(args[0], ":")
			if !ok || t.file == "" || t.function == "" {
				return fmt.Errorf("%q is not a rule: write FILE:FUNCTION, for example orders.star:order_status", args[0])
			}
			if t.column != "" && t.table == "" {
				return errors.New("--column is a column of --table")
			}
			r, err := t.rule(cmd.Context(), opts)
			if err != nil {
				return err
			}
			a := newResolverAnswer(args[0], r)
			if a.Histories, err = t.histories(cmd, r); err != nil {
				return err
			}
			a.conclude(t)
			if err := printAnswer(cmd.OutOrStdout(), opts, a); err != nil {
				return err
			}
			if !a.OK {
				return &exitError{code: 1}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.table, "table", "", "`schema.table` whose rows it decides")
	f.StringVar(&t.column, "column", "", "the `column` of it that it decides; else as its cases, or the configuration, say")
	f.StringVar(&t.site, "site", "", "where the table is; the first `site` of the file when not given")
	f.Uint64Var(&t.seeds, "seeds", 2000, "how many histories")
	f.Uint64Var(&t.first, "first", 1, "`seed` of the first")
	return cmd
}

// rule loads the script and finds out of which columns rows are.
func (t *resolverTest) rule(ctx context.Context, opts *globalOptions) (*ruletest.Rule, error) {
	source, err := os.ReadFile(t.file)
	if err != nil {
		return nil, fmt.Errorf("reading the script: %w", err)
	}
	script, err := resolver.Load(t.file, source)
	if err != nil {
		return nil, err
	}
	o := ruletest.Options{}
	if t.table != "" {
		if o, err = t.fromTable(ctx, opts); err != nil {
			return nil, err
		}
	}
	r, err := ruletest.New(script, t.function, o)
	if errors.Is(err, ruletest.ErrNoColumns) {
		return nil, fmt.Errorf("%w: give cases, test_%s = [{\"older\": {…}, \"newer\": {…}, \"want\": {…}}] in %s, or --table", err, t.function, t.file)
	}
	return r, err
}

// histories tries them and shows how it goes on a terminal.
func (t *resolverTest) histories(cmd *cobra.Command, r *ruletest.Rule) (ruletest.Report, error) {
	progress, done := func(uint64) {}, func() {}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		progress, done = progressLine(cmd.ErrOrStderr(), t.seeds, time.Now)
	}
	defer done()
	return r.Histories(cmd.Context(), t.first, t.seeds, progress)
}

// progressLine keeps one line up to date: how many of all, how fast, how long still.
func progressLine(w io.Writer, all uint64, now func() time.Time) (progress func(uint64), done func()) {
	start := now()
	var shown time.Time
	progress = func(n uint64) {
		at := now()
		if at.Sub(shown) < 200*time.Millisecond {
			return
		}
		shown = at
		rate := float64(n) / max(at.Sub(start).Seconds(), 0.001)
		left := time.Duration(float64(all-n) / rate * float64(time.Second))
		fmt.Fprintf(w, "\r\x1b[K%d of %d histories, %.0f/s, %s left", n, all, rate, left.Round(time.Second))
	}
	return progress, func() {
		if !shown.IsZero() {
			fmt.Fprint(w, "\r\x1b[K")
		}
	}
}
