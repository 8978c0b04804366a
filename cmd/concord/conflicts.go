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
	var f enginesite.ConflictFilter
	var since time.Duration
	cmd := &cobra.Command{
		Use: "list", Short: "List conflicts, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since > 0 {
				f.Since = time.Now().Add(-since)
			}
			return withSite(cmd, opts, *name, func(n change.Site, db engine.Engine) error {
				list, err := db.ListConflicts(cmd.Context(), f)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				if opts.Output == "json" {
					return printJSON(w, list)
				}
				var rows []string
				for _, c := range list {
					rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s %s\t%s %s\t%s", c.ID, c.At.UTC().Format(time.DateTime), c.Table, c.Key, c.Kind,
						c.Policy, c.Older.Origin, c.Older.Op, c.Newer.Origin, c.Newer.Op, c.Resolution))
				}
				table(w, "ID\tTIME\tTABLE\tKEY\tKIND\tPOLICY\tOLDER\tNEWER\tRESULT", rows)
				next := "nothing to do"
				if len(list) > 0 {
					next = fmt.Sprintf("concord conflicts show %d --site %s", list[0].ID, n)
				}
				fmt.Fprintf(w, "\n%d conflicts\nnext: %s\n", len(list), next)
				return nil
			})
		},
	}
	fl := cmd.Flags()
	fl.DurationVar(&since, "since", 0, "only those of the last `time` (1h)")
	fl.StringVar(&f.Table, "table", "", "only of this `table` (schema.name)")
	fl.StringVar(&f.Kind, "kind", "", "only of this `kind` (insert_exists, update_origin_differs, …)")
	fl.IntVar(&f.Limit, "limit", 100, "at most this `many`")
	fl.Int64Var(&f.Before, "before", 0, "only those before this `id`: the next page")
	return cmd
}

func newConflictsShowCommand(opts *globalOptions, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one conflict: both rows, versions, policy and result", Args: cobra.ExactArgs(1),
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
				w := cmd.OutOrStdout()
				if opts.Output == "json" {
					return printJSON(w, c)
				}
				side := func(s enginesite.ConflictSide) string {
					return fmt.Sprintf("%s at %s (transaction %d, version %s)\n            %s", s.Op, s.Origin, s.Seq, change.HLCString(s.HLC), s.Row)
				}
				fmt.Fprintf(w, "conflict    %d, %s\ntable       %s\nkey         %s\nkind        %s\npolicy      %s\nolder       %s\nnewer       %s\nresult      %s\n            %s\nnext: nothing to do; every site settles it the same way\n",
					c.ID, c.At.UTC().Format(time.RFC3339Nano), c.Table, c.Key, c.Kind, c.Policy, side(c.Older), side(c.Newer), c.Resolution, c.Result)
				return nil
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
