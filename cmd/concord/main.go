// Command concord makes two or more SQL databases, one in each data centre, behave as
// one active-active system.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// globalOptions are the flags of every command.
type globalOptions struct {
	ConfigPath string
	Output     string // "table" or "json"
	Yes        bool
	DryRun     bool
	LogFormat  string // "text" or "json"
	LogLevel   slog.Level
}

// exitError ends the program with a code: 1, the answer is no; 2, trouble.
type exitError struct {
	code int
	err  error // nil when the output has said it all
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	root := newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := 2
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "concord:", text)
	}
	return code
}

func newRootCommand() *cobra.Command {
	opts := &globalOptions{}
	root := &cobra.Command{
		Use:           "concord",
		Short:         "Active-active replication for SQL databases",
		Long:          "Concord makes two or more SQL databases, one in each data centre, behave as one\nactive-active system: every site writes, conflicts are settled the same way everywhere.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if opts.Output != "table" && opts.Output != "json" {
				return fmt.Errorf("--output %q: use table or json", opts.Output)
			}
			return nil
		},
	}
	f := root.PersistentFlags()
	f.StringVarP(&opts.ConfigPath, "config", "c", "concord.toml", "configuration `file`, the same at every site")
	f.StringVarP(&opts.Output, "output", "o", "table", "table or json")
	f.BoolVar(&opts.Yes, "yes", false, "do not ask")
	f.BoolVar(&opts.DryRun, "dry-run", false, "say what would be done")
	f.StringVar(&opts.LogFormat, "log-format", "text", "text or json")
	f.TextVar(&opts.LogLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	root.AddCommand(newRunCommand(opts), newInitCommand(opts), newConfigCommand(opts), newVersionCommand(opts), newDemoCommand(opts),
		newDoctorCommand(opts), newStatusCommand(opts), newConflictsCommand(opts), newParkedCommand(opts), newResolverCommand(opts))
	return root
}

// logger writes to standard error.
func (o *globalOptions) logger() *slog.Logger {
	h := &slog.HandlerOptions{Level: o.LogLevel}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, h))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, h))
}
