package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine"
	"github.com/concord-db/concord/internal/site"
)

// withSite loads the configuration and runs f with the database of the named site,
// the first of the file when name is "".
func withSite(cmd *cobra.Command, opts *globalOptions, name string, f func(name change.Site, db engine.Engine) error) error {
	cfg, err := config.Load(opts.ConfigPath)
	if err != nil {
		return err
	}
	n := cfg.Sites[0].Name
	if name != "" {
		chosen, err := chosenSites(cfg, name)
		if err != nil {
			return err
		}
		n = chosen[0]
	}
	db, err := site.Engine(cfg, n, opts.logger())
	if err != nil {
		return err
	}
	defer db.Close(cmd.Context())
	if err := f(n, db); err != nil {
		return fmt.Errorf("site %s: %w", n, err)
	}
	return nil
}

// table prints rows in columns; each row is tab separated.
func table(w io.Writer, header string, rows []string) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for _, r := range rows {
		fmt.Fprintln(t, r)
	}
	_ = t.Flush() // a closed output ends the program anyway
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// oneLine keeps a text within its cell.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
