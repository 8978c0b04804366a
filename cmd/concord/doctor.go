package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/site"
)

// siteCheck is a check with the site it is about; "" when it is about all.
type siteCheck struct {
	Site change.Site `json:"site,omitempty"`
	enginesite.Check
}

func newDoctorCommand(opts *globalOptions) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "doctor [--site SITE]",
		Short: "Examine databases, rights, tables, clocks and buses",
		Long:  "Examines each site's database and what lies between the sites. Changes nothing.\nExit 0: nothing critical; 1: something is.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(opts.ConfigPath)
			if err != nil {
				return err
			}
			names, err := chosenSites(cfg, name)
			if err != nil {
				return err
			}
			checks, err := examine(cmd.Context(), cfg, names, opts)
			if err != nil {
				return err
			}
			return printChecks(cmd, opts, checks)
		},
	}
	cmd.Flags().StringVar(&name, "site", "", "one `site`; all when not given")
	return cmd
}

func examine(ctx context.Context, cfg *config.Config, names []change.Site, opts *globalOptions) ([]siteCheck, error) {
	checks := []siteCheck{{Check: enginesite.Check{Name: "config", Status: enginesite.OK,
		Detail: fmt.Sprintf("%s: %d sites, %d rules, %d warnings", cfg.Path, len(cfg.Sites), len(cfg.Rules), len(cfg.Warnings))}}}
	offsets := map[change.Site]enginesite.Identity{}
	schemas := map[change.Site][]enginesite.Table{}
	ran := map[change.Site]enginesite.Rules{}
	for _, n := range names {
		db, err := site.Engine(cfg, n, opts.logger())
		if err != nil {
			return nil, err
		}
		for _, c := range db.Doctor(ctx) {
			checks = append(checks, siteCheck{Site: n, Check: c})
		}
		if id, err := db.Identity(ctx); err == nil {
			offsets[n] = id
		}
		// Why a database does not answer is among its own checks.
		if tables, err := db.Schema(ctx); err == nil {
			schemas[n] = tables
		}
		if rules, err := db.Rules(ctx); err == nil {
			if own, ok := rules[n]; ok {
				ran[n] = own
			}
		}
		db.Close(ctx)
		checks = append(checks, siteCheck{Site: n, Check: busCheck(ctx, cfg, n)})
	}
	checks = append(checks, schemaChecks(cfg, names, schemas)...)
	checks = append(checks, fitChecks(cfg, schemas)...)
	checks = append(checks, foreignChecks(cfg, schemas)...)
	checks = append(checks, ruleChecks(cfg, ran, tableNames(schemas))...)
	return append(checks, clockCheck(cfg, names, offsets)...), nil
}

// busCheck tries to reach the bus of a site. An embedded bus is there only while its
// agent runs.
func busCheck(ctx context.Context, cfg *config.Config, name change.Site) enginesite.Check {
	s, _ := cfg.Site(name)
	if !s.Bus.Embedded() {
		return enginesite.Check{Name: "bus", Status: enginesite.OK, Detail: "external; checked when the agent starts"}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	began := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Bus.Address())
	if err != nil {
		return enginesite.Check{Name: "bus", Status: enginesite.Warning, Detail: fmt.Sprintf("%s cannot be reached from here: %v", s.Bus.Address(), err),
			Remedy: fmt.Sprintf("start the agent (concord run --site %s); if it runs, open the port between the sites", name)}
	}
	_ = conn.Close()
	return enginesite.Check{Name: "bus", Status: enginesite.OK, Detail: fmt.Sprintf("%s reached in %s", s.Bus.Address(), time.Since(began).Round(10*time.Microsecond))}
}

// clockCheck compares the clocks of the database servers with each other. Wrong
// clocks cost fairness, never equality.
func clockCheck(cfg *config.Config, names []change.Site, ids map[change.Site]enginesite.Identity) (out []siteCheck) {
	for i, a := range names {
		for _, b := range names[i+1:] {
			ia, okA := ids[a]
			ib, okB := ids[b]
			if !okA || !okB {
				continue
			}
			d := (ib.Offset - ia.Offset).Round(time.Millisecond)
			c := enginesite.Check{Name: "clocks", Status: enginesite.OK, Detail: fmt.Sprintf("%s is %s ahead of %s", b, d, a)}
			switch limit := cfg.Defaults.MaxClockDrift; {
			case d.Abs() > limit:
				c.Status, c.Remedy = enginesite.Critical, fmt.Sprintf("set the clocks right (NTP): beyond max_clock_drift = %s publishing stops", limit)
			case d.Abs() > 2*time.Second:
				c.Status, c.Remedy = enginesite.Warning, "set the clocks right (NTP): the site that is ahead wins conflicts that were a tie in fact"
			}
			out = append(out, siteCheck{Check: c})
		}
	}
	return out
}

func printChecks(cmd *cobra.Command, opts *globalOptions, checks []siteCheck) error {
	critical, warnings := 0, 0
	var rows []string
	for _, c := range checks {
		switch c.Status {
		case enginesite.Critical:
			critical++
		case enginesite.Warning:
			warnings++
		}
		where := string(c.Site)
		if where == "" {
			where = "-"
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", c.Name, where, c.Status, oneLine(c.Detail)))
		if c.Remedy != "" && c.Status != enginesite.OK {
			rows = append(rows, fmt.Sprintf("\t\t\t-> %s", oneLine(c.Remedy)))
		}
	}
	w := cmd.OutOrStdout()
	if opts.Output == "json" {
		if err := printJSON(w, map[string]any{"checks": checks, "critical": critical, "warnings": warnings}); err != nil {
			return err
		}
	} else {
		table(w, "CHECK\tSITE\tSTATUS\tDETAILS", rows)
		next := "concord run --site SITE at each site"
		if critical > 0 {
			next = "do what the remedies of the critical checks say, then concord doctor again"
		}
		fmt.Fprintf(w, "\n%d critical, %d warnings\nnext: %s\n", critical, warnings, next)
	}
	if critical > 0 {
		return &exitError{code: 1}
	}
	return nil
}
