package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/ruletest"
	"github.com/concord-db/concord/internal/site"
)

// fromTable asks a database for the columns of the table, and the configuration what
// else is said of it.
func (t *resolverTest) fromTable(ctx context.Context, opts *globalOptions) (ruletest.Options, error) {
	cfg, err := config.Load(opts.ConfigPath)
	if err != nil {
		return ruletest.Options{}, fmt.Errorf("--table needs the configuration: %w", err)
	}
	name := cfg.Sites[0].Name
	if t.site != "" {
		chosen, err := chosenSites(cfg, t.site)
		if err != nil {
			return ruletest.Options{}, err
		}
		name = chosen[0]
	}
	db, err := site.Engine(cfg, name, opts.logger())
	if err != nil {
		return ruletest.Options{}, err
	}
	defer db.Close(ctx)
	tables, err := db.Schema(ctx)
	if err != nil {
		return ruletest.Options{}, fmt.Errorf("site %s: %w", name, err)
	}
	i := slices.IndexFunc(tables, func(o enginesite.Table) bool { return o.Name == t.table })
	if i < 0 {
		return ruletest.Options{}, fmt.Errorf("%s is not among the %d tables that the configuration selects at %s: concord config explain %s", t.table, len(tables), name, t.table)
	}
	o, err := shapeOf(&tables[i])
	if err != nil {
		return o, err
	}
	o.Column = t.column
	if rule, ok := cfg.Rule(t.table); ok {
		t.configured(&o, rule.Policy)
	}
	return o, nil
}

// configured takes from a table's policy what happens to deletes, and the column that
// names this rule when none is given.
func (t *resolverTest) configured(o *ruletest.Options, p config.Policy) {
	switch p.Deletes {
	case config.DeleteWins:
		o.Deletes = conflict.DeleteWins
	case config.UpdateWins:
		o.Deletes = conflict.UpdateWins
	}
	if p.Columns == nil || o.Column != "" {
		return
	}
	for _, c := range p.Columns.Named {
		if file, function, _ := strings.Cut(c.Resolver, ":"); function == t.function && filepath.Base(file) == filepath.Base(t.file) {
			o.Column = c.Name
			return
		}
	}
}

// shapeOf makes a shape of what a database says of a table.
func shapeOf(t *enginesite.Table) (ruletest.Options, error) {
	schema, name, _ := strings.Cut(t.Name, ".")
	shape := &change.Table{Schema: schema, Name: name, Full: true}
	o := ruletest.Options{Table: shape}
	for i, c := range t.Columns {
		shape.Columns = append(shape.Columns, change.Column{Name: c.Name, Type: c.Type, Kind: c.Kind})
		o.Columns = append(o.Columns, ruletest.Column{NotNull: c.NotNull, Labels: c.Labels})
		if slices.Contains(t.Key, c.Name) {
			shape.Key = append(shape.Key, i)
		}
	}
	if len(shape.Key) == 0 {
		return o, errors.New(t.Name + " has no key: concord doctor says what to do")
	}
	shape.Seal()
	return o, nil
}
