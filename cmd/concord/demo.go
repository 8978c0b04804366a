package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/concord-db/concord/internal/demo"
)

func newDemoCommand(opts *globalOptions) *cobra.Command {
	var dir, db string
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo [--for TIME] [--db DATABASES]",
		Short: "Two data centres on this machine, with a load on both",
		Long: "Starts two database servers with a small shop and two agents on this machine, writes\n" +
			"at both sides, often the same rows, and at the end compares both databases row by row.\n" +
			"The commands below work beside it. Exit 0: equal; 1: not; 2: trouble.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Rate <= 0 || o.For < 0 {
				return errors.New("--rate must be greater than 0, --for not less")
			}
			if o.DB, err = demo.ParseDatabases(db); err != nil {
				return err
			}
			if o.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("finding the own program: %w", err)
			}
			o.Dir, o.Out, o.Terminal = dir, cmd.OutOrStdout(), term.IsTerminal(int(os.Stdout.Fd()))
			if opts.Output == "json" {
				o.Out, o.Terminal = cmd.ErrOrStderr(), false
			}
			hard, cancel := secondInterrupt(cmd.Context())
			defer cancel()
			v, err := demo.Run(cmd.Context(), hard, o)
			if opts.Output == "json" && len(v.Tables) > 0 {
				err = errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(v))
			}
			return demoError(err)
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", ".demo", "`directory` of all that the demo keeps")
	f := cmd.Flags()
	f.DurationVar(&o.For, "for", 0, "end by itself after this `time`, as 20s; else with Ctrl-C")
	f.StringVar(&db, "db", string(demo.Postgres), "postgres, mariadb, mysql, or mixed: PostgreSQL in mumbai and MariaDB in pune")
	f.Float64Var(&o.Rate, "rate", 100, "`transactions` a second at each site")
	cmd.AddCommand(newDemoConflictCommand(&dir), newDemoLoadCommand(&dir), newDemoVerifyCommand(&dir, opts),
		newDemoKillCommand(&dir), newDemoStartCommand(&dir))
	return cmd
}

// demoError gives the exit code of the demo's errors.
func demoError(err error) error {
	if errors.Is(err, demo.ErrDifferent) || errors.Is(err, demo.ErrNoConflict) {
		return &exitError{code: 1, err: err}
	}
	return err
}

// secondInterrupt returns a context that outlives ctx, which ends at the first signal,
// until the next signal.
func secondInterrupt(ctx context.Context) (context.Context, context.CancelFunc) {
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(signals)
		select {
		case <-signals:
			cancel(errors.New("interrupted again: the sides were not compared"))
		case <-hard.Done():
		}
	})
	return hard, func() { stop(); cancel(context.Canceled) }
}
