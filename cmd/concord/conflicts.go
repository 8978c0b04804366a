package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

func newConflictsCommand(opts *globalOptions) *cobra.Command {
	var name string
	cmd := &cobra.Command{Use: "conflicts", Short: "Show conflicts that were settled"}
	cmd.PersistentFlags().StringVar(&name, "site", "", "whose records; the first `site` of the file when not given")
	cmd.AddCommand(newConflictsListCommand(opts, &name), newConflictsShowCommand(opts, &name))
	return cmd
}

func newConflictsListCommand(opts *globalOptions, name *string) *cobra.Command {
	given := map[string]*string{}
	cmd := &cobra.Command{
		Use: "list", Short: "List conflicts, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := enginesite.ParseConflictFilter(func(n string) string { return *given[n] }, time.Now())
			if err != nil {
				return fmt.Errorf("--%w", err)
			}
			return withSite(cmd, opts, *name, func(n change.Site, db engine.Engine) error {
				page, err := db.ListConflicts(cmd.Context(), f)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				if opts.Output == "json" {
					return printJSON(w, page)
				}
				var rows []string
				for _, c := range page.Conflicts {
					rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s %s\t%s %s\t%s", c.ID, c.At.UTC().Format(time.DateTime), c.Table, c.Key, c.Kind,
						c.Policy, c.Older.Origin, c.Older.Op, c.Newer.Origin, c.Newer.Op, c.Resolution))
				}
				table(w, "ID\tTIME\tTABLE\tKEY\tKIND\tPOLICY\tOLDER\tNEWER\tRESULT", rows)
				next := "nothing to do"
				if len(page.Conflicts) > 0 {
					next = fmt.Sprintf("concord conflicts show %d --site %s", page.Conflicts[0].ID, n)
				}
				fmt.Fprintf(w, "\n%d conflicts\nnext: %s\n", len(page.Conflicts), next)
				if page.Next != "" {
					fmt.Fprintf(w, "more: the same command with --after %s\n", page.Next)
				}
				return nil
			})
		},
	}
	for _, p := range []struct{ name, usage string }{
		{"since", "only those settled at or after this `time`: how long ago (1h, 7d) or RFC 3339"},
		{"until", "only those settled before this `time`"},
		{"table", "only of this `table` (schema.name)"},
		{"kind", "only of this `kind` (insert_exists, update_origin_differs, …)"},
		{"limit", "at most this `many`, up to 1000 (default 100)"},
		{"after", "the page after this `place`, which the page before ends with"},
	} {
		given[p.name] = cmd.Flags().String(p.name, "", p.usage)
	}
	return cmd
}

func newConflictsShowCommand(opts *globalOptions, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one conflict: who wrote what, when, and what the rule made of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return withSite(cmd, opts, *name, func(_ change.Site, db engine.Engine) error {
				c, err := db.Conflict(cmd.Context(), id)
				if errors.Is(err, fs.ErrNotExist) {
					return &exitError{code: 1, err: fmt.Errorf("there is no conflict %d; concord conflicts list", id)}
				}
				if err != nil {
					return err
				}
				if opts.Output == "json" {
					return printJSON(cmd.OutOrStdout(), c)
				}
				return showConflict(cmd.OutOrStdout(), &c)
			})
		},
	}
}

func parseID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("%q is not an id; take one from the list", s)
	}
	return id, nil
}
