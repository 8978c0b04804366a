package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine"
	"github.com/concord-db/concord/internal/site"
)

func newParkedCommand(opts *globalOptions) *cobra.Command {
	var name string
	cmd := &cobra.Command{Use: "parked", Short: "Show and settle changes that were set aside"}
	cmd.PersistentFlags().StringVar(&name, "site", "", "where; the first `site` of the file when not given")
	cmd.AddCommand(newParkedListCommand(opts, &name), newParkedShowCommand(opts, &name),
		newParkedSettleCommand(opts, &name, "apply", "Write a parked change now, as a new write that every site follows"),
		newParkedSettleCommand(opts, &name, "discard", "Drop a parked change; this site's row is published so that the others follow it"))
	return cmd
}

func newParkedListCommand(opts *globalOptions, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List parked changes and tables held back, the oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSite(cmd, opts, *name, func(n change.Site, db engine.Engine) error {
				list, err := db.Parked(cmd.Context())
				if err != nil {
					return err
				}
				var held []apply.Hold
				if h, ok := db.(apply.Holder); ok {
					if held, err = h.Holds(cmd.Context()); err != nil {
						return err
					}
				}
				records := []site.ParkedRecord{}
				for i := range list {
					records = append(records, site.Record(&list[i]))
				}
				return printParked(cmd, opts, n, records, held)
			})
		},
	}
}

func printParked(cmd *cobra.Command, opts *globalOptions, n change.Site, records []site.ParkedRecord, held []apply.Hold) error {
	w := cmd.OutOrStdout()
	if opts.Output == "json" {
		return printJSON(w, map[string]any{"parked": records, "held": held})
	}
	var rows []string
	for _, r := range records {
		behind := ""
		if r.Behind {
			behind = "behind another: "
		}
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s%s", r.ID, r.At.UTC().Format(time.DateTime), r.From, r.Table, r.Op, keyText(r.Key), r.Reason, behind, oneLine(r.Message)))
	}
	table(w, "ID\tTIME\tFROM\tTABLE\tOP\tKEY\tREASON\tMESSAGE", rows)
	if len(held) > 0 {
		rows = nil
		for _, h := range held {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", h.Table, h.Origin, h.Since.UTC().Format(time.DateTime), oneLine(h.Message)))
		}
		fmt.Fprintln(w)
		table(w, "TABLE HELD BACK\tFROM\tSINCE\tMESSAGE", rows)
	}
	next := "nothing to do"
	switch {
	case len(records) > 0:
		next = fmt.Sprintf("mend the cause, then concord parked apply %d --site %s (or discard)", records[0].ID, n)
	case len(held) > 0:
		next = "alter the table as the message says; it catches up by itself"
	}
	fmt.Fprintf(w, "\n%d parked, %d tables held back\nnext: %s\n", len(records), len(held), next)
	if len(records)+len(held) > 0 {
		return &exitError{code: 1}
	}
	return nil
}

func keyText(key map[string]*string) string {
	var parts []string
	for k, v := range key {
		if v != nil {
			parts = append(parts, k+"="+*v)
		}
	}
	return strings.Join(parts, ",")
}

func newParkedShowCommand(opts *globalOptions, name *string) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one parked change", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return withSite(cmd, opts, *name, func(_ change.Site, db engine.Engine) error {
				p, err := db.ParkedByID(cmd.Context(), id)
				if err != nil {
					return noSuchParked(err, id)
				}
				return printJSON(cmd.OutOrStdout(), site.Record(&p))
			})
		},
	}
}

func noSuchParked(err error, id int64) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &exitError{code: 1, err: fmt.Errorf("there is no parked change %d; concord parked list", id)}
	}
	return err
}

func newParkedSettleCommand(opts *globalOptions, name *string, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return withSite(cmd, opts, *name, func(n change.Site, db engine.Engine) error {
				p, err := db.ParkedByID(cmd.Context(), id)
				if err != nil {
					return noSuchParked(err, id)
				}
				r := site.Record(&p)
				w := cmd.OutOrStdout()
				fmt.Fprintf(w, "%s of %s %s from %s, parked because: %s\n", r.Op, r.Table, keyText(r.Key), r.From, r.Message)
				if opts.DryRun {
					fmt.Fprintf(w, "would %s it\n", verb)
					return nil
				}
				if err := confirm(cmd, opts, fmt.Sprintf("%s it at %s?", verb, n)); err != nil {
					return err
				}
				if verb == "apply" {
					if err := db.ApplyParked(cmd.Context(), id); err != nil {
						return err
					}
					fmt.Fprintln(w, "applied, as a new write that every site follows\nnext: concord parked list")
					return nil
				}
				published, err := db.DiscardParked(cmd.Context(), id)
				if err != nil {
					return err
				}
				if published {
					fmt.Fprintln(w, "discarded; this site's row was published for the others to follow\nnext: concord parked list")
				} else {
					fmt.Fprintln(w, "discarded; there is no such row at this site, so nothing was published: the other sites keep theirs\nnext: concord parked list")
				}
				return nil
			})
		},
	}
}

// confirm asks on a terminal; a script must say --yes.
func confirm(cmd *cobra.Command, opts *globalOptions, question string) error {
	if opts.Yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("nobody can be asked here; say --yes")
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s [y/N] ", question)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return &exitError{code: 1, err: errors.New("not done")}
	}
	return nil
}
