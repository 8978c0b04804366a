package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/internal/demo"
)

// beside runs f on the demo that runs.
func beside(o *demo.Options, f func(*cobra.Command, *demo.Demo, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		o.Program, o.Out = program, cmd.OutOrStdout()
		d, err := demo.Open(*o)
		if err != nil {
			return err
		}
		err = f(cmd, d, args)
		if errors.Is(err, demo.ErrDiffer) {
			return &exitError{code: 1}
		}
		return err
	}
}

func newDemoConflictCommand(o *demo.Options) *cobra.Command {
	return &cobra.Command{
		Use: "conflict", Short: "Write one row at both sites at once and show what became of it", Args: cobra.NoArgs,
		RunE: beside(o, func(cmd *cobra.Command, d *demo.Demo, _ []string) error { return d.Conflict(cmd.Context()) }),
	}
}

func newDemoKillCommand(o *demo.Options) *cobra.Command {
	return &cobra.Command{
		Use: "kill SITE", Short: "Kill a site's agent with SIGKILL", Args: cobra.ExactArgs(1),
		RunE: beside(o, func(_ *cobra.Command, d *demo.Demo, args []string) error { return d.Kill(args[0]) }),
	}
}

func newDemoStartCommand(o *demo.Options) *cobra.Command {
	return &cobra.Command{
		Use: "start SITE", Short: "Start a killed agent again", Args: cobra.ExactArgs(1),
		RunE: beside(o, func(cmd *cobra.Command, d *demo.Demo, args []string) error { return d.Start(cmd.Context(), args[0]) }),
	}
}

func newDemoLoadCommand(o *demo.Options) *cobra.Command {
	rows := 20000
	cmd := &cobra.Command{
		Use: "load", Short: "Write many rows at one site and wait until the other has them", Args: cobra.NoArgs,
		RunE: beside(o, func(cmd *cobra.Command, d *demo.Demo, _ []string) error { return d.LoadRows(cmd.Context(), rows) }),
	}
	cmd.Flags().IntVar(&rows, "rows", rows, "how many")
	return cmd
}

func newDemoVerifyCommand(o *demo.Options) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Compare both sides row by row", Args: cobra.NoArgs,
		RunE: beside(o, func(cmd *cobra.Command, d *demo.Demo, _ []string) error { return d.Verify(cmd.Context()) }),
	}
}
