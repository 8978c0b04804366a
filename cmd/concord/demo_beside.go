package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/internal/demo"
)

// beside makes a command of one that works on the running demo.
func beside(dir *string, cmd *cobra.Command, f func(*cobra.Command, *demo.Client, []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := demo.Open(*dir)
		if err != nil {
			return err
		}
		return demoError(f(cmd, c, args))
	}
	return cmd
}

func newDemoConflictCommand(dir *string) *cobra.Command {
	return beside(dir, &cobra.Command{
		Use: "conflict", Short: "Write the same rows at both sites at once and show what became of them", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, c *demo.Client, _ []string) error {
		if err := c.Conflict(cmd.Context(), cmd.OutOrStdout()); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "next: concord conflicts list -c %s\n", c.Config())
		return err
	})
}

func newDemoLoadCommand(dir *string) *cobra.Command {
	var rows int
	var site string
	cmd := beside(dir, &cobra.Command{
		Use: "load [--rows N] [--site SITE]", Short: "Write many rows in one transaction and wait until the other site has them", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, c *demo.Client, _ []string) error {
		if rows < 1 {
			return fmt.Errorf("--rows %d: write a number greater than 0", rows)
		}
		return c.Load(cmd.Context(), cmd.OutOrStdout(), site, rows)
	})
	cmd.Flags().IntVar(&rows, "rows", 100_000, "`number` of rows")
	cmd.Flags().StringVar(&site, "site", "mumbai", "the `site` where they are written")
	return cmd
}

func newDemoVerifyCommand(dir *string, opts *globalOptions) *cobra.Command {
	return beside(dir, &cobra.Command{
		Use: "verify", Short: "Stop the load for a moment and compare both sides row by row", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, c *demo.Client, _ []string) error {
		v, err := c.Verify(cmd.Context())
		if err != nil {
			return err
		}
		if opts.Output == "json" {
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(v); err != nil {
				return err
			}
		} else {
			v.Print(cmd.OutOrStdout())
		}
		if !v.Equal() {
			return demo.ErrDifferent
		}
		return nil
	})
}

func newDemoKillCommand(dir *string) *cobra.Command {
	var database bool
	cmd := beside(dir, &cobra.Command{
		Use: "kill SITE [--database]", Short: "End a site's agent, or its database, as a crash does", Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, c *demo.Client, args []string) error {
		if err := c.Kill(cmd.Context(), args[0], database); err != nil {
			return err
		}
		what, flag := "agent", ""
		if database {
			what, flag = "database", " --database"
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "the %s of %s is gone (SIGKILL)\nnext: concord demo start %s%s\n", what, args[0], args[0], flag)
		return err
	})
	cmd.Flags().BoolVar(&database, "database", false, "the database server, not the agent")
	return cmd
}

func newDemoStartCommand(dir *string) *cobra.Command {
	var database bool
	cmd := beside(dir, &cobra.Command{
		Use: "start SITE [--database]", Short: "Start what demo kill has ended", Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, c *demo.Client, args []string) error {
		if err := c.Start(cmd.Context(), args[0], database); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s works again\nnext: concord demo verify\n", args[0])
		return err
	})
	cmd.Flags().BoolVar(&database, "database", false, "the database server, not the agent")
	return cmd
}
