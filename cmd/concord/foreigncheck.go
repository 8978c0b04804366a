package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// foreignChecks explains, for each foreign key of the sites that answered, what becomes of
// children whose parent is lost. The foreign keys of several sites that are alike are
// explained once.
func foreignChecks(cfg *config.Config, schemas map[change.Site][]enginesite.Table) (out []siteCheck) {
	seen := map[string]bool{}
	for _, n := range cfg.Names() {
		tables := byName(schemas[n])
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			for _, f := range tables[name].ForeignKeys {
				c := explainForeign(cfg, n, &f, tables)
				if !seen[c.Detail] {
					seen[c.Detail] = true
					out = append(out, siteCheck{Check: c})
				}
			}
		}
	}
	return out
}

// explainForeign says what a lost parent means under one foreign key.
func explainForeign(cfg *config.Config, n change.Site, f *enginesite.ForeignKey, tables map[string]enginesite.Table) enginesite.Check {
	c := enginesite.Check{Name: "foreign key " + f.Name, Status: enginesite.Warning}
	_, child := tables[f.Child]
	_, parent := tables[f.Parent]
	what := fmt.Sprintf("%s (%s) refers to %s, ON DELETE %s", f.Child, strings.Join(f.Columns, ", "), f.Parent, f.OnDelete)
	switch {
	case !parent:
		c.Detail = what + ", which is not replicated: what other sites write is applied whether its parent is here or not"
		c.Remedy = "replicate " + f.Parent + " too, or see to it that it is the same at every site"
		return c
	case !child:
		c.Detail = what + "; " + f.Child + " is not replicated: a parent that another site deleted is deleted here although rows of it refer to it, and nothing cascades"
		c.Remedy = "replicate " + f.Child + " too, or look after its rows by yourself"
		return c
	}
	c.Status = enginesite.OK
	rule, _ := cfg.Rule(f.Parent)
	if rule.From != "" && cfg.Replicated(f.Child, rule.From) {
		if childRule, _ := cfg.Rule(f.Child); childRule.From == rule.From {
			c.Detail = what + fmt.Sprintf("; both are written by %s only: no parent is lost", rule.From)
			return c
		}
	}
	c.Detail = what + ". What is applied is not checked against it, since its origin has: a parent deleted at one site while a child of it is written at another " + lost(rule.Policy) + ", and " + cascade(f.OnDelete) + ": the child stands without it, at every site alike"
	if len(tables[f.Parent].Unique) > 0 {
		c.Detail += fmt.Sprintf(". So do children of a parent that gives way to another row with its value of %s", strings.Join(tables[f.Parent].Unique, " or "))
	}
	return c
}

// lost says what the parent's policy makes of its delete.
func lost(p config.Policy) string {
	switch {
	case p.Deletes == config.UpdateWins:
		return "stays deleted unless the parent itself was changed, too (" + p.String() + ")"
	case p.Base == config.Prefer && p.Columns == nil && p.Deletes == "":
		return fmt.Sprintf("stays deleted unless %s has changed the parent itself, too (%s)", p.Prefer, p)
	case p.Base == config.ParkConflict:
		return "stays deleted; a conflict on the parent itself is parked, its children are not (" + p.String() + ")"
	}
	return "stays deleted, as nobody else wrote the parent itself (" + p.String() + ")"
}

// cascade says which children ON DELETE has reached.
func cascade(action string) string {
	switch action {
	case "CASCADE":
		return "the cascade has deleted only the children that the deleting site knew"
	case "SET NULL", "SET DEFAULT":
		return action + " has changed only the children that the deleting site knew"
	}
	return "the deleting site knew of no child"
}
