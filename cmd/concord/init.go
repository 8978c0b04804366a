package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/site"
)

func newInitCommand(opts *globalOptions) *cobra.Command {
	var name, role string
	var grants, newEpoch bool
	cmd := &cobra.Command{
		Use:   "init [--site SITE]",
		Short: "Create what Concord needs in the databases",
		Long: "Creates the schema concord, the publication, the replication slot and origins at one\n" +
			"site, or at every site. It may be run again: it changes only what is not as it must be.\n" +
			"With --grants it changes nothing and prints the least-privilege statements instead.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(opts.ConfigPath)
			if err != nil {
				return err
			}
			names, err := chosenSites(cfg, name)
			if err != nil {
				return err
			}
			if newEpoch && name == "" {
				return fmt.Errorf("--new-epoch gives up a site's log position: name the site with --site")
			}
			done := map[change.Site][]string{}
			for _, n := range names {
				db, err := site.Engine(cfg, n, opts.logger())
				if err != nil {
					return err
				}
				if grants {
					done[n], err = db.Grants(cmd.Context(), role)
				} else {
					done[n], err = db.Init(cmd.Context(), enginesite.InitOptions{Role: role, NewEpoch: newEpoch})
				}
				db.Close(cmd.Context())
				if err != nil {
					return fmt.Errorf("site %s: %w", n, err)
				}
			}
			return printInit(cmd.OutOrStdout(), opts, names, done, grants)
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "site", "", "one `site`; all when not given")
	f.StringVar(&role, "role", "", "the `role` the agents connect as; it is given the rights it needs")
	f.BoolVar(&grants, "grants", false, "print the least-privilege statements, change nothing")
	f.BoolVar(&newEpoch, "new-epoch", false, "begin a new epoch of the site's log: the other sites will need a copy")
	return cmd
}

// chosenSites returns the named site, or all.
func chosenSites(cfg *config.Config, name string) ([]change.Site, error) {
	if name == "" {
		return cfg.Names(), nil
	}
	if _, ok := cfg.Site(change.Site(name)); !ok {
		return nil, fmt.Errorf("site %q is not in %s; it has %v", name, cfg.Path, cfg.Names())
	}
	return []change.Site{change.Site(name)}, nil
}

func printInit(w io.Writer, opts *globalOptions, names []change.Site, done map[change.Site][]string, grants bool) error {
	if opts.Output == "json" {
		return json.NewEncoder(w).Encode(done)
	}
	for _, n := range names {
		if grants {
			fmt.Fprintf(w, "-- site %s\n", n)
			for _, s := range done[n] {
				fmt.Fprintf(w, "%s;\n", s)
			}
			continue
		}
		fmt.Fprintf(w, "site %s\n", n)
		for _, s := range done[n] {
			fmt.Fprintf(w, "  %s\n", s)
		}
	}
	if !grants {
		fmt.Fprintln(w, "next: concord doctor, then concord run --site SITE at each site")
	}
	return nil
}
