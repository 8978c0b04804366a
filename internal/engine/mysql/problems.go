package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// problem is why a table cannot be replicated, and what to do.
type problem struct {
	table  string
	detail string
	remedy string
}

func (p problem) String() string { return fmt.Sprintf("%s %s; %s", p.table, p.detail, p.remedy) }

// problems lists what keeps a table from being replicated.
func (t *tableFacts) problems() []problem {
	name, sql := t.qualified(), quote(t.schema, t.name)
	var ps []problem
	add := func(detail, remedy string) { ps = append(ps, problem{name, detail, remedy}) }
	const exclude = "or exclude the table in the configuration"
	if t.kind == "SYSTEM VERSIONED" {
		add("is system-versioned: its log has rows that no application wrote", fmt.Sprintf("ALTER TABLE %s DROP SYSTEM VERSIONING, %s", sql, exclude))
	}
	if t.engine != "InnoDB" {
		add("is of the engine "+t.engine+", which has no transactions", fmt.Sprintf("ALTER TABLE %s ENGINE = InnoDB, %s", sql, exclude))
	}
	switch {
	case len(t.key) == 0:
		add("has no primary key and no unique index of NOT NULL columns", fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…), %s", sql, exclude))
	case t.prefix:
		add("has a primary key of the beginning of a column", "make it one of whole columns, "+exclude)
	}
	for i := range t.columns {
		c := &t.columns[i]
		if strings.Contains(c.typeText, " COMPRESSED*/") {
			add(fmt.Sprintf("has the compressed column %s", c.name), fmt.Sprintf("ALTER TABLE %s MODIFY it without COMPRESSED, %s", sql, exclude))
		}
		if c.types.unsupported != "" && !c.generated {
			add(fmt.Sprintf("has the column %s with %s", c.name, c.types.unsupported), "change its type, "+exclude)
		}
	}
	for _, k := range t.key {
		c := t.column(k)
		switch {
		case c == nil:
		case c.types.keyProblem != "":
			add(fmt.Sprintf("has the key column %s of type %s, %s", k, c.typeText, c.types.keyProblem), "choose another key, "+exclude)
		case c.generated:
			add(fmt.Sprintf("has the generated key column %s", k), "choose another key, "+exclude)
		}
	}
	return ps
}

// allProblems lists the problems of every table, by name.
func (c *catalog) allProblems() []problem {
	var ps []problem
	for _, t := range c.tables {
		ps = append(ps, t.problems()...)
	}
	slices.SortFunc(ps, func(a, b problem) int { return strings.Compare(a.String(), b.String()) })
	return ps
}

// refusal turns problems into one error that names them all; nil when there are none.
func refusal(ps []problem) error {
	if len(ps) == 0 {
		return nil
	}
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return fmt.Errorf("%w: %s", change.ErrRefused, strings.Join(lines, "\n"))
}
