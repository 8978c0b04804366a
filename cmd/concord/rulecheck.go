package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// ruleChecks compares how the agents of the sites decide about tables, as each site's
// database remembers it of its own, with each other and with this file. ran is what the
// databases that answered remember; a site whose agent never ran is not in it. One check
// says that all is well.
func ruleChecks(cfg *config.Config, ran map[change.Site]enginesite.Rules, tables []string) (out []siteCheck) {
	var sites []change.Site
	books := map[change.Site]*config.RuleBook{}
	for _, n := range cfg.Names() {
		if r, ok := ran[n]; ok {
			sites = append(sites, n)
			books[n] = config.NewRuleBook(r.Rules)
		}
	}
	add := func(at change.Site, status enginesite.Status, detail, remedy string) {
		out = append(out, siteCheck{Site: at, Check: enginesite.Check{Name: "rules", Status: status, Detail: detail, Remedy: remedy}})
	}
	for i, a := range sites {
		for _, b := range sites[i+1:] {
			for _, d := range books[a].Differences(books[b], tables...) {
				add("", enginesite.Critical,
					fmt.Sprintf("rules differ: conflicts on %s are decided at %s by %s, at %s by %s; so they are parked", d.Tables, a, d.Here, b, d.There),
					"bring both sites to the same configuration and scripts, restart the agent that has the old ones, then settle what is parked: concord parked list")
			}
		}
	}
	file := config.NewRuleBook(cfg.RuleSet())
	for _, n := range sites {
		if d := books[n].Differences(file, tables...); len(d) > 0 && !slices.ContainsFunc(out, func(c siteCheck) bool { return c.Status == enginesite.Critical }) {
			add(n, enginesite.Warning,
				fmt.Sprintf("the agent of %s runs by other rules than this file, since %s: %s is %s there, %s here", n, ran[n].Since.Format(time.RFC3339), d[0].Tables, d[0].Here, d[0].There),
				fmt.Sprintf("if this file is the right one: bring it to %s and restart its agent", n))
		}
	}
	if len(out) == 0 && len(sites) > 1 {
		add("", enginesite.OK, fmt.Sprintf("%d rules, the same at %s", len(cfg.Rules), join(sites)), "")
	}
	return out
}
