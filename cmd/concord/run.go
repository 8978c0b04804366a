package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/site"
)

// memoryLimit is what the runtime is asked to stay below: an agent promises 256 MiB.
const memoryLimit = 170 << 20

// collectAt lets the heap grow to four times what is in use before it is collected:
// below the limit memory is cheaper than the time of collecting it.
const collectAt = 300

func newRunCommand(opts *globalOptions) *cobra.Command {
	var name, role, listen string
	cmd := &cobra.Command{
		Use:   "run [--site SITE]",
		Short: "Run the agents of one site",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(opts.ConfigPath)
			if err != nil {
				return err
			}
			if name == "" && len(cfg.Sites) == 1 {
				name = string(cfg.Sites[0].Name)
			}
			if name == "" {
				return fmt.Errorf("which site? use --site with one of %v", cfg.Names())
			}
			switch site.Role(role) {
			case site.All, site.Capture, site.Apply:
			default:
				return fmt.Errorf("--role %q: use all, capture or apply", role)
			}
			if os.Getenv("GOMEMLIMIT") == "" {
				debug.SetMemoryLimit(memoryLimit)
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(collectAt)
			}
			stop, err := startProfile()
			if err != nil {
				return err
			}
			defer stop()
			log := opts.logger().With("site", name)
			s, err := site.New(cfg, change.Site(name), site.Options{Role: site.Role(role), Logger: log})
			if err != nil {
				return err
			}
			if self, _ := cfg.Site(change.Site(name)); listen == "" {
				listen = self.HTTP
			}
			return runSite(cmd.Context(), cfg, listen, s, log)
		},
	}
	cmd.Flags().StringVar(&name, "site", "", "the `site` whose agents to run")
	cmd.Flags().StringVar(&role, "role", "all", "all, capture or apply")
	cmd.Flags().StringVar(&listen, "http", "", "serve HTTP on this `address` and not on the site's: for a second agent of a site on one machine")
	return cmd
}
