package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/concord-db/concord/internal/demo"
)

func newDemoCommand(_ *globalOptions) *cobra.Command {
	o := demo.Options{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Two data centres on this machine, with a load on both",
		Long: "Starts two PostgreSQL servers and two agents on this machine, writes to both sides\n" +
			"with deliberate conflicts, and at the end compares both databases row by row.\n" +
			"Exit 0: equal; 1: different.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding the own program: %w", err)
			}
			o.Program, o.Out = program, cmd.OutOrStdout()
			o.Terminal = term.IsTerminal(int(os.Stdout.Fd()))
			err = demo.Run(cmd.Context(), o)
			if errors.Is(err, demo.ErrDiffer) {
				return &exitError{code: 1}
			}
			return err
		},
	}
	cmd.PersistentFlags().StringVar(&o.Dir, "dir", ".demo", "`directory` of the demo's state; cleared at the start")
	f := cmd.Flags()
	f.DurationVar(&o.For, "for", 0, "end by itself after this `time`")
	f.IntVar(&o.Writers, "writers", 3, "connections that write at each site")
	f.DurationVar(&o.Pause, "pause", 10*time.Millisecond, "rest of a writer between two transactions")
	cmd.AddCommand(newDemoConflictCommand(&o), newDemoKillCommand(&o), newDemoStartCommand(&o), newDemoLoadCommand(&o), newDemoVerifyCommand(&o))
	return cmd
}
